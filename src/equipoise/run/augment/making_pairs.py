"""From a generator and attribute classifiers to pairs that did what they should."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.latent import Generator, Hyperplane, fit_hyperplane, fit_hyperplanes, pairs, read_pairs
from equipoise.latent.labelled import ScoredLatents, scored_latents
from equipoise.latent.meant import Meant
from equipoise.rate import Rate
from equipoise.run.audit.numbers import share_of
from equipoise.run.augment.augmentation import Augmentation
from equipoise.seeds import child_seed

__all__ = ["Made", "make_pairs"]

SCORED = 4096  # latents whose scores tell the thresholds on generated images
TRIED = 1024  # pairs that tell what edits do, before any are left out


@dataclass(frozen=True, eq=False)
class Made:
    """Pairs, and how they came about.

    Args:
        table: Those to train on; the first image of each is the one that was not edited.
        target_kept: Share of pairs tried whose target stays on its side in all images.
        changed: Protected attribute → share of pairs tried that it divides as meant.
        as_meant: Share of pairs tried where all is as meant.
        planes: Hyperplanes by attribute, the target's first.
        shares: Attribute → share of generated images whose probability is at least 0.5.
    """

    table: ImageTable
    target_kept: Rate
    changed: dict[str, Rate]
    as_meant: Rate
    planes: dict[str, Hyperplane]
    shares: dict[str, float]

    @property
    def cosines(self) -> dict[str, float]:
        """Protected attribute → cosine of its hyperplane with the target's."""
        first, *rest = self.planes.values()
        return {plane.name: float(np.asarray(first.weight) @ np.asarray(plane.weight)) for plane in rest}


def _limit(scores: NDArray[Any], share: float) -> float:
    """The score that a share of images reaches."""
    return float(np.clip(np.quantile(scores, 1 - share), 1e-6, 1 - 1e-6))


def make_pairs(
    generator: Generator,
    classifiers: Mapping[str, Any],
    natural: Mapping[str, float],
    wanted: int,
    how: Augmentation,
    *,
    folder: Path,
    seed: int,
    say: Callable[[str], None],
) -> Made:
    """Fit hyperplanes, see what edits do, and make pairs.

    An image counts as positive from the score on at which as large a share of generated images is positive as of real
    ones: classifiers are often less sure, or differently so, of generated images.

    Args:
        generator: Draws images of the size of the classifiers'.
        classifiers: By attribute, the target's first.
        natural: Attribute → share of real images that are positive.
        wanted: Images in the table, about: whole pairs.
        how: Variant, margin, what is kept.
        folder: Where pairs go; if they lie there already they are read.
        seed: The one source of chance.
        say: Takes lines on what was found.

    Raises:
        InputError: if a hyperplane does not separate, hyperplanes are nearly parallel, or no pair is as meant.
        MissingExtraError: without scikit-learn.
    """
    target, *protected = classifiers
    seen = scored_latents(generator, classifiers, SCORED, seed=child_seed(seed, "thresholds")).scores
    limits = {name: _limit(seen[name], natural[name]) for name in classifiers}
    planes = fit_hyperplanes(
        generator,
        classifiers,
        fit=how.latents,
        validate=how.latents // 2,
        threshold=limits,
        seed=child_seed(seed, "hyperplanes"),
    )
    crossed = [planes[name] for name in protected]
    across = crossed[0] if len(crossed) == 1 else crossed
    keep: Any = planes[target]
    if how.variant == "complement_by_side":
        keep = _by_side(generator, classifiers, crossed[0], limits, how.latents, seed)
    draw = partial(
        pairs,
        generator,
        keep,
        across,
        scorer=classifiers[target],
        also={name: classifiers[name] for name in protected},
        variant=how.variant,
        threshold=limits[target],
        margin=how.margin,
        seed=child_seed(seed, "pairs"),
    )
    images, tried = _tried(
        draw(TRIED), Meant(how.variant, protected, {**limits, "target": limits[target]}), say
    )
    if how.keep == "as-meant" and not tried.good.any():
        raise InputError(
            f"Expected pairs in which the protected attribute changes and the target stays; got none of {TRIED}. "
            "The classifiers cannot tell the two apart: train on more images of the rare cells, or give `keep` all."
        )
    if not folder.exists():
        draw(max(8, -(-wanted // images)), as_meant=limits if how.keep == "as-meant" else None, folder=folder)
    return Made(
        read_pairs(folder),
        share_of(tried.stays),
        {name: share_of(ok) for name, ok in tried.divided.items()},
        share_of(tried.good),
        planes,
        {name: float((values >= 0.5).mean()) for name, values in seen.items()},
    )


class _Tried(NamedTuple):
    """Of each pair that was tried, whether the target stays, each protected attribute changes, and all is as meant."""

    stays: NDArray[np.bool_]
    divided: dict[str, NDArray[np.bool_]]
    good: NDArray[np.bool_]


def _tried(table: ImageTable, meant: Meant, say: Callable[[str], None]) -> tuple[int, _Tried]:
    """Images of a pair, and what edits did; said in words."""
    scores = {
        name: np.asarray(table.column(f"{name}_score")).reshape(TRIED, -1)
        for name in ("target", *meant.protected)
    }
    found = _Tried(meant.target_stays(scores), dict(meant.divided(scores)), meant(scores))
    say(
        f"Of {TRIED:,} pairs, {found.good.mean():.0%} are as meant: target kept in {found.stays.mean():.0%}"
        + "".join(f", {name} changed in {ok.mean():.0%}" for name, ok in found.divided.items())
        + "."
    )
    return len(scores["target"][0]), found


def _by_side(
    generator: Generator,
    classifiers: Mapping[str, Any],
    protected: Hyperplane,
    limits: Mapping[str, float],
    count: int,
    seed: int,
) -> tuple[Hyperplane, Hyperplane]:
    """The target's hyperplane on each side of the protected one."""
    target = next(iter(classifiers))
    seen: ScoredLatents = scored_latents(
        generator, {target: classifiers[target]}, 2 * count, seed=child_seed(seed, "by side")
    )
    side = protected.distances(seen.latents) >= 0
    has = seen.scores[target] >= limits[target]
    first, second = (
        fit_hyperplane(seen.latents[mine], has[mine.numpy()], name=f"{target} on side {number}", seed=seed)
        for number, mine in enumerate((~side, side))
    )
    return first, second
