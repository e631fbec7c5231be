"""Means of numbers in [0, 1], for example of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from equipoise.intervals.proportions import TAIL
from equipoise.rate import Rate

__all__ = ["mean"]

Floats = NDArray[np.float64]

BLOCKS = 2000  # more values than this are taken together, neighbours first
NORMAL = 1 / np.sqrt(2 * np.pi)


def mean(values: NDArray[Any], reason: str) -> Rate:
    r"""Mean of values in [0, 1], with an interval that makes no assumption about how they are distributed.

    The lower limit is the 2.5 % quantile of Σ w_i v_i with the values and one 0 more, weights w uniform on the simplex;
    the upper likewise with one 1 more. For values that are 0 or 1 these are the exact limits of a share.

    Args:
        values: Shape (n,), each in [0, 1].
        reason: Why the mean is undefined if there is no value.

    Source: Gaffke 2005, Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
        variable. Differs from it in: the quantile is that of the saddle-point approximation (Lugannani, Rice 1980),
        and of many values those in the middle are taken together with their neighbours.

    Example:
        >>> mean(np.array([0.9, 0.8, 0.95, 0.9]), "no images")
        0.888 [0.350, 0.961] (n=4)
    """
    n = len(values)
    if not n:
        return Rate.undefined(reason)
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    counts = np.ones(n)
    if n > BLOCKS:
        alone = np.arange(BLOCKS // 4)  # the ends decide
        between = np.linspace(BLOCKS // 4, n - BLOCKS // 4, BLOCKS // 2, endpoint=False).astype(np.int64)
        starts = np.concatenate([alone, between, n - BLOCKS // 4 + alone])
        counts = np.diff(np.append(starts, n)).astype(np.float64)
        ordered = np.add.reduceat(ordered, starts) / counts
    value = float(np.clip(np.mean(values, dtype=np.float64), 0, 1))
    low, high = _lower(ordered, counts), 1 - _lower(1 - ordered, counts)
    return Rate(value, min(low, value), max(high, value), n)


def _lower(values: Floats, counts: Floats) -> float:
    values, counts = np.append(values, 0.0), np.append(counts, 1.0)
    if values.max() <= 0:
        return 0.0
    low, high = 0.0, float(values @ counts / counts.sum())
    for _ in range(26):
        middle = (low + high) / 2
        if _chance_below(values - middle, counts) >= TAIL:
            high = middle
        else:
            low = middle
    return low


def _chance_below(values: Floats, counts: Floats) -> float:
    """P(Σ g_i v_i ≤ 0) with g_i ~ Gamma(counts_i), where the sum's mean is above 0."""
    low, point = 1 / values.min(), 0.0  # the saddle point lies between
    high = 0.0
    for _ in range(60):
        point = (low + high) / 2
        if counts @ (values / (1 - point * values)) > 0:
            high = point
        else:
            low = point
        if high - low < 1e-4 * -point:  # what the saddle point contributes hardly changes around it
            break
    rest = 1 - point * values
    root = -np.sqrt(max(0.0, 2 * float(counts @ np.log(rest))))
    slope = point * np.sqrt(float(counts @ (values / rest) ** 2))
    if root > -1e-4:
        return 0.5
    return float(ndtr(root) + NORMAL * np.exp(-root * root / 2) * (1 / root - 1 / slope))
