"""What is made of the shares of several groups, and its difference between two models on the same images.

Noise alone makes groups differ, so the plug-in of a gap, a worst group or a variance is biased, and an interval around
it that forgets this calls equal groups unequal. Nothing here is resampled but for the variance: limits of the groups
are put together so that the chance of a miss adds up to at most 2.5 % a side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.intervals.pairs import Pairs
from equipoise.intervals.proportions import TAIL, Proportions
from equipoise.rate import Rate

__all__ = [
    "combination",
    "gap",
    "gap_difference",
    "variance",
    "variance_difference",
    "worst",
    "worst_difference",
]

Floats = NDArray[np.float64]

ONE_GROUP = "fewer than two groups have positives"
PAIRS = 2_000_000  # pairs of groups that are looked at at once
SPENT = 0.0025
"""Chance of leaving out the true worst (or best) group; comes off the 2.5 % of a side."""


def combination(coefficients: ArrayLike, rates: list[Rate], n: int) -> Rate:
    r"""A weighted sum of independent rates, Σ c_i r_i.

    .. math:: L = \hat v - \sqrt{\textstyle\sum_i d_i^2}, \quad d_i = c_i(\hat r_i - l_i) \text{ where } c_i > 0,
        \; c_i(\hat r_i - u_i) \text{ where } c_i < 0

    Args:
        coefficients: One a rate.
        rates: Rates with intervals.
        n: Images that the sum rests on.

    Source: Zou, Donner 2008, Construction of confidence limits about effect measures: a general approach (MOVER).
    """
    c = np.asarray(coefficients, dtype=np.float64)
    values, lows, highs = (
        np.array([getattr(rate, end) for rate in rates]) for end in ("value", "low", "high")
    )
    value = float(c @ values)
    down = c * np.where(c > 0, values - lows, values - highs)
    up = c * np.where(c > 0, highs - values, lows - values)
    return Rate(value, value - float(np.sqrt(down @ down)), value + float(np.sqrt(up @ up)), n)


def worst(shares: Proportions) -> tuple[int, Rate]:
    """The group with the lowest share (position) and that share; at least one group, all with images.

    The interval is that of the lowest share of all groups, whichever group has it. That all groups are above a limit is
    shown group by group (Berger 1982: no correction needed); that some group is below one may be any group's chance,
    so there the groups share the 2.5 % (Bonferroni).
    """
    values = shares.values
    position, k = int(np.argmin(values)), len(values)
    value = float(values[position])
    low, high = float(shares.low().min()), float(shares.high(TAIL / k).min())
    return position, Rate(value, min(low, value), max(high, value), int(shares.n[position]))


def gap(shares: Proportions) -> Rate:
    """Largest minus smallest share over groups, in [0, 1]; 0 is equal.

    Differences of two groups are bounded by square-and-add of their limits. The lower limit is the largest lower limit
    of all pairs, which share the 2.5 %; the upper one the largest upper limit of all pairs.

    Undefined: with fewer than two groups.
    """
    total, k = int(shares.n.sum()), len(shares.n)
    if k < 2:
        return Rate.undefined(ONE_GROUP, total)
    values = shares.values
    corrected = TAIL / (k * (k - 1) / 2)
    of_lows, of_highs = (shares.low(corrected), shares.high(corrected)), (shares.low(), shares.high())
    low = max(_apart(values, *of_lows, -1, rows).max() for rows in _blocks(np.arange(k), k))
    high = max(_apart(values, *of_highs, 1, rows).max() for rows in _blocks(np.arange(k), k))
    value = float(np.ptp(values))
    return Rate(value, float(np.clip(low, 0, value)), float(np.clip(high, value, 1)), total)


def _apart(values: Floats, lows: Floats, highs: Floats, side: int, rows: NDArray[Any]) -> Floats:
    """Limit of the share of some groups minus each group's, shape (rows, k), 0 from itself; `side` −1 is the lower."""
    down, up = (values - lows) ** 2, (highs - values) ** 2
    own, other = (down, up) if side < 0 else (up, down)
    found = values[rows, None] - values[None] + side * np.sqrt(own[rows, None] + other[None])
    found[np.arange(len(rows)), rows] = 0.0
    return np.asarray(found)


