"""Images of latents beside images of their complements: a table to train on, in which the target keeps its score
and the protected attribute is on both sides.

Source: V. V. Ramaswamy, S. S. Y. Kim, O. Russakovsky, Fair Attribute Classification through Latent Space De-biasing,
CVPR 2021.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import NDArray
from torch import Tensor

from equipoise.data import ImageTable
from equipoise.data.blocks import digest_images
from equipoise.data.cache import appearing, place
from equipoise.errors import InputError
from equipoise.latent.complement import all_sides, complement, complement_by_side, mirror, onto
from equipoise.latent.frozen import parts
from equipoise.latent.generator import Generator, check_generator, decoded
from equipoise.latent.hyperplane import Hyperplane
from equipoise.latent.kept_pairs import check_new, read_pairs, release, room, write
from equipoise.latent.labelled import BLOCK, as_stored, blocks_of_latents
from equipoise.latent.meant import Meant
from equipoise.latent.scores import AttributeClassifier, attribute_scores, check_decision
from equipoise.seeds import child_seed

__all__ = ["Variant", "pairs", "pairs_of"]

Variant = Literal["complement", "onto", "mirror", "all_sides", "complement_by_side"]
Target: TypeAlias = Hyperplane | tuple[Hyperplane, Hyperplane]
Protected: TypeAlias = Hyperplane | Sequence[Hyperplane]

_PATIENCE = 50  # latents drawn for each pair that is wanted, before the margin is called too wide


def pairs(  # a public door: each keyword may be left out by itself
    generator: Generator,
    target: Target,
    protected: Protected,
    count: int,
    *,
    scorer: AttributeClassifier,
    also: Mapping[str, AttributeClassifier] | None = None,
    variant: Variant = "complement",
    threshold: float = 0.5,
    margin: float = 0.0,
    as_meant: Mapping[str, float] | None = None,
    folder: str | os.PathLike[str] | None = None,
    seed: int = 0,
    batch_size: int = 256,
) -> ImageTable:
    """Sample latents, edit them, decode both; the label of both is what f_t says of the image of the first.

    Only a batch of float images is in memory at a time. A longer run begins with the pairs of the shorter one.

    Args:
        generator: Images from latents.
        target: The hyperplane that is kept; for "complement_by_side" two, fitted on side 0 and on side 1.
        protected: The hyperplane to cross, or several.
        count: Pairs.
        scorer: f_t, the target's classifier, trained on real images.
        also: Other classifiers whose scores of all images shall be columns, such as f_g: how many pairs really
            changed sides?
        variant: How a latent is edited: the functions of the same names. With "all_sides" a pair has 2^p images.
        threshold: A score of f_t from which an image is a positive; see `equipoise.fairness.threshold_at_prevalence`.
        margin: Keep a pair if the score of its first image is at least this far from the threshold: less noise in
            the labels, less variety. Latents are drawn until there are `count` such pairs.
        as_meant: Keep only pairs whose target stays on its side, and whose protected attributes change as the edit is
            to change them, in the eyes of `scorer` and `also`: name of each protected hyperplane → the score from
            which its classifier in `also` sees it. None keeps all.
        folder: A new folder to keep the table in, images memory-mapped; `read_pairs` opens it again. None keeps
            all in memory.
        seed: The one source of chance.
        batch_size: Images at a time.

    Returns:
        A table with the rows of a pair one after another, and the attributes `generated` (True), `pair` (0, 1, …),
        `side` ("original", or what was done) and `target_score` (f_t of the image itself: beside the label it
        measures what the edit did to the target), and a column `…_score` of each of `also`.

    Raises:
        InputError: if the generator fails its check; if hyperplanes do not fit its latents, or are nearly
            parallel; if too few images are as far from the threshold as `margin` says, or too few pairs as meant; if
            the folder has files.
        DataError: if the folder cannot be written.

    Source: as this file, section 3. Differs from it in: images are stored without loss; the filters by `margin` and
    `as_meant`.
    """
    if count < 1:
        raise InputError(f"Expected at least one pair; got {count}. Ask for more.")

    def candidates() -> Iterator[tuple[Tensor, None]]:
        latents_seed = child_seed(seed, "pairs")
        for block in range(max(2, -(-_PATIENCE * count // BLOCK))):
            for part in parts(blocks_of_latents(generator, latents_seed, block), batch_size):
                yield part, None

    edit = _Edit(target, protected, variant)
    meant = None
    if as_meant is not None:
        names = [plane.name for plane in edit.planes]
        if missing := [name for name in names if name not in (also or {})]:
            raise InputError(
                f"To keep pairs that are as meant, `also` needs a classifier of {', '.join(missing)}; got "
                f"{', '.join(also or {}) or 'none'}. Name classifiers as the hyperplanes."
            )
        meant = Meant(variant, names, {**as_meant, "target": threshold})
    decision = _Decision(threshold, margin, meant)
    return _table(generator, edit, count, candidates(), _scorers(scorer, also), decision, folder, batch_size)


def pairs_of(  # a public door, as `pairs`
    latents: Float[Tensor, "n k"],
    labels: Int[ndarray, " n"] | Sequence[int],
    generator: Generator,
    target: Target,
    protected: Protected,
    *,
    scorer: AttributeClassifier,
    also: Mapping[str, AttributeClassifier] | None = None,
    variant: Variant = "complement",
    folder: str | os.PathLike[str] | None = None,
    batch_size: int = 256,
) -> ImageTable:
    """Pairs of given latents, such as those of real images (`invert`), with their own labels.

    The first image of a pair is what the generator makes of the latent, not the real image.

    Args:
        latents: One a pair.
        labels: 1 or 0, of each latent.
        generator: As in `pairs`, like all that follows.
        target: The hyperplane that is kept, or two.
        protected: The hyperplane to cross, or several.
        scorer: f_t; it scores, and does not label.
        also: Other classifiers whose scores shall be columns.
        variant: How a latent is edited.
        folder: Where the table is kept; None in memory.
        batch_size: Images at a time.

    Raises:
        InputError: as `pairs`, or if labels are not 0 or 1, one a latent.
        DataError: if the folder cannot be written.
    """
    given: NDArray[Any] = np.asarray(labels)
    if given.shape != (len(latents),) or not len(latents) or not np.isin(given, (0, 1)).all():
        raise InputError(
            f"Expected {len(latents)} labels, 1 or 0, one a latent, and at least one; got shape {given.shape}. "
            "Take both from the same table."
        )
    batches = parts(torch.arange(len(given)), batch_size)
    candidates = ((latents[rows].detach().cpu(), given[rows.numpy()].astype(np.int64)) for rows in batches)
    edit = _Edit(target, protected, variant)
    scorers, decision = _scorers(scorer, also), _Decision(0.5, 0.0)
    return _table(generator, edit, len(given), candidates, scorers, decision, folder, batch_size)


@dataclass(frozen=True)
class _Decision:
    """Which images are positives, which scores are too near to the threshold to say so, and what pairs must do."""

    threshold: float
    margin: float
    meant: Meant | None = None

    def __post_init__(self) -> None:
        check_decision(self.threshold, self.margin)


@dataclass(frozen=True, eq=False)
class _Edit:
    """From latents to the other latents of their pairs."""

    target: Target
    protected: Protected
    variant: Variant

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise InputError(
                f"variant must be one of {', '.join(get_args(Variant))}; got {self.variant!r}. Choose one of these."
            )
        if self.variant == "complement_by_side":
            if not (isinstance(self.protected, Hyperplane) and isinstance(self.target, tuple)):
                raise InputError(
                    "complement_by_side takes one protected hyperplane, and a target of two, fitted on side 0 and "
                    "on side 1; got others. Give these, or choose variant='complement'."
                )
        elif not isinstance(self.target, Hyperplane):
            raise InputError(
                f"{self.variant} keeps one target hyperplane; got {type(self.target).__name__}. Two are for "
                "complement_by_side."
            )

    @property
    def sides(self) -> list[str]:
        """What each image of a pair is called."""
        if self.variant == "complement_by_side":
            return ["original", "complement"]
        if self.variant != "all_sides":
            return ["original", self.variant]
        crossings = product((False, True), repeat=len(self.planes))
        crossed = (
            ", ".join(plane.name for plane, cross in zip(self.planes, crossing, strict=True) if cross)
            for crossing in crossings
        )
        return ["original", *(f"complement: {names}" for names in list(crossed)[1:])]

    def __call__(self, latents: Tensor) -> list[Tensor]:
        if isinstance(self.target, tuple):
            return [complement_by_side(latents, self.planes[0], keep=self.target)]
        if self.variant == "onto":
            return [onto(latents, self.protected, keep=self.target)]
        if self.variant == "mirror":
            return [mirror(latents, self.protected)]
        if self.variant == "all_sides":
            return list(all_sides(latents, self.planes, keep=self.target)[1:])
        return [complement(latents, self.protected, keep=self.target)]

    @property
    def planes(self) -> list[Hyperplane]:
        """The protected hyperplanes."""
        return [self.protected] if isinstance(self.protected, Hyperplane) else list(self.protected)


def _scorers(
    scorer: AttributeClassifier, also: Mapping[str, AttributeClassifier] | None
) -> dict[str, AttributeClassifier]:
    """By name, f_t first."""
    if also and "target" in also:
        raise InputError("The name 'target' is that of the scorer; got another one. Name it otherwise.")
    return {"target": scorer} | dict(also or {})


def _table(
    generator: Generator,
    edit: _Edit,
    count: int,
    candidates: Iterable[tuple[Tensor, NDArray[np.int64] | None]],
    scorers: Mapping[str, AttributeClassifier],
    decision: _Decision,
    folder: str | os.PathLike[str] | None,
    batch_size: int,
) -> ImageTable:
    """The first `count` candidates (latents, and their labels or None) that are sure enough, in pairs."""
    shape = _checked_shape(generator)
    edit(torch.zeros(1, generator.latent))  # what does not fit is refused before anything is generated
    with contextlib.ExitStack() as stack:
        building = None
        if folder is not None:
            check_new(Path(folder))
            building = stack.enter_context(appearing(Path(folder).absolute().parent))
        made = _Made(count, edit.sides, list(scorers), room(building, (count, len(edit.sides), *shape)))
        drawn = 0
        for latents, given in candidates:
            pictures = as_stored(decoded(generator, latents))
            said = attribute_scores(scorers["target"], pictures, batch_size=batch_size)
            kept = np.flatnonzero(np.abs(said - decision.threshold) >= decision.margin)
            kept = kept if decision.meant else kept[: count - made.done]
            drawn += len(latents)
            if kept.size:
                own = latents[torch.from_numpy(kept)]
                views = [pictures[kept], *(as_stored(decoded(generator, z)) for z in edit(own))]
                seen = _seen(views, scorers, said[kept], batch_size)
                good = np.ones(len(kept), bool) if decision.meant is None else decision.meant(seen)
                side = (said >= decision.threshold) if given is None else given
                made.add(np.flatnonzero(good), views, side[kept], seen)
            if made.done == count:
                break
        else:
            raise InputError(
                f"Expected {count} pairs whose score is at least {decision.margin:g} from {decision.threshold:g}"
                f"{' and whose edit did what it is to do' if decision.meant else ''}; got {made.done} from {drawn} "
                f"latents. Choose a smaller margin{', or keep all pairs' if decision.meant else ''}."
            )
        if building is None or folder is None:
            return made.table()
        write(building, made.images, made.labels, made.digests, made.columns())
        place(building, Path(folder).absolute())
    return read_pairs(folder)


def _checked_shape(generator: Generator) -> tuple[int, int, int]:
    """Height, width and channels of a generator's images, if a table takes them."""
    channels, height, width = check_generator(generator)
    if height != width or channels not in (1, 3):
        raise InputError(
            f"A table takes square images with 1 or 3 channels; the generator's are {channels}×{height}×{width}. "
            "Give its adapter a size, or crop behind its network."
        )
    return height, width, channels


