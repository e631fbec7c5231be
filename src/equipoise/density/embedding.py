"""Embeddings that the user brings: pictures → vectors, by any network, for any density.

What counts as rare is decided by the representation. A VAE of pixels spends its codes on light and background; a
network that was taught otherwise, such as a self-supervised one, may tell apart what matters.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from equipoise.density.appearance import Pictures
from equipoise.density.chunks import Latents, chunks
from equipoise.density.principal import Moments, chunk_moments
from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.files import reserve
from equipoise.nn import evaluating

__all__ = ["Normalisation", "PictureTable", "embed", "normalised", "vector_store"]

Normalisation = Literal["cosine", "standardised", "raw"]
NORMALISATIONS = ("cosine", "standardised", "raw")
CHUNK = 512  # images at a time
IN_MEMORY = 1 << 28  # bytes of vectors; more go to a temporary file


class PictureTable(Protocol):
    """Pictures by position, such as `data.ImageTable`."""

    def __len__(self) -> int:
        """How many."""

    def batch(self, positions: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Some of them, uint8, shape (b, height, width, channels)."""


def embed(
    module: nn.Module,
    pictures: PictureTable | Pictures | NDArray[np.uint8],
    *,
    rows: ArrayLike | None = None,
) -> Float32[ndarray, "n d"]:
    """Vectors of pictures under a network, one row a picture, for `fit` and `log_prob` of any density.

    The network runs in evaluation mode on the device of its parameters, and is left as it was. Up to 256 MB of vectors
    lie in memory, more in a temporary file.

    Args:
        module: Images (batch, channels, height, width) in [0, 1] → vectors (batch, d), or (batch, d, 1, 1). What it
            needs beyond that, such as another size or normalised pixels, it does itself.
        pictures: A table, an array (n, height, width, channels) of uint8, or a function that gives an iterator
            over such arrays.
        rows: Of a table: only these positions, in this order.

    Raises:
        InputError: if the network cannot take the pictures, does not give finite vectors of one length, or there are
            no pictures.

    Example:
        >>> class MeanColour(nn.Module):
        ...     def forward(self, images):
        ...         return images.mean((2, 3))
        >>> pictures = np.zeros((100, 8, 8, 3), np.uint8)
        >>> pictures[0, ..., 2] = 255
        >>> vectors = embed(MeanColour(), pictures)
        >>> from equipoise.density import NeighbourDensity
        >>> int(NeighbourDensity(5).fit(vectors).log_prob(vectors, leave_one_out=True).argmin())
        0
    """
    if not isinstance(module, nn.Module):
        raise InputError(
            f"Expected a torch nn.Module that gives vectors of images; got {type(module).__name__}. "
            "Put a function into a module's forward."
        )
    first = next(iter([*module.parameters(), *module.buffers()]), torch.zeros(0))
    found: NDArray[np.float32] | None = None
    parts: list[NDArray[np.float32]] = []
    filled = 0
    total = _count(pictures, rows)
    with evaluating(module), torch.inference_mode():
        for part in _parts(pictures, rows):
            vectors = _vectors(module, part, first.device, filled)
            if found is None and total is not None:
                found = vector_store(total, vectors.shape[1])
            width = (parts[0] if parts else vectors if found is None else found).shape[1]
            if vectors.shape[1] != width:
                raise InputError(
                    f"Expected vectors of one length from {_name(module)}; got {width} and then "
                    f"{vectors.shape[1]}. Give all pictures in one size, or pool over it."
                )
            if found is None:
                parts.append(vectors.copy())  # a network may write all its results into the same memory
            else:
                found[filled : filled + len(vectors)] = vectors
            filled += len(vectors)
    if not filled:
        raise InputError("Expected at least one picture to embed; got none. Check where they come from.")
    return np.concatenate(parts) if found is None else found


