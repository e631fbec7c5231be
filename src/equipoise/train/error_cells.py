"""Sampling weights by what was called wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST_ERRORS", "cell_weights"]

FEWEST_ERRORS = 5  # of a class, below which its images are drawn uniformly


def cell_weights(wrong: NDArray[np.bool_], max_weight: float | None = None) -> NDArray[np.float64]:
    """Sampling weights of the images of a class that sum to 1: those that were called wrong weigh together as much as
    the others.

    Args:
        wrong: Which were.
        max_weight: No image weighs more than this many times its natural share.

    Example:
        >>> cell_weights(np.array([True] * 5 + [False] * 15)).round(3).tolist()[4:6]
        [0.1, 0.033]
    """
    count, n = int(wrong.sum()), len(wrong)
    if not FEWEST_ERRORS <= count <= n - FEWEST_ERRORS:
        return np.full(n, 1 / n)
    share = 0.5 if max_weight is None else min(0.5, max_weight * count / n)
    share = max(share, count / n)  # what is mostly wrong stays as it is
    return np.where(wrong, share / count, (1 - share) / (n - count))
