"""`Point`: an operating point of a model, with the thresholds that it may truly have, and the shares found there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrik

from equipoise.fairness.rates import NO_NEGATIVES, allowed_false_positives, cut_at_fpr
from equipoise.fairness.scored import Scored, fraction
from equipoise.intervals import Pairs, Proportions

__all__ = [
    "AT_FPR",
    "AT_THRESHOLD",
    "Point",
    "fixed",
    "matched",
    "matched_pair",
    "negatives_needed",
    "pairs_found",
    "shares_found",
]

AT_THRESHOLD = "at_0.5"
"""Key of the first operating point: `threshold`, 0.5 unless told otherwise."""
AT_FPR = "at_fpr"
"""Key of the second operating point: the threshold with the matched false-positive rate."""

THRESHOLDS = 256  # possible thresholds, equally likely
UNSEEN = 0.045  # half of the thresholds above all negatives are taken as above all scores, which is to be under 2.5 %


@dataclass(frozen=True, eq=False)
class Point:
    """An operating point. Scores *above* a limit are called positive.

    Args:
        threshold: Scores at or above it are called positive, on their own scale (`Scored.cut`); NaN when there is no
            such point.
        reason: Why the point does not exist.
        limits: Limits that the population's threshold may have, equally likely, shape (j,); None where the threshold
            does not depend on the data.
    """

    threshold: float
    reason: str | None = None
    limits: NDArray[np.float64] | None = None


def fixed(threshold: float) -> Point:
    """A threshold chosen beforehand."""
    return Point(threshold)


def negatives_needed(fpr: float) -> int:
    """Negatives that it takes to tell a false-positive rate: with fewer, none of them may score as high.

    So many that all lie below the population's threshold in at most 4.5 % of draws. With fewer the threshold may as
    well be above every score, and the share found at it has no lower limit but 0.

    Example:
        >>> negatives_needed(0.01)
        309
    """
    fpr = fraction(fpr, "The false-positive rate")
    return 1 if fpr == 1 else math.ceil(math.log(UNSEEN) / math.log1p(-fpr)) if fpr > 0 else 2**63 - 1


def matched(scored: Scored, fpr: float) -> Point:
    """The threshold with at most this false-positive rate on the negatives, and those it may be in the population.

    Of m negatives Binomial(m, fpr) lie at or above the population's threshold: if k do, it lies between the k-th
    and the (k + 1)-th highest.
    """
    highest_first = np.sort(scored.negatives)[::-1]
    m = len(highest_first)
    if not m:
        return Point(np.nan, NO_NEGATIVES)
    threshold = cut_at_fpr(scored.negatives.astype(scored.precision), fpr)
    if allowed_false_positives(m, fpr) == m:
        return fixed(threshold)
    quantiles = (np.arange(THRESHOLDS) + 0.5) / THRESHOLDS
    above = np.clip(np.ceil(bdtrik(quantiles, m, fpr)), 0, m) if fpr > 0 else np.zeros(THRESHOLDS)
    return Point(threshold, None, _limits(highest_first, above.astype(np.int64)))


def _limits(highest_first: NDArray[np.float64], above: NDArray[np.int64]) -> NDArray[np.float64]:
    """Limits with so many negatives above them, in turn as high and as low as each may be."""
    m = len(highest_first)
    highest = np.nextafter(highest_first[np.maximum(above, 1) - 1], -np.inf)
    highest = np.where(above > 0, highest, np.inf)
    lowest = np.where(above < m, highest_first[np.minimum(above, m - 1)], -np.inf)
    return np.where(np.arange(len(above)) % 2 == 0, highest, lowest)


def shares_found(scores: NDArray[np.float64], ids: NDArray[Any], groups: int, point: Point) -> Proportions:
    """Shares of each group's images found at the point; `ids` are their groups."""
    n = np.bincount(ids, minlength=groups)
    hits = np.bincount(ids[scores >= point.threshold], minlength=groups)
    return Proportions(hits, n, None if point.limits is None else above(scores, ids, n, point.limits))


def above(
    scores: NDArray[np.float64], ids: NDArray[Any], n: NDArray[Any], limits: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Images of each group that score above each limit, (limits, groups)."""
    ordered = scores[np.lexsort((scores, ids))]
    found = np.empty((len(limits), len(n)), dtype=np.int64)
    start = 0
    for i, end in enumerate(np.cumsum(n)):
        found[:, i] = end - start - np.searchsorted(ordered[start:end], limits, side="right")
        start = end
    return found


def matched_pair(
    model: Scored, baseline: Scored, fpr: float, generator: np.random.Generator
) -> tuple[Point, Point]:
    """The thresholds of two models at a matched false-positive rate on the same negatives.

    How many negatives lie above the one and the other population threshold goes together as far as the models agree on
    which negatives score highest.
    """
    m = len(model.negatives)
    points = matched(model, fpr), matched(baseline, fpr)
    if points[0].limits is None:
        return points
    reach = min(m, max(allowed_false_positives(m, fpr), 20))
    order = [np.lexsort((np.arange(m), -scored.negatives)) for scored in (model, baseline)]
    shared = len(np.intersect1d(order[0][:reach], order[1][:reach])) / reach
    chances = [fpr * shared, fpr * (1 - shared), fpr * (1 - shared), max(0.0, 1 - fpr * (2 - shared))]
    if fpr * (2 - shared) > 1:
        chances = [2 * fpr - 1, 1 - fpr, 1 - fpr, 0.0]
    both, first, second, _ = generator.multinomial(m, chances, THRESHOLDS).T
    limits = (
        _limits(model.negatives[order[0]], both + first),
        _limits(baseline.negatives[order[1]], both + second),
    )
    return Point(points[0].threshold, None, limits[0]), Point(points[1].threshold, None, limits[1])


def pairs_found(
    scores: NDArray[np.float64],
    others: NDArray[np.float64],
    ids: NDArray[Any],
    groups: int,
    points: tuple[Point, Point],
) -> Pairs:
    """What two models make of the same images, by group, each at its point of a `matched_pair`."""
    n = np.bincount(ids, minlength=groups)
    first, second = scores >= points[0].threshold, others >= points[1].threshold
    won, lost = (np.bincount(ids[rows], minlength=groups) for rows in (first & ~second, second & ~first))
    pairs = Pairs.of(won, lost, n)
    if points[0].limits is None or points[1].limits is None:
        return pairs
    both = _both(scores, others, ids, groups, (points[0].limits, points[1].limits))
    won = above(scores, ids, n, points[0].limits) - both
    lost = above(others, ids, n, points[1].limits) - both
    return Pairs(won, lost, n, pairs.values)


def _both(
    scores: NDArray[np.float64],
    others: NDArray[np.float64],
    ids: NDArray[Any],
    groups: int,
    limits: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.int64]:
    """Images above the limits of both models, (limits, groups).

    The limits take few values. Each image is placed among those of each model, and a table summed from the far corner
    answers every pair of limits.
    """
    first, rows = np.unique(limits[0], return_inverse=True)
    second, columns = np.unique(limits[1], return_inverse=True)
    width = len(second) + 1
    cells = np.searchsorted(first, scores, side="left") * width + np.searchsorted(second, others, side="left")
    both = np.empty((len(rows), groups), dtype=np.int64)
    for i in range(groups):
        table = np.bincount(cells[ids == i], minlength=(len(first) + 1) * width)
        beyond = table.reshape(-1, width)[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]
        both[:, i] = beyond[rows + 1, columns + 1]
    return both