def normalised(vectors: Latents, how: Normalisation) -> Latents:
    """The vectors on a scale on which distances mean something.

    Args:
        vectors: One row a picture.
        how: "cosine": each row to length 1, so that its direction counts alone (rows of 0 stay 0). "standardised":
            each dimension to mean 0 and standard deviation 1 over these rows, so that no unit counts more for its
            size (dimensions that do not vary become 0). "raw": as they are.

    Returns:
        Codes for any density, computed chunk by chunk as they are read.

    Raises:
        InputError: if `how` is not one of these.
    """
    if how not in NORMALISATIONS:
        raise InputError(
            f"normalisation must be one of {', '.join(NORMALISATIONS)}; got {how!r}. Choose one of them."
        )
    if how == "raw":
        return vectors
    if how == "cosine":
        return lambda: (
            torch.nn.functional.normalize(chunk, dim=1) for chunk in chunks(vectors, squared=True)
        )
    moments: Moments | None = None
    for chunk in chunks(vectors, squared=True):
        own = chunk_moments(chunk)
        moments = own if moments is None else moments.merge(own)
    if moments is None:  # chunks of no rows have raised
        return vectors
    mean, spread = moments.mean, (moments.scatter.diagonal() / moments.rows).clamp_min(0).sqrt()
    varies = spread > 1e-9 * spread.max().clamp_min(torch.finfo(torch.float64).tiny)
    scale = torch.where(varies, 1 / spread, torch.zeros_like(spread))
    return lambda: ((chunk - mean) * scale for chunk in chunks(vectors))


def vector_store(rows: int, dimensions: int) -> NDArray[np.float32]:
    """Room for vectors, zeros: in memory, or where they are many in a temporary file that goes with it."""
    if rows * dimensions * 4 <= IN_MEMORY:
        return np.zeros((rows, dimensions), np.float32)
    with tempfile.NamedTemporaryFile() as file:  # the map holds it open, and it goes with the map
        found = np.memmap(file, np.float32, "w+", shape=(rows, dimensions))
        try:
            reserve(file.name)
        except OSError as error:
            raise DataError(
                f"Expected room for {rows:,} vectors of {dimensions} numbers in {tempfile.gettempdir()}; got: "
                f"{error.strerror or error}. Free some space, or set TMPDIR to a folder that has it."
            ) from error
        return found


def _count(pictures: Any, rows: ArrayLike | None) -> int | None:
    if rows is not None:
        return len(np.asarray(rows))
    return None if callable(pictures) else len(pictures)


def _parts(pictures: Any, rows: ArrayLike | None) -> Iterator[NDArray[np.uint8]]:
    whole: Iterable[NDArray[np.uint8]]
    if hasattr(pictures, "batch"):
        positions = np.arange(len(pictures)) if rows is None else np.asarray(rows, np.int64)
        whole = (
            pictures.batch(positions[start : start + CHUNK]) for start in range(0, len(positions), CHUNK)
        )
    elif rows is not None:
        raise InputError("rows are positions of a table; got other pictures. Choose the pictures yourself.")
    else:
        whole = pictures() if callable(pictures) else (pictures,)
    for block in whole:
        if not isinstance(block, np.ndarray) or block.dtype != np.uint8 or block.ndim != 4:
            got = f"{block.dtype} {block.shape}" if isinstance(block, np.ndarray) else type(block).__name__
            raise InputError(
                f"Pictures must be uint8 arrays (n, height, width, channels); got {got}. "
                "Give 0…255 with channels last."
            )
        for start in range(0, len(block), CHUNK):
            yield block[start : start + CHUNK]


def _vectors(
    module: nn.Module, part: NDArray[np.uint8], device: torch.device, seen: int
) -> NDArray[np.float32]:
    images = torch.from_numpy(part).to(device).permute(0, 3, 1, 2).float().div_(255)
    try:
        out = module(images)
    except EquipoiseError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"{_name(module)} must take images of shape (batch, {', '.join(map(str, images.shape[1:]))}) in [0, 1]; "
            f"got this error from it: {error}. Adapt it, or read the images in the size that it takes."
        ) from error
    if isinstance(out, Tensor) and out.ndim == 4 and out.shape[2:] == (1, 1):
        out = out.flatten(1)
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(part) or not out.shape[1]:
        got = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise InputError(
            f"{_name(module)} must give one vector an image, shape (batch, d); got {got} for {len(part)} images. "
            "Pool and flatten its output in forward."
        )
    vectors: NDArray[np.float32] = out.float().cpu().numpy()
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InputError(
            f"Vectors must be finite; got NaN or infinity from {_name(module)} for picture "
            f"{seen + int((~finite).argmax())}. Look at that picture, or at the network's weights."
        )
    return vectors


def _name(module: nn.Module) -> str:
    return type(module).__name__
