r"""What batches draw, as against what weights ask for: the chance of each row to be in a batch.

Rows are drawn one after another without replacement, each by the weights of the rows that are left. So no row is in a
batch more than once, and weights that ask for more than that are not followed:

.. math:: \pi_i = \mathrm{E}\left[1 - e^{-w_i T_i}\right], \qquad \sum_i \pi_i = m

where each row has an exponential waiting time with rate w_i, the m rows that come first are the batch, and T_i is the
time at which m of the other rows have come.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError

__all__ = ["Draws", "inclusion_probabilities"]

Values = NDArray[np.float64]

FEW = 64  # rows; of so many the chances are exact
LIGHTEST = 1e-12  # of the heaviest weight: what is lighter only fills up batches, and counts as that


@dataclass(frozen=True, eq=False)
class Draws:
    """How rows of one class are drawn, and how often each was drawn while there were weights.

    Args:
        batch: Rows of the class that every batch holds.
        batches: Batches that held rows of the class, drawn by weights.
        counts: How often each row was drawn so: in as many of these batches, of more than two classes more often where
            a class has fewer rows than its share of a batch.
        more: Share of all batches that hold one row more, where classes do not divide a batch.
    """

    batch: int
    batches: int
    counts: NDArray[np.int64]
    more: float = 0.0

    @property
    def most(self) -> int:
        """Rows of the class that a batch holds at most."""
        return self.batch + (self.more > 0)

    def shares(self, weights: ArrayLike) -> Values:
        """What weights come to: the share of the draws that each row gets, sum 1.

        Args:
            weights: Finite and ≥ 0, one a row of the class, not all 0.

        Raises:
            InputError: if they are not.
        """
        found = _expected(weights, self.batch) if self.batch else 0.0
        if self.more:
            found = (1 - self.more) * found + self.more * _expected(weights, self.batch + 1)
        return np.asarray(found / (self.batch + self.more))


def _expected(weights: ArrayLike, batch: int) -> Values:
    """How often each row is in a batch on average; rows that are fewer than the batch needs are repeated."""
    drawable = np.asarray(weights, np.float64) > 0
    times, rest = divmod(batch, max(1, int(drawable.sum())))
    if not times or (times == 1 and not rest):
        return inclusion_probabilities(weights, batch)
    found = times * drawable.astype(np.float64)
    return found + inclusion_probabilities(weights, rest) if rest else found


def inclusion_probabilities(weights: ArrayLike, batch: int) -> Values:
    """Chance of each row to be in a batch that is drawn by these weights without replacement.

    Args:
        weights: Finite and ≥ 0, one a row; need not sum to 1.
        batch: Rows of a batch, at most as many as have a weight above 0.

    Returns:
        Probabilities that sum to `batch`. Over `batch` they are the shares of the draws: the weights themselves if one
        row is drawn or none is heavy, all equal if every row is.

    Raises:
        InputError: if a weight is negative or not finite, or fewer rows than `batch` have one.

    Source: B. Rosén, Asymptotic theory for order sampling, J. Statist. Plann. Inference 62, 1997, with T at the time
    when m rows are expected. Differs from it in: up to 64 rows it is exact; of more, T is gamma distributed, with a
    mean of its own for each row: right to about a thousandth in batches of 16, to some hundredths in those of 2.

    Example:
        >>> inclusion_probabilities([3.0, 1.0, 1.0, 1.0], 1).round(3).tolist()
        [0.5, 0.167, 0.167, 0.167]
        >>> inclusion_probabilities([3.0, 1.0, 1.0, 1.0], 2).round(3).tolist()
        [0.8, 0.4, 0.4, 0.4]
    """
    given = np.asarray(weights, dtype=np.float64)
    drawable = given > 0
    wrong = given.ndim != 1 or not np.isfinite(given).all() or bool((given < 0).any())
    if wrong or not 1 <= batch <= int(drawable.sum()):
        raise InputError(
            f"Expected finite weights of 0 or larger, at least {max(1, batch)} of them above 0, and a batch of 1 or "
            f"more; got {int(drawable.sum())} above 0 in shape {given.shape}, and a batch of {batch}. "
            "Take the sampler's weights and its batch."
        )
    found = np.zeros(given.size)
    if batch == int(drawable.sum()):
        found[drawable] = 1.0
        return found
    rates = np.maximum(given[drawable] / given.max(), LIGHTEST)
    if batch == 1:
        chances = rates
    elif rates.size <= FEW:
        chances = _exact(rates, batch)
    else:
        low, high = 0.0, 1.0
        while _included(rates, high).sum() < batch:
            low, high = high, 2 * high
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if _included(rates, middle).sum() < batch else (low, middle)
        chances = _included(rates, high)
    found[drawable] = np.minimum(1.0, chances * (batch / chances.sum()))
    return found


def _exact(rates: Values, batch: int) -> Values:
    """The integral of each row's waiting time over the chance that fewer than `batch` of the others have come."""
    n = rates.size
    logs = np.arange(np.log(1e-9 / rates.sum()), np.log(40.0 / rates.min()), 0.125)  # of times
    waits = np.multiply.outer(np.exp(logs), rates)
    come = -np.expm1(-waits)
    # How many of the others have come: shape (times, row left out, 0 … batch − 1 and more).
    others = np.zeros((logs.size, n, batch))
    others[:, :, 0] = 1.0
    for row in range(n):
        chance = np.repeat(come[:, row, None], n, axis=1)
        chance[:, row] = 0.0
        gained = others[:, :, :-1] * chance[:, :, None]
        others *= 1.0 - chance[:, :, None]
        others[:, :, 1:] += gained
    return np.asarray((waits * np.exp(-waits) * others.sum(axis=2)).sum(axis=0) * 0.125)


def _included(rates: Values, time: float) -> Values:
    """Chance of each row to have come before as many others as are expected to have come at a time."""
    come = -np.expm1(-rates * time)
    coming = rates * (1.0 - come)
    others = np.maximum(coming.sum() - coming, np.finfo(np.float64).tiny)
    mean = time + come / others  # without the row itself, as many come that much later
    spread = come * (1.0 - come)
    squared = (
        np.maximum(spread.sum() - spread, 1e-12) / (mean * others) ** 2
    )  # of the coefficient of variation
    return np.asarray(-np.expm1(-np.log1p(rates * mean * squared) / squared))
