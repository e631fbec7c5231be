"""`Point`: an operating point of a model, with the thresholds that its resamples give it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.fairness.intervals import resampled_ranks
from equipoise.fairness.rates import NO_NEGATIVES, allowed_false_positives, cut_at_fpr
from equipoise.fairness.scored import Scored

__all__ = ["AT_FPR", "AT_THRESHOLD", "Point", "fixed", "hits_by_group", "matched"]

AT_THRESHOLD = "at_0.5"
"""Key of the first operating point: `threshold`, 0.5 unless told otherwise."""
AT_FPR = "at_fpr"
"""Key of the second operating point: the threshold with the matched false-positive rate."""


@dataclass(frozen=True, eq=False)
class Point:
    """An operating point.

    Args:
        threshold: Scores at or above it are called positive, on their own scale (`Scored.cut`); NaN when there is no
            such point.
        limits: The same for each resample: scores *above* the limit are called positive. Shape (1,) where the
            threshold does not depend on the data, else (replicates,).
        reason: Why the point does not exist.
    """

    threshold: float
    limits: NDArray[np.float64]
    reason: str | None = None


def fixed(threshold: float) -> Point:
    """A threshold chosen beforehand."""
    return Point(threshold, np.array([np.nextafter(threshold, -np.inf)]))


def matched(scored: Scored, fpr: float, replicates: int, generator: np.random.Generator) -> Point:
    """The threshold with at most this false-positive rate on the negatives, which are resampled."""
    m = len(scored.negatives)
    if not m:
        return Point(np.nan, np.full(1, np.inf), NO_NEGATIVES)
    allowed = allowed_false_positives(m, fpr)
    threshold = cut_at_fpr(scored.negatives.astype(scored.precision), fpr)
    if allowed == m:
        return fixed(threshold)
    ranks = resampled_ranks(m, allowed, replicates=replicates, generator=generator)
    highest_first = np.sort(scored.negatives)[::-1]
    return Point(threshold, highest_first[ranks])


def hits_by_group(
    scores: NDArray[np.float64], ids: NDArray[np.int64], groups: int, point: Point
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives found in each group, (groups,), and at the limits of the resamples, (limits, groups)."""
    found = np.bincount(ids[scores >= point.threshold], minlength=groups)
    order = np.lexsort((scores, ids))
    ordered = scores[order]
    ends = np.cumsum(np.bincount(ids, minlength=groups))
    resampled = np.empty((len(point.limits), groups), dtype=np.int64)
    start = 0
    for i, end in enumerate(ends):
        resampled[:, i] = end - start - np.searchsorted(ordered[start:end], point.limits, side="right")
        start = end
    return found.astype(np.int64), resampled
