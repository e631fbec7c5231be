"""The area under the ROC curve, and its difference between two models on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from equipoise.intervals.proportions import TAIL, proportion
from equipoise.rate import Rate

__all__ = ["Ordered", "area", "area_difference", "placements"]

Floats = NDArray[np.float64]

NO_POSITIVES = "no positives"
NO_NEGATIVES = "no negatives"
Z = 1.959964
STEPS = 50


@dataclass(frozen=True, eq=False)
class Ordered:
    """Scores that many groups are compared with: sorted once.

    Args:
        values: The scores as they came, shape (m,).
        order: Their places by score.
        ordered: The sorted scores.
    """

    values: NDArray[Any]
    order: NDArray[np.int64]
    ordered: NDArray[Any]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Ordered:
        """Sort them."""
        order = np.argsort(values, kind="stable")
        return cls(values, order, values[order])

    def __len__(self) -> int:
        return len(self.values)

    def placements(self, others: NDArray[Any]) -> Floats:
        """`placements` of these among others, in time that grows with their number alone."""
        below = np.zeros(len(self) + 1, np.int64)
        keys = np.sort(others)  # each is then found near the one before, in the processor's cache
        for side in ("left", "right"):
            found = np.searchsorted(self.ordered, keys, side=side)
            below += np.bincount(found, minlength=len(self) + 1).cumsum()
        own = np.empty(len(self), np.int64)
        own[self.order] = below[:-1]
        return np.asarray(own / (2 * len(others)), dtype=np.float64)


def placements(values: NDArray[Any], others: NDArray[Any] | Ordered) -> Floats:
    """For each value the share of the others below it, ties ½."""
    ordered = others.ordered if isinstance(others, Ordered) else np.sort(others)
    order = np.argsort(values)
    keys = values[order]
    below = np.empty(len(values), np.int64)
    below[order] = np.searchsorted(ordered, keys, side="left") + np.searchsorted(ordered, keys, side="right")
    return np.asarray(below / (2 * len(others)), dtype=np.float64)


def area(positives: NDArray[Any], negatives: NDArray[Any] | Ordered) -> Rate:
    r"""Probability that a positive scores above a negative, ties ½; 0.5 is chance, larger is better.

    The limits are the areas A with :math:`(\hat A - A)^2 = z^2 V(A)`, V the larger of DeLong's variance in the sample
    and of what such an area has by Newcombe's formula: few images that are separated well show too little
    of their spread. Where they are separated fully, the exact limit of a share of the smaller class is taken if it lies
    farther away.

    Args:
        positives: Scores of the positives, any numbers; `n` of the result is how many.
        negatives: Scores of the negatives, `Ordered` where several groups are compared with them.

    Undefined: without positives, or without negatives.

    Source: DeLong, DeLong, Clarke-Pearson 1988; Newcombe 2006, Confidence intervals for an effect size measure based
        on the Mann-Whitney statistic, part 2, method 5. Differs from them in: the larger of both variances.

    Example:
        >>> area(np.arange(10.0, 20.0), np.arange(10.0))
        1.000 [0.692, 1.000] (n=10)
    """
    n, m = len(positives), len(negatives)
    if not n or not m:
        return Rate.undefined(NO_POSITIVES if not n else NO_NEGATIVES, n)
    above = placements(positives, negatives)
    below = (
        negatives.placements(positives)
        if isinstance(negatives, Ordered)
        else placements(negatives, positives)
    )
    value, seen = float(above.mean()), _variance(above, below)
    low, high = _limit(value, seen, n, m), 1 - _limit(1 - value, seen, n, m)
    few = min(n, m)
    if value in (0.0, 1.0):
        exact = proportion(value * few, few)
        low, high = min(low, exact.low), max(high, exact.high)
    return Rate(value, min(low, value), max(high, value), n)


def _variance(above: Floats, below: Floats) -> float:
    """DeLong's; a class of one image shows none."""
    return sum(float(part.var(ddof=1)) / len(part) for part in (above, below) if len(part) > 1)


def _limit(value: float, seen: float, n: int, m: int) -> float:
    """The smallest area that `value` does not contradict; the formula is the same for A and 1 − A."""
    half, low, high = (n + m) / 2 - 1, 0.0, value
    for _ in range(STEPS):
        a = (low + high) / 2
        told = a * (1 - a) * (1 + half * ((1 - a) / (2 - a) + a / (1 + a))) / (n * m)
        if (value - a) ** 2 <= Z * Z * max(seen, told):
            high = a
        else:
            low = a
    return high


def area_difference(
    first: tuple[NDArray[Any], NDArray[Any]], second: tuple[NDArray[Any], NDArray[Any]]
) -> Rate:
    """The first model's area minus the second's on the same images, each given as (positives, negatives).

    Undefined: as for `area`.

    Source: DeLong, DeLong, Clarke-Pearson 1988, equation 7. Differs from it in: Student's t with the degrees of
        freedom of both classes (Welch 1947), and where no image's place differs, the doubt is half an image of each
        class, so that two models that separate the same few images fully are not equal beyond doubt.
    """
    n, m = (len(part) for part in first)
    if not n or not m:
        return Rate.undefined(NO_POSITIVES if not n else NO_NEGATIVES)
    moved = placements(*first) - placements(*second), placements(*first[::-1]) - placements(*second[::-1])
    spread = [float(part.var(ddof=1)) / len(part) if len(part) > 1 else 1.0 for part in moved]
    if not sum(spread):
        spread = [0.25 / len(part) ** 2 for part in moved]
    freedom = sum(spread) ** 2 / sum(s * s / max(1, len(p) - 1) for s, p in zip(spread, moved, strict=True))
    value, half = float(moved[0].mean()), float(-stdtrit(freedom, TAIL)) * sum(spread) ** 0.5
    return Rate(value, max(-1.0, value - half), min(1.0, value + half), n + m)
