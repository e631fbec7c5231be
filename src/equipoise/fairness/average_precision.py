"""Average precision under many sets of weights at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranking"]


@dataclass(frozen=True, eq=False)
class Ranking:
    r"""Rows from the highest score down; build it with `Ranking.of`.

    .. math:: AP = \sum_i (R_i - R_{i-1}) P_i

    over the distinct scores, with recall R and precision P of calling all rows at or above the score
    positive: tied rows come together, and no order among them is made up.

    Args:
        order: Rows by falling score, shape (n,).
        positive: Whether they are positive, in that order.
        ends: Where runs of equal scores end, those that hold a positive.
    """

    order: NDArray[np.int64]
    positive: NDArray[np.float64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Ranking:
        """The ranking by these scores."""
        order = np.argsort(-scores, kind="stable")
        ranked, hits = scores[order], positive[order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        gained = np.diff(np.append(0, hits.cumsum()[ends]))
        return cls(order, hits.astype(np.float64), ends[gained > 0])

    def average_precision(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average precision for each set of weights, shape (sets, n), not negative, in the rows' first order.

        Undefined: NaN without positives.

        Source: scikit-learn's `average_precision_score` defines it so. Differs from it in: without
        negatives, and without positives, the callers say "undefined".
        """
        if not len(self.ends):
            return np.full(len(weights), np.nan)
        ranked = np.take(weights, self.order, axis=1)
        above = np.take(np.cumsum(ranked, axis=1), self.ends, axis=1)
        ranked *= self.positive
        found = np.take(np.cumsum(ranked, axis=1), self.ends, axis=1)
        precision = found / np.maximum(above, np.finfo(np.float64).tiny)
        gained = np.diff(found, axis=1, prepend=0.0)
        return np.asarray((gained * precision).sum(axis=1) / found[:, -1])
