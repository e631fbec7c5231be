"""Errors in a set of images against the rest of their class: exact test, difference with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from equipoise.intervals import TAIL, Proportions
from equipoise.rate import Rate
from equipoise.slices.candidates import FEWEST

__all__ = ["difference", "failing", "lower_limits", "one_sided"]

Ids = NDArray[np.int64]
SCREENED = 0.1  # p on the half that finds, of a candidate that is worth a test


def one_sided(hits: Any, n: Any, all_hits: Any, total: Any) -> NDArray[np.float64]:
    """Fisher's exact p that so many of n images, or more, are hit by chance, all_hits of total being hit.

    Source: R. A. Fisher, The Design of Experiments, 1935: the hypergeometric tail.
    """
    return np.asarray(hypergeom.sf(np.asarray(hits) - 1, total, all_hits, n), np.float64)


def failing(errors: Ids, n: Ids, all_errors: int, total: int) -> NDArray[np.bool_]:
    """Which sets are large enough, on the half that finds, and wrong more often than the rest of the class."""
    apart = (n >= FEWEST) & (n < total) & (errors > 0)
    found = np.zeros(len(n), bool)
    found[apart] = one_sided(errors[apart], n[apart], all_errors, total) <= SCREENED
    return found


def lower_limits(errors: Ids, n: Ids, all_errors: int, total: int) -> NDArray[np.float64]:
    """Lower limits of the share of errors in sets minus that in the rest, 97.5 %, shape as `errors`."""
    inside, outside = Proportions(errors, n), Proportions(all_errors - errors, total - n)
    down = (inside.values - inside.low()) ** 2 + (outside.high() - outside.values) ** 2
    return np.asarray(inside.values - outside.values - np.sqrt(down))


def difference(errors: int, n: int, all_errors: int, total: int, *, tail: float = TAIL) -> Rate:
    """Share of errors in a set minus that in the rest, with limits that each miss with chance `tail`; square-and-add.

    Source: Zou, Donner 2008, Construction of confidence limits about effect measures: a general approach (MOVER).
    """
    inside = Proportions(np.array([errors]), np.array([n]))
    outside = Proportions(np.array([all_errors - errors]), np.array([total - n]))
    one, other = float(inside.values[0]), float(outside.values[0])
    down = (one - inside.low(tail)[0]) ** 2 + (outside.high(tail)[0] - other) ** 2
    up = (inside.high(tail)[0] - one) ** 2 + (other - outside.low(tail)[0]) ** 2
    value = one - other
    return Rate(value, max(-1.0, value - float(np.sqrt(down))), min(1.0, value + float(np.sqrt(up))), n)
