"""What is said of a slice that was found: what it is taken for, what it looks like, what else its images have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from equipoise.density import NeighbourDensity
from equipoise.intervals import proportion
from equipoise.rate import Rate
from equipoise.slices.candidates import FEWEST
from equipoise.slices.excess import one_sided
from equipoise.slices.inputs import Given
from equipoise.slices.slice import ColumnValue

__all__ = ["Member", "confusions", "density_ranks", "kind_of", "over_represented", "typical_rows"]

TYPICAL = 9
SHOWN = 5
RARE_SHARE, RARE_DENSITY = 0.05, 0.25
MOSTLY = 0.5
FLAG = "flag"
REFERENCE = 2000  # rows that densities are measured against
AXES = 16

Mask = NDArray[np.bool_]
Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Member:
    """The test images of a slice and of its class, as rows of the table."""

    slice: Ids
    rest: Ids


def confusions(given: Given, rows: Ids) -> dict[str, int]:
    """Class → wrong images among `rows` that were taken for it, most first."""
    wrong = rows[given.wrong[rows]]
    counts = np.bincount(given.outputs.predicted[wrong], minlength=len(given.class_names))
    order = np.argsort(-counts, kind="stable")
    return {given.class_names[i]: int(counts[i]) for i in order.tolist() if counts[i]}


def typical_rows(places: NDArray[Any], inside: Mask, testing: Mask) -> Ids:
    """Positions of test images nearest to the centre of a slice, at most nine."""
    own = np.flatnonzero(inside & testing)
    gaps = ((places[own] - places[inside].mean(axis=0)) ** 2).sum(axis=1)
    return own[np.argsort(gaps, kind="stable")[:TYPICAL]]


def density_ranks(places: NDArray[np.float32], finding: Mask) -> NDArray[np.float64]:
    """Rank of each image's density among those of its class, 0…1, higher = more common, shape (n,)."""
    points = torch.from_numpy(places[:, :AXES])
    reference = points[torch.from_numpy(finding)]
    fitted = NeighbourDensity(k=min(20, max(1, len(reference) // 5)), reference=REFERENCE).fit(reference)
    logs = fitted.log_prob(points).numpy()
    order = np.sort(logs)
    below = np.searchsorted(order, logs, "left") + np.searchsorted(order, logs, "right")
    return np.asarray(below / (2 * len(logs)))


def over_represented(given: Given, members: Sequence[Member], level: float) -> list[tuple[ColumnValue, ...]]:
    """Values of columns, and flags, that slices have more often than the rest of their class.

    One-sided exact tests on the half that tests, adjusted over slices × columns × values that ten images have.
    """
    tests: list[tuple[int, str, str, int, int, int, int]] = []
    for i, one in enumerate(members):
        for groups in given.columns:
            both = groups.ids[np.concatenate([one.slice, one.rest])]
            inside = np.bincount(both[: len(one.slice)], minlength=len(groups.names))
            total = np.bincount(both, minlength=len(groups.names))
            unknown = list(groups.unknown)
            n, every = (int(v.sum() - v[unknown].sum()) for v in (inside, total))
            for value in np.flatnonzero(total >= FEWEST).tolist():
                if value not in groups.unknown:
                    name = groups.names[value]
                    tests.append((i, groups.attribute, name, int(inside[value]), n, int(total[value]), every))
        for name, flag in given.flags.items():
            hits, others = int(flag[one.slice].sum()), int(flag[one.rest].sum())
            every = len(one.slice) + len(one.rest)
            if hits + others:
                tests.append((i, FLAG, name, hits, len(one.slice), hits + others, every))
    found: list[list[ColumnValue]] = [[] for _ in members]
    if tests:
        counts = np.array([test[3:] for test in tests])
        p = one_sided(counts[:, 0], counts[:, 1], counts[:, 2], counts[:, 3])
        adjusted = np.atleast_1d(false_discovery_control(np.clip(p, 0, 1)))
        for (i, column, name, hits, n, hit, every), q in zip(tests, adjusted.tolist(), strict=True):
            if q <= level:
                share = proportion(hits, n), proportion(hit - hits, every - n)
                found[i].append(ColumnValue(column, name, *share, q))
    return [tuple(sorted(own, key=lambda one: one.p)) for own in found]


def kind_of(given: Given, member: Member, values: Sequence[ColumnValue], share: Rate, density: Rate) -> str:
    """What a slice is: the flag that most of its errors carry, if it carries it more often than its class; else "rare"
    if it is under 5 % of its class or lies where the class is thin, else "hard"."""
    wrong = member.slice[given.wrong[member.slice]]
    for one in values:
        if one.column == FLAG and one.value in given.flags and given.flags[one.value][wrong].mean() >= MOSTLY:
            return one.value
    return "rare" if share.value < RARE_SHARE or density.value < RARE_DENSITY else "hard"
