"""From a generator and attribute classifiers to pairs that did what they should."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.files import replacing
from equipoise.latent import Generator, Hyperplane, fit_hyperplane, fit_hyperplanes, pairs, read_pairs
from equipoise.latent.labelled import ScoredLatents, scored_latents
from equipoise.latent.pairs import Variant
from equipoise.rate import Rate
from equipoise.run.audit_numbers import share_of
from equipoise.seeds import child_seed

__all__ = ["Augmentation", "Made", "make_pairs"]

SCORED = 4096  # latents whose scores tell the thresholds on generated images
SPARE = 3  # pairs made for each one that is wanted, where some are left out
Kept = Literal["as-meant", "all"]
Learning = Literal["balanced", "plain"]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Augmentation:
    """How pairs are made and mixed. How the defaults were chosen stands in docs/augment.md.

    Args:
        share: Generated images among those trained on, in [0, 1).
        margin: Pairs are kept whose first image has a score of f_t at least this far from the threshold.
        keep: "as-meant" leaves pairs out whose target changed, or whose protected attribute did not, in the eyes of
            the classifiers; "all" is as published.
        classifiers: "balanced" shows the attribute classifiers all cells of target × protected equally often; "plain"
            is as published.
        variant: How latents are edited, see `equipoise.latent.pairs`.
        latents: Latents that hyperplanes are fitted to; half as many more validate them.

    Raises:
        InputError: if a number is out of range or a name unknown.
    """

    share: float = 0.5
    margin: float = 0.0
    keep: Kept = "as-meant"
    classifiers: Learning = "balanced"
    variant: Variant = "complement"
    latents: int = 10_000

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(
                f"--share must be in (0, 1); got {self.share}. 0.5 is as many generated as real."
            )
        if not 0 <= self.margin < 0.5:
            raise InputError(f"--margin must be in [0, 0.5); got {self.margin}. 0 keeps all pairs.")
        if self.latents < 100:
            raise InputError(f"--latents must be 100 or more; got {self.latents}. 10000 is usual.")
        for name, known in (("keep", Kept), ("classifiers", Learning), ("variant", Variant)):
            if getattr(self, name) not in get_args(known):
                raise InputError(
                    f"--{name} must be one of {', '.join(get_args(known))}; got {getattr(self, name)!r}. "
                    "Choose one of these."
                )


@dataclass(frozen=True, eq=False)
class Made:
    """Pairs, and how they came about.

    Args:
        table: Those that are kept; the first image of each is the one that was not edited.
        made: Pairs made.
        kept: Pairs kept.
        target_kept: Share of the pairs made whose target stays on its side in all images.
        changed: Protected attribute → share of the pairs made that it divides as meant.
        planes: Hyperplanes by attribute, the target's first.
        shares: Attribute → share of generated images whose probability is at least 0.5.
    """

    table: ImageTable
    made: int
    kept: int
    target_kept: Rate
    changed: dict[str, Rate]
    planes: dict[str, Hyperplane]
    shares: dict[str, float]

    @property
    def cosines(self) -> dict[str, float]:
        """Protected attribute → cosine of its hyperplane with the target's."""
        first, *rest = self.planes.values()
        return {plane.name: float(np.asarray(first.weight) @ np.asarray(plane.weight)) for plane in rest}


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
    """Fit hyperplanes, make pairs, and keep those that did what they should.

    An image counts as positive from the score on at which as large a share of generated images is positive as of real
    ones: classifiers are often less sure, or differently so, of generated images.

    Args:
        generator: Draws images of the size of the classifiers'.
        classifiers: By attribute, the target's first.
        natural: Attribute → share of real images that are positive.
        wanted: Images in the table, about.
        how: Variant, margin, what is kept.
        folder: Where all pairs made go, with a column `used`; if they lie there already they are read.
        seed: The one source of chance.
        say: Takes lines on what was found.

    Raises:
        InputError: if a hyperplane does not separate, hyperplanes are nearly parallel, or no pair is as meant.
        MissingExtraError: without scikit-learn.
    """
    target, *protected = classifiers
    scores = scored_latents(generator, classifiers, SCORED, seed=child_seed(seed, "thresholds")).scores
    limits = {
        name: float(np.clip(np.quantile(scores[name], 1 - natural[name]), 1e-6, 1 - 1e-6))
        for name in classifiers
    }
    planes = fit_hyperplanes(
        generator,
        classifiers,
        fit=how.latents,
        validate=how.latents // 2,
        threshold=limits,
        seed=child_seed(seed, "hyperplanes"),
    )
    keep: Any = planes[target]
    crossed = [planes[name] for name in protected]
    if how.variant == "complement_by_side":
        keep = _by_side(generator, classifiers, crossed[0], limits, how.latents, seed)
    per_pair = 2 ** len(protected) if how.variant == "all_sides" else 2
    count = max(8, -(-wanted // per_pair)) * (SPARE if how.keep == "as-meant" else 1)
    if not folder.exists():
        pairs(
            generator,
            keep,
            crossed[0] if len(crossed) == 1 else crossed,
            count,
            scorer=classifiers[target],
            also={name: classifiers[name] for name in protected},
            variant=how.variant,
            threshold=limits[target],
            margin=how.margin,
            folder=folder,
            seed=child_seed(seed, "pairs"),
        )
    made = read_pairs(folder)
    stays, divided = _as_meant(made, limits, target, protected, how.variant, per_pair)
    good = stays & np.all(list(divided.values()), axis=0) if divided else stays
    chosen = good if how.keep == "as-meant" else np.ones(len(good), bool)
    chosen = np.flatnonzero(chosen)[: -(-wanted // per_pair)]
    if not len(chosen):
        raise InputError(
            f"Expected pairs in which the protected attribute changes and the target stays; got none of {len(good)}. "
            "The classifiers cannot tell the two apart: train on more images of the rare cells, or give --keep all."
        )
    rows = (chosen[:, None] * per_pair + np.arange(per_pair)).ravel()
    _mark(folder, rows)
    say(
        f"{len(good):,} pairs made; as meant {good.mean():.0%}, target kept in {stays.mean():.0%}, "
        + ", ".join(f"{name} changed in {ok.mean():.0%}" for name, ok in divided.items())
        + f"; {len(chosen):,} used."
    )
    return Made(
        read_pairs(folder).take(rows),
        len(good),
        len(chosen),
        share_of(stays),
        {name: share_of(ok) for name, ok in divided.items()},
        planes,
        {name: float((values >= 0.5).mean()) for name, values in scores.items()},
    )


def _mark(folder: Path, rows: NDArray[np.int64]) -> None:
    """Say in the table of the pairs which images are trained on."""
    path = folder / "table.parquet"
    table = pq.read_table(path)
    used = np.zeros(table.num_rows, bool)
    used[rows] = True
    if "used" in table.column_names:
        table = table.drop_columns(["used"])
    with replacing(path) as temporary:
        pq.write_table(table.append_column("used", pa.array(used)), temporary)


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


def _as_meant(
    made: ImageTable,
    limits: Mapping[str, float],
    target: str,
    protected: Sequence[str],
    variant: str,
    per_pair: int,
) -> tuple[Bools, dict[str, Bools]]:
    """Pair by pair: whether the target stays, and whether each protected attribute is where it was meant to be."""

    def sides(name: str, limit: float) -> Bools:
        values = np.asarray(made.column(f"{name}_score")) >= limit
        return values.reshape(-1, per_pair)

    of_target = sides("target", limits[target])
    stays = (of_target == of_target[:, :1]).all(axis=1)
    if variant == "onto":  # on neither side: nothing is meant to change
        return stays, {}
    crossings = np.array(list(product((False, True), repeat=len(protected))))
    if variant != "all_sides":
        crossings = crossings[[0, -1]]
    divided = {}
    for place, name in enumerate(protected):
        side = sides(name, limits[name])
        divided[name] = ((side != side[:, :1]) == crossings[:, place]).all(axis=1)
    return stays, divided