def _blocks(rows: NDArray[Any], k: int) -> list[NDArray[Any]]:
    """The rows in blocks whose pairs with k groups fit into memory."""
    step = max(1, PAIRS // k)
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def variance(shares: Proportions, *, replicates: int, generator: np.random.Generator) -> Rate:
    """Variance of the shares over groups, in percent², every group counting once (divided by k, not k − 1).

    The value is the plug-in that papers print; noise alone makes it too large. The lower limit is the
    variance at which one as large as the one seen comes in 2.5 % of simulated draws, from shares as they may be
    (Jeffreys' posterior) that are pulled together until they have it; the upper limit is that of shares as they may be,
    with half an image more on the side where the group lies.

    Args:
        shares: At least two groups, all with images.
        replicates: Draws behind each step of the search.
        generator: Source of chance.

    Undefined: with fewer than two groups.
    """
    total, k = int(shares.n.sum()), len(shares.n)
    if k < 2:
        return Rate.undefined(ONE_GROUP, total)
    value = float(np.std(100 * shares.values))
    hits = _hits(shares, replicates, generator)
    likely = generator.beta(hits + 0.5, shares.n - hits + 0.5)
    higher = likely > likely.mean(axis=1, keepdims=True)
    # An image more on its own side for each group, as in the exact limits of a share.
    apart = generator.beta(hits + higher + 1e-9, shares.n - hits + ~higher + 1e-9)
    # At a threshold in doubt the spread need not grow with it, so that more of the thresholds are to be held.
    tail = TAIL if shares.possible is None else TAIL / 10
    high = 100 * float(np.quantile(np.std(apart, axis=1), 1 - tail))
    low = 100 * _least_deviation(shares.n, hits, likely, generator)
    return Rate(value**2, min(low, value) ** 2, max(high, value) ** 2, total)


def _least_deviation(
    n: NDArray[Any], hits: NDArray[Any], likely: Floats, generator: np.random.Generator
) -> float:
    """Lower limit of the standard deviation of the shares; everything has the shape (replicates, k)."""
    seen = np.std(hits / n, axis=1)
    centre = likely.mean(axis=1, keepdims=True)
    away = (likely - centre) / np.std(likely, axis=1, keepdims=True)
    low, high = 0.0, 0.5
    for _ in range(12):
        middle = (low + high) / 2
        drawn = generator.binomial(n, np.clip(centre + middle * away, 0, 1)) / n
        if float(np.mean(np.std(drawn, axis=1) >= seen - 1e-12)) >= TAIL:
            high = middle
        else:
            low = middle
    return low


def _hits(shares: Proportions, replicates: int, generator: np.random.Generator) -> NDArray[Any]:
    """Hits at as many possible thresholds as there are replicates, (replicates, k)."""
    if shares.possible is None:
        return np.repeat(np.asarray(shares.hits)[None], replicates, axis=0)
    return shares.possible[generator.integers(len(shares.possible), size=replicates)]


def worst_difference(first: Proportions, second: Proportions, pairs: Pairs) -> Rate:
    """The first model's lowest share minus the second's; each has its own worst group.

    Lowest shares differ by at most what the models differ by in the second's worst group, and by at least what they
    differ by in the first's. Which groups these may be is told by the shares' limits; the interval reaches from the
    lowest limit over the one set of groups to the highest over the other. Where a group has that place in one model
    only, square-and-add of the group's share and of the other model's lowest share says more; the two share the chance
    of a miss.

    Args:
        first: Shares of the first model, at least one group, all with images.
        second: Those of the second.
        pairs: Their differences, first minus second, on the same images.
    """
    if len(pairs.n) == 1:
        return pairs.rates("")[0]
    tail = (TAIL - SPENT) / 2
    lowest = [np.flatnonzero(_may_be_lowest(shares)) for shares in (first, second)]
    least = np.maximum(pairs.take(lowest[0]).low(tail), -_above(second, first, tail)[lowest[0]]).min()
    most = np.minimum(pairs.take(lowest[1]).high(tail), _above(first, second, tail)[lowest[1]]).max()
    value = float(first.values.min() - second.values.min())
    return Rate(value, min(float(least), value), max(float(most), value), int(pairs.n.sum()))


def _above(one: Proportions, other: Proportions, tail: float) -> Floats:
    """Upper limits of the one model's lowest share minus each share of the other, shape (k,)."""
    lowest = worst(one)[1]
    down = other.values - other.low(tail)
    return np.asarray(lowest.value - other.values + np.sqrt((lowest.high - lowest.value) ** 2 + down**2))


def _may_be_lowest(shares: Proportions) -> NDArray[np.bool_]:
    return np.asarray(shares.low(SPENT / 2) <= shares.high(SPENT / 2 / len(shares.n)).min())


def _may_be_highest(shares: Proportions) -> NDArray[np.bool_]:
    return np.asarray(shares.high(SPENT / 2) >= shares.low(SPENT / 2 / len(shares.n)).max())


def gap_difference(first: Proportions, second: Proportions, pairs: Pairs) -> Rate:
    """The first model's gap minus the second's; below 0 is more equal.

    As in `worst_difference`: the gap grows at most by what it grows by between the first's best and worst group, and at
    least by what it grows by between the second's. Where that says little, because a gap is small and either group may
    be ahead, square-and-add of the gap between these two and of the other model's gap says more; the two share the
    chance of a miss.

    Undefined: with fewer than two groups.
    """
    total, tail = int(pairs.n.sum()), TAIL / 2 - SPENT
    if len(pairs.n) < 2:
        return Rate.undefined(ONE_GROUP, total)
    low = -_most_grown(second, gap(first), pairs, -1, tail)
    high = _most_grown(first, gap(second), pairs, 1, tail)
    value = float(np.ptp(first.values) - np.ptp(second.values))
    return Rate(value, min(float(low), value), max(float(high), value), total)


def _most_grown(shares: Proportions, other: Rate, pairs: Pairs, side: int, tail: float) -> float:
    """Upper limit of this model's gap minus the other's; `side` is −1 where the pairs are the other's minus this one's.

    The largest, over the groups that may be the best and the worst, of how much farther apart they are than in the
    other model, or than its gap, whichever is less.
    """
    values, lows, highs = shares.values, shares.low(tail), shares.high(tail)
    changes = pairs.values, pairs.low(tail), pairs.high(tail)
    lowest = _may_be_lowest(shares)
    found = []
    for rows in _blocks(np.flatnonzero(_may_be_highest(shares)), len(values)):
        apart = values[rows, None] - values[None]
        up = _apart(values, lows, highs, 1, rows) - apart
        grown = apart - other.value + np.sqrt(up**2 + (other.value - other.low) ** 2)
        moved = side * _apart(*changes, side, rows)
        found.append(np.minimum(moved, grown)[:, lowest].max())
    return float(max(found))


def variance_difference(first: Rate, second: Rate) -> Rate:
    """The first model's variance over groups minus the second's, percent²; what both share is not made use of.

    The ends are those of the two intervals: where few negatives move both thresholds, square-and-add misses too often.
    """
    if not first.defined:
        return first
    return Rate(first.value - second.value, first.low - second.high, first.high - second.low, first.n)
