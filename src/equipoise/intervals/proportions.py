"""Shares of images, hits/n, with exact limits; also where the threshold behind the hits is itself an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from equipoise.rate import Rate

__all__ = ["TAIL", "Proportions", "proportion"]

Floats = NDArray[np.float64]

#: Probability that lies beyond each end of an interval: all are two-sided with 95 %.
TAIL = 0.025
"""Chance of a miss on each side of an interval."""
STEPS = 45  # halvings of [0, 1]


@dataclass(frozen=True, eq=False)
class Proportions:
    r"""Shares of images hit, one a group.

    The exact limits of h hits of n are those shares at which h or more, or h or fewer, come in 2.5 % of draws:
    quantiles of Beta(h, n − h + 1) and Beta(h + 1, n − h). Where the hits depend on a threshold that was estimated,
    there are j equally likely ones, and the lower limit L solves

    .. math:: \frac{1}{j} \sum_j P(\mathrm{Beta}(h_j, n - h_j + 1) \le L) = 0.025

    Args:
        hits: Images hit, shape (k,).
        n: Images, shape (k,); 0 is allowed, the share is then undefined.
        possible: Hits at each threshold that it may be, shape (j, k); None where the threshold is not in doubt.

    Source: Clopper, Pearson 1934, The use of confidence or fiducial limits illustrated in the case of the binomial.
    Differs from it in: the mixture over thresholds.
    """

    hits: NDArray[Any]
    n: NDArray[Any]
    possible: NDArray[Any] | None = None

    @property
    def values(self) -> Floats:
        """The shares, shape (k,); NaN where there is no image."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.hits / np.where(self.n, self.n, np.nan), dtype=np.float64)

    def low(self, tail: float = TAIL) -> Floats:
        """Lower limits that the shares miss with chance `tail`, shape (k,)."""
        return np.fmin(self._limit(self._hits, tail), self.values)

    def high(self, tail: float = TAIL) -> Floats:
        """Upper limits, likewise."""
        return np.fmax(1 - self._limit(self.n - self._hits, tail), self.values)

    def rates(self, reason: str) -> list[Rate]:
        """The shares as rates; undefined, for `reason`, without images."""
        low, high, values = self.low(), self.high(), self.values
        return [
            Rate(float(values[i]), float(low[i]), float(high[i]), int(n)) if n else Rate.undefined(reason)
            for i, n in enumerate(self.n)
        ]

    def take(self, groups: NDArray[Any]) -> Proportions:
        """Some of the groups."""
        possible = None if self.possible is None else self.possible[:, groups]
        return Proportions(self.hits[groups], self.n[groups], possible)

    @property
    def _hits(self) -> NDArray[Any]:
        return self.hits if self.possible is None else self.possible

    def _limit(self, hits: NDArray[Any], tail: float) -> Floats:
        """Where the mixture of Beta(h, n − h + 1) reaches `tail`; 0 where enough thresholds leave no hit."""
        if hits.ndim == 1:
            found = betaincinv(np.maximum(hits, 1), self.n - hits + 1, tail)
            return np.where(self.n > 0, np.where(hits > 0, found, 0.0), np.nan)
        low, high = np.zeros(len(self.n)), np.ones(len(self.n))
        for _ in range(STEPS):
            middle = (low + high) / 2
            below = np.where(hits > 0, betainc(np.maximum(hits, 1), self.n - hits + 1, middle), 1.0)
            reached = below.mean(axis=0) >= tail
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        return np.where(self.n > 0, low, np.nan)


def proportion(hits: float, n: int, reason: str = "no images") -> Rate:
    """One share, hits of n images, with its exact interval; undefined, for `reason`, if n is 0.

    Example:
        >>> proportion(20, 20)
        1.000 [0.832, 1.000] (n=20)
    """
    return Proportions(np.array([hits]), np.array([n])).rates(reason)[0]
