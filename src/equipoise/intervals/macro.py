"""Means of the shares of several classes, each class counting once: balanced accuracy, and its difference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.intervals.pairs import Pairs
from equipoise.intervals.proportions import Proportions
from equipoise.rate import Rate

__all__ = ["macro_average", "macro_difference"]

Floats = NDArray[np.float64]

Z = 1.959964
STEPS = 50  # halvings of [0, 1]
SHRINK = 2.0  # images by which the share of a class is pulled towards the mean


def macro_average(shares: Proportions) -> Rate:
    r"""Mean of the shares of k classes, each class counting once; at least one class, all with images.

    The limits are the means B that a score test does not reject, with continuity correction:

    .. math:: (|\hat B - B| - c)^2 = z^2 \frac{1}{k^2} \sum_i f_i \frac{q_i (1 - q_i)}{n_i}, \quad
        q_i = B + \frac{n_i}{n_i + 2} (\hat p_i - \hat B), \quad c = \max_i \frac{1}{2 k n_i}

    All shares move with B, q held in [0, 1], so that equal shares give Wilson's interval. Their pull towards the mean,
    and f = (n + 2)²/((n + 2)² − n), which makes the variance of equal shares unbiased, are for small classes, whose own
    shares say little. One class has the exact limits of a share. (Square-and-add of the classes' exact limits misses a
    truth above it in one draw of ten where many classes have few wrong images: a share of 1 has no room above.)

    Example:
        >>> macro_average(Proportions(np.array([9, 45]), np.array([10, 50])))
        0.900 [0.717, 0.977] (n=60)
    """
    if len(shares.n) == 1:
        return shares.rates("")[0]
    value, total = float(shares.values.mean()), int(shares.n.sum())
    low = _lower(shares.hits, shares.n)
    high = 1 - _lower(shares.n - shares.hits, shares.n)
    return Rate(value, min(low, value), max(high, value), total)


def _lower(hits: NDArray[Any], n: NDArray[Any]) -> float:
    k, shares = len(n), hits / n
    value = float(shares.mean())
    away = n / (n + SHRINK) * (shares - value)
    unbiased = (n + SHRINK) ** 2 / ((n + SHRINK) ** 2 - n)
    correction = 1 / (2 * k * n.min())
    low, high = 0.0, value
    for _ in range(STEPS):
        middle = (low + high) / 2
        q = np.clip(middle + away, 0, 1)
        variance = float((unbiased * q * (1 - q) / n).sum()) / k**2
        if max(0.0, value - middle - correction) ** 2 <= Z * Z * variance:
            high = middle
        else:
            low = middle
    return high


def macro_difference(pairs: Pairs) -> Rate:
    r"""The first model's macro average minus the second's, on the same images; at least one class, all with images.

    As `macro_average`, with differences of the classes in place of their shares: with ψ the share of a class's images
    on which the models disagree and δ = Δ + n/(n + 2)·(δ̂ − Δ̂), the variance of a class is f (ψ − δ²)/n. ψ is pulled
    towards the mean likewise, with one image more, is at least `|δ|`, and the continuity correction is that of
    McNemar's test, 1/(k n) of the smallest class. One class decides as the exact McNemar test.
    """
    if len(pairs.n) == 1:
        return pairs.rates("")[0]
    value, total = float(pairs.values.mean()), int(pairs.n.sum())
    low = _lower_difference(pairs.won, pairs.lost, pairs.n)
    high = -_lower_difference(pairs.lost, pairs.won, pairs.n)
    return Rate(value, min(low, value), max(high, value), total)


def _lower_difference(won: NDArray[Any], lost: NDArray[Any], n: NDArray[Any]) -> float:
    k, apart, differences = len(n), (won + lost) / n, (won - lost) / n
    value, pull, correction = float(differences.mean()), n / (n + SHRINK), 1 / (k * n.min())
    unbiased = (n + SHRINK) ** 2 / ((n + SHRINK) ** 2 - n)
    disagree = apart.mean() + correction + pull * (apart - apart.mean())
    low, high = -1.0, value
    for _ in range(STEPS):
        middle = (low + high) / 2
        moved = np.clip(middle + pull * (differences - value), -1, 1)
        spread = np.clip(disagree, np.abs(moved), 1) - moved**2
        variance = float((unbiased * spread / n).sum()) / k**2
        if max(0.0, value - middle - correction) ** 2 <= Z * Z * variance:
            high = middle
        else:
            low = middle
    return high
