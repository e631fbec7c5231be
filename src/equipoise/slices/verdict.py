"""The test: does each slice fail on the half that it was not found on? And what is said of those that do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from equipoise.intervals import TAIL, mean, proportion
from equipoise.rate import Rate
from equipoise.slices.candidates import FEWEST
from equipoise.slices.description import (
    Member,
    confusions,
    density_ranks,
    kind_of,
    over_represented,
    typical_rows,
)
from equipoise.slices.excess import difference, one_sided
from equipoise.slices.halves import Halves
from equipoise.slices.inputs import Given
from equipoise.slices.merging import Merged
from equipoise.slices.search import Searched
from equipoise.slices.slice import ColumnValue, Slice

__all__ = ["judged"]

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Tested:
    """A slice in the half that tests: where it was found, its wrong images, its images, and both of its class."""

    where: Searched
    slice: Merged
    counts: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class _Chosen:
    """A slice that the test calls real."""

    test: _Tested
    p: float
    excess: Rate


def judged(
    given: Given, sides: Halves, found: Sequence[Searched], *, fdr: float, most: int
) -> tuple[tuple[Slice, ...], Ids, dict[int, int]]:
    """Slices that fail, worst first; the one that each image is in, −1 in none; and how many were tested, by class."""
    tests = [
        _Tested(where, one, counts)
        for where in found
        for one in where.slices
        if (counts := _counts(given, sides, where, one))[1] >= FEWEST and counts[1] < counts[3]
    ]
    chosen = sorted(_chosen(tests, fdr), key=lambda one: -one.excess.low)[:most] if tests else []
    members = [_member(sides, one.test) for one in chosen]
    values = over_represented(given, members, fdr)
    ranks = {where.class_id: _density(sides, where) for where in found if where.slices}
    ids = np.full(len(given), -1, np.int64)
    slices: list[Slice] = []
    numbers: Counter[int] = Counter()
    for position, one in enumerate(chosen):
        where = one.test.where
        numbers[where.class_id] += 1
        ids[where.rows[one.test.slice.rows]] = position
        own = ranks[where.class_id][one.test.slice.rows & sides.testing[where.rows]]
        density = mean(own, "no images")
        slices.append(
            _slice(given, sides, one, numbers[where.class_id], members[position], values[position], density)
        )
    return tuple(slices), ids, dict(Counter(test.where.class_id for test in tests))


def _chosen(tests: Sequence[_Tested], fdr: float) -> list[_Chosen]:
    """Those that the test calls real at a false discovery rate, with intervals that allow for the choice."""
    p = np.array([float(one_sided(*test.counts)) for test in tests])
    adjusted = np.atleast_1d(false_discovery_control(np.clip(p, 0, 1)))
    kept = np.flatnonzero(adjusted <= fdr).tolist()
    tail = TAIL * len(kept) / len(tests)  # of R chosen of m: Benjamini and Yekutieli
    return [_Chosen(tests[i], float(adjusted[i]), difference(*tests[i].counts, tail=tail)) for i in kept]


def _slice(
    given: Given,
    sides: Halves,
    one: _Chosen,
    number: int,
    member: Member,
    values: tuple[ColumnValue, ...],
    density: Rate,
) -> Slice:
    where, merged, (errors, n, all_errors, total) = one.test.where, one.test.slice, one.test.counts
    class_name, share = given.class_names[where.class_id], proportion(n, total)
    counted = (sides.testing & sides.counted)[where.rows]
    typical = where.rows[typical_rows(where.places, merged.rows, counted)]
    return Slice(
        name=f"{class_name} #{number}",
        class_name=class_name,
        size=int(merged.rows.sum()),
        share=share,
        errors=proportion(errors, n),
        rest=proportion(all_errors - errors, total - n),
        excess=one.excess,
        p=one.p,
        confused_with=confusions(given, member.slice),
        typical=tuple(int(row) for row in typical),
        over_represented=values,
        density=density,
        kind=kind_of(given, member, values, share, density),
        told=merged.told,
        sources=tuple(merged.sources),
    )


def _counts(given: Given, sides: Halves, where: Searched, one: Merged) -> tuple[int, int, int, int]:
    """Wrong images and images of a slice, and of its class, in the half that tests."""
    counted, wrong = (sides.testing & sides.counted)[where.rows], given.wrong[where.rows]
    inside = one.rows & counted
    return int((wrong & inside).sum()), int(inside.sum()), int((wrong & counted).sum()), int(counted.sum())


def _member(sides: Halves, test: _Tested) -> Member:
    counted = (sides.testing & sides.counted)[test.where.rows]
    inside = test.slice.rows
    return Member(test.where.rows[inside & counted], test.where.rows[~inside & counted])


def _density(sides: Halves, where: Searched) -> NDArray[np.float64]:
    return density_ranks(where.places, (~sides.testing & sides.counted)[where.rows])
