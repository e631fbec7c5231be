"""How small a failure can be seen with the images there are."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from equipoise.slices.candidates import FEWEST
from equipoise.slices.excess import one_sided

__all__ = ["CHANCE", "smallest_rate"]

CHANCE = 0.8


def smallest_rate(size: int, errors: int, total: int, level: float) -> float | None:
    """Share of errors from which a slice's test comes out below `level` with chance 0.8, the rest being as seen.

    Args:
        size: Test images of the slice.
        errors: Wrong test images of its class, in it or not.
        total: Test images of its class.
        level: Of the one-sided exact test.

    Returns:
        The share, to one percent; None if no share is enough, or the slice has fewer than ten test images.

    Example:
        >>> smallest_rate(50, 100, 1000, 0.01)
        0.29
    """
    if size < FEWEST or size >= total:
        return None
    outside = round((total - size) * errors / total)
    hits = np.arange(size + 1)
    p = np.array([one_sided(own, size, own + outside, total) for own in hits])
    enough = np.flatnonzero(p <= level)
    if not enough.size:
        return None
    rates = np.arange(1, 101) / 100
    seen = np.flatnonzero(binom.sf(enough[0] - 1, size, rates) >= CHANCE)
    return float(rates[seen[0]]) if seen.size else None
