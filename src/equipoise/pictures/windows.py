"""Square windows of pictures, cut out and resized, and the highest probability that a classifier gives to one.

Source: as `equipoise.fairness.windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.probabilities import Probabilities, from_logits, probability_vector

__all__ = ["Boxes", "boxes", "resize_matrix", "window_images", "window_scores"]

Images = NDArray[np.uint8]
Score = Callable[[Images], NDArray[Any]]


@dataclass(frozen=True)
class Boxes:
    """Square windows of one side: every top with every left.

    Args:
        side: Pixels a side.
        tops: First rows, shape (rows,).
        lefts: First columns, shape (columns,).
    """

    side: int
    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]


def boxes(
    height: int, width: int, *, sizes: int = 5, smallest: float = 0.5, stride: float = 0.2
) -> list[Boxes]:
    """The windows of an image: `sizes` sides from `smallest` of the shorter side up to all of it.

    Args:
        height: Pixels; `width` likewise.
        sizes: Sides, evenly spaced and rounded to pixels.
        smallest: Smallest side as a share of the shorter side of the image.
        stride: Step as a share of the window's side, at least a pixel.

    Raises:
        InputError: if a number is not positive, or a share above 1.

    Example:
        >>> [(b.side, len(b.tops) * len(b.lefts)) for b in boxes(64, 64)]
        [(32, 36), (40, 16), (48, 4), (56, 1), (64, 1)]
    """
    if min(height, width, sizes) < 1 or not 0 < smallest <= 1 or not 0 < stride <= 1:
        raise InputError(
            "Windows need an image of at least 1×1 pixel, at least one size, and shares in (0, 1]; got "
            f"{height}×{width}, sizes {sizes}, smallest {smallest}, stride {stride}. The protocol has 5, 0.5, 0.2."
        )
    shorter = min(height, width)
    sides = np.unique(np.maximum(1, np.rint(np.linspace(smallest * shorter, shorter, sizes)).astype(int)))
    found = []
    for side in sides.tolist():
        step = max(1, round(stride * side))
        found.append(Boxes(side, np.arange(0, height - side + 1, step), np.arange(0, width - side + 1, step)))
    return found


def resize_matrix(size: int, target: int) -> NDArray[np.float32]:
    """A linear map from `size` pixels to `target`: area average down, bilinear up; shape (target, size).

    Rows sum to 1. Pixels are areas: the centres of the first and last pixel are not moved to the edges.
    """
    edges = np.arange(target + 1) * (size / target)
    if size >= target:
        pixels = np.arange(size)
        covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        weights = np.maximum(covered, 0)
    else:
        centres = np.clip((edges[:-1] + edges[1:]) / 2 - 0.5, 0, size - 1)
        weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(size)))
    matrix: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix


def window_images(images: Images, places: Boxes, image_size: int = 64) -> Images:
    """All windows of one side, resized: (n, rows·columns, image_size, image_size, channels).

    Resizing is separable and linear, so each row band is resized once for all the columns it holds.

    Args:
        images: Images of one size, shape (n, height, width, channels).
        places: Windows of that size.
        image_size: Pixels a side of the result.
    """
    n, height, width, channels = images.shape
    down = _placed(resize_matrix(places.side, image_size), places.tops, height)
    across = _placed(resize_matrix(places.side, image_size), places.lefts, width)
    pixels = images.astype(np.float32)
    bands = (down @ pixels.reshape(n, height, width * channels)).reshape(n, -1, width, channels)
    resized = np.einsum("jw,nrwc->nrjc", across, bands, optimize=True)
    rows, columns = len(places.tops), len(places.lefts)
    whole = np.clip(np.rint(resized), 0, 255).astype(np.uint8)
    cells = whole.reshape(n, rows, image_size, columns, image_size, channels).transpose(0, 1, 3, 2, 4, 5)
    found: Images = cells.reshape(n, rows * columns, image_size, image_size, channels)
    return found


def _placed(matrix: NDArray[np.float32], starts: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """The matrix once for each start, one below another, shape (starts·target, size)."""
    target, side = matrix.shape
    placed = np.zeros((len(starts), target, size), dtype=np.float32)
    for i, start in enumerate(starts.tolist()):
        placed[i, :, start : start + side] = matrix
    return placed.reshape(-1, size)


def window_scores(
    images: Sequence[Images] | Images,
    score: Score,
    *,
    image_size: int = 64,
    batch_size: int = 256,
    sizes: int = 5,
    smallest: float = 0.5,
    stride: float = 0.2,
) -> NDArray[np.float64]:
    """Highest probability over the windows of each image, shape (n,): detected if at or above a threshold. With its
    logits, if `score` gives these (`from_logits`).

    Args:
        images: uint8 images (height, width, channels); they may differ in size.
        score: Gives the probabilities of a batch of uint8 images (b, image_size, image_size, channels).
        image_size: Pixels a side that `score` expects.
        batch_size: Images that `score` gets at once, at most; that many windows are in memory.
        sizes: Window sizes; `smallest` and `stride` as in `boxes`.

    Raises:
        InputError: if an image is not uint8 with three axes, or `score` returns something else than a
            probability for each image.
    """
    highest = np.full(len(images), -np.inf)
    known: set[bool] = set()
    for rows in _by_shape(images):
        first = images[rows[0]]
        places = boxes(first.shape[0], first.shape[1], sizes=sizes, smallest=smallest, stride=stride)
        for of_side in (part for whole in places for part in _parts(whole, batch_size)):
            each = len(of_side.tops) * len(of_side.lefts)
            block = max(1, batch_size // each)
            for start in range(0, len(rows), block):
                chosen = rows[start : start + block]
                cut, placed = _cut([images[i] for i in chosen], of_side)
                pictures = window_images(cut, placed, image_size)
                found, logits = _scored(score, pictures.reshape(-1, *pictures.shape[2:]))
                known.add(logits)
                highest[chosen] = np.maximum(highest[chosen], found.reshape(len(chosen), each).max(axis=1))
    if len(known) > 1:
        raise InputError(
            "`score` must give all probabilities with their logits or none; got both. Use from_logits for every batch."
        )
    return from_logits(highest) if known == {True} else highest


def _parts(places: Boxes, most: int) -> Iterator[Boxes]:
    """The same windows, at most so many at a time: a long picture has many."""
    columns = min(len(places.lefts), most)
    rows = max(1, most // columns)
    for top in range(0, len(places.tops), rows):
        for left in range(0, len(places.lefts), columns):
            yield Boxes(places.side, places.tops[top : top + rows], places.lefts[left : left + columns])


def _cut(images: Sequence[Images], places: Boxes) -> tuple[Images, Boxes]:
    """The part of images that windows lie in, shape (n, height, width, channels), and the windows in it."""
    top, left = int(places.tops[0]), int(places.lefts[0])
    bottom, right = int(places.tops[-1]) + places.side, int(places.lefts[-1]) + places.side
    cut = np.stack([image[top:bottom, left:right] for image in images])
    return cut, Boxes(places.side, places.tops - top, places.lefts - left)


def _by_shape(images: Sequence[Images] | Images) -> list[list[int]]:
    """Positions of the images of each shape."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for i, image in enumerate(images):
        if image.ndim != 3 or image.dtype != np.uint8:
            raise InputError(
                f"Images must be uint8 with shape (height, width, channels); got {image.dtype} with shape "
                f"{image.shape} at row {i}. Convert it first."
            )
        shapes.setdefault(image.shape, []).append(i)
    return list(shapes.values())


def _scored(score: Score, batch: Images) -> tuple[NDArray[np.float64], bool]:
    """Logits where they are known, else probabilities, and which of the two."""
    given = score(batch)
    found = probability_vector(np.asarray(given))
    if len(found) != len(batch):
        raise InputError(
            f"`score` must return one probability an image; got {len(found)} for {len(batch)} images. "
            "Flatten its output to shape (batch,)."
        )
    logits = given.logits if isinstance(given, Probabilities) else None
    return (found.astype(np.float64), False) if logits is None else (logits, True)