class _Made:
    """Pairs as they are made, a batch at a time: images, labels, scores and digests, (pairs, images of a pair)."""

    def __init__(
        self, count: int, sides: Sequence[str], scorers: Sequence[str], images: NDArray[np.uint8]
    ) -> None:
        shape = (count, len(sides))
        self.sides, self.images, self.done = list(sides), images, 0
        self.labels, self.digests = np.empty(shape, np.int64), np.empty(shape, np.uint64)
        self.scores = {name: np.empty(shape) for name in scorers}

    def add(
        self,
        good: NDArray[np.intp],
        views: Sequence[NDArray[np.uint8]],
        labels: NDArray[Any],
        scores: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """Those of a batch that are good, as far as they are wanted."""
        good = good[: len(self.labels) - self.done]
        if not len(good):
            return
        rows = slice(self.done, self.done + len(good))
        self.labels[rows] = labels[good, None]
        for number, view in enumerate(views):
            self.images[rows, number] = view[good]
        for name, values in self.scores.items():
            values[rows] = scores[name][good]
        self.digests[rows] = digest_images(_flat(self.images[rows])).reshape(-1, len(self.sides))
        release(self.images)
        self.done += len(good)

    def columns(self) -> pa.Table:
        """What is known of each image besides its label."""
        pairs = len(self.labels)
        return pa.table(
            {
                "generated": [True] * self.digests.size,
                "pair": np.repeat(np.arange(pairs), len(self.sides)),
                "side": self.sides * pairs,
            }
            | {f"{name}_score": values.ravel() for name, values in self.scores.items()}
        )

    def table(self) -> ImageTable:
        """All of it, in memory."""
        places = np.arange(self.digests.size, dtype=np.int64)
        images = (_flat(self.images),)
        return ImageTable(images, places, self.labels.ravel(), self.columns(), self.digests.ravel())


def _seen(
    views: Sequence[NDArray[np.uint8]],
    scorers: Mapping[str, AttributeClassifier],
    first: NDArray[np.float64],
    batch_size: int,
) -> dict[str, NDArray[np.float64]]:
    """Scores of all images of pairs, (pairs, images); those of the target of the first images are known."""
    found = {}
    for number, (name, scorer) in enumerate(scorers.items()):
        known = [first] if number == 0 else []
        rest = [attribute_scores(scorer, view, batch_size=batch_size) for view in views[len(known) :]]
        found[name] = np.stack(known + rest, axis=1)
    return found


def _flat(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return images.reshape(-1, *images.shape[2:])
