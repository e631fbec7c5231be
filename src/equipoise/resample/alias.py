"""Draws from a discrete distribution: O(N) to prepare, O(1) a draw, whatever N is.

Source: Walker, 1977, An efficient method for generating discrete random variables with general
distributions; the vectorised sweep after Hübschle-Schneider, Sanders, 2022, Parallel weighted random
sampling. Differs from them in: light and heavy rows are matched by prefix sums, without a loop over rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["AliasTable"]


class AliasTable:
    """An alias table: row r is kept with probability keep[r], else alias[r] is drawn in its place.

    Args:
        weights: Finite, ≥ 0, not all 0; need not sum to 1. Checked by the caller.

    Example:
        >>> table = AliasTable(np.array([0.0, 3.0, 1.0]))
        >>> draws = table.draw(10_000, np.random.default_rng(0))
        >>> (np.bincount(draws, minlength=3) / 10_000).round(1).tolist()
        [0.0, 0.8, 0.2]
    """

    def __init__(self, weights: NDArray[np.float64]) -> None:
        n = weights.size
        self.weights = weights / weights.sum()
        self.drawable = int(np.count_nonzero(self.weights))
        scaled = self.weights * n
        self.keep = np.minimum(scaled, 1.0)
        self.alias = np.arange(n)
        light, heavy = np.flatnonzero(scaled < 1.0), np.flatnonzero(scaled >= 1.0)
        if not light.size or not heavy.size:
            return
        # In units of 1/N: what light rows miss, and what heavy rows have to give, summed along the sweep.
        missing = np.cumsum(1.0 - scaled[light])
        given = np.cumsum(scaled[heavy] - 1.0)
        before = np.concatenate([[0.0], missing[:-1]])
        giver = np.minimum(np.searchsorted(given, before, side="right"), heavy.size - 1)
        self.alias[light] = heavy[giver]
        # A heavy row ends inside the light row at which the missing sum passes its own: it gave too much, and
        # the next heavy row makes up for it.
        ends = np.searchsorted(missing, given[:-1], side="right")
        over = np.flatnonzero(ends < light.size)
        over = over[before[ends[over]] < given[over]]
        self.keep[heavy[over]] = np.clip(1.0 - (missing[ends[over]] - given[over]), 0.0, 1.0)
        self.alias[heavy[over]] = heavy[over + 1]

    def __len__(self) -> int:
        return int(self.keep.size)

    def draw(self, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Independent draws, with replacement."""
        rows = generator.integers(0, len(self), count)
        return np.where(generator.random(count) < self.keep[rows], rows, self.alias[rows])

    def draw_distinct(self, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Draws without replacement, one after another, each by the weights of the rows that are left.

        Expected O(count) while those rows carry a fair part of the weight; where they do not, O(N).
        The caller sees to it that `count` rows have a weight.
        """
        drawn = np.zeros(0, np.int64)
        for _ in range(8):
            more = self.draw(2 * (count - drawn.size) + 2, generator)
            stream = np.concatenate([drawn, more])
            _, first = np.unique(stream, return_index=True)
            drawn = stream[np.sort(first)][:count]
            if drawn.size == count:
                return drawn
        # The smallest of exponential waiting times: the same law, by looking at every row once.
        rates = self.weights.copy()
        rates[drawn] = 0.0
        left = np.flatnonzero(rates)
        waits = generator.standard_exponential(left.size) / rates[left]
        return np.concatenate([drawn, left[np.argsort(waits)[: count - drawn.size]]])
