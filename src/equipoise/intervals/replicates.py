"""Intervals from replicates, for numbers that have no better one: average precision, divergences of scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equipoise.intervals.proportions import TAIL
from equipoise.rate import Rate

__all__ = ["bias_corrected", "held"]

Floats = NDArray[np.float64]


def held(value: float, lows: Floats, highs: Floats, n: int) -> Rate:
    """A number with the lower percentile of one set of replicates and the upper of another, holding its value."""
    low, high = float(np.quantile(lows, TAIL)), float(np.quantile(highs, 1 - TAIL))
    return Rate(value, min(low, value), max(high, value), n)


def bias_corrected(replicates: Floats, value: float, n: int) -> Rate:
    """A number with the percentiles of its replicates, moved back by twice the bias that they show."""
    moved = replicates - 2 * (replicates.mean() - value)
    return held(value, moved, moved, n)
