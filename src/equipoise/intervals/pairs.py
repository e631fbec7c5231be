"""Two models on the same images: the difference of their shares, judged by the images on which they disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from equipoise.intervals.proportions import TAIL
from equipoise.rate import Rate

__all__ = ["Pairs"]

Floats = NDArray[np.float64]

NODES = 64  # quantiles of the share of images on which the models disagree
STEPS = 42  # halvings of [−1, 1]
MANY = 16  # with more groups, equal counts are looked for
BLOCK = 1000  # groups that are judged at once
MORE = (
    0.7  # part of an image on the side that makes the interval wider: with ½ it covers 92.8 % here and there
)


@dataclass(frozen=True, eq=False)
class Pairs:
    r"""Images that only the first, and only the second of two models hits, one pair a group.

    With d = b + c images on which the models disagree, b of them won by the first, the difference of the shares is
    ψ(2θ − 1): ψ is how often they disagree, θ how often the first wins then. θ is judged by the exact test
    (b of d), ψ is Beta(d + 0.7, n − d + 0.3) below 0, where more of it lowers the limit, and Beta(d + 0.3, n − d + 0.7)
    above, and the lower limit L solves

    .. math:: E_\psi\, P(\mathrm{Beta}(b, c + 1) \le (1 + L/\psi)/2) = 0.025.

    So it is above 0 if and only if the exact McNemar test finds the first better (two-sided p < 0.05). Where hits
    depend on thresholds that were estimated, b and c differ from threshold to threshold, and so does ψ's quantile.

    Args:
        won: Images that only the first model hits, shape (k,), or (j, k) at j equally likely pairs of thresholds.
        lost: Images that only the second hits.
        n: Images, shape (k,).
        values: Differences of the shares, shape (k,); (won − lost)/n by default.

    Source: McNemar 1947; Clopper, Pearson 1934, for θ. Differs from them in: the difference itself gets the interval.
    """

    won: NDArray[Any]
    lost: NDArray[Any]
    n: NDArray[Any]
    values: Floats

    @classmethod
    def of(cls, won: NDArray[Any], lost: NDArray[Any], n: NDArray[Any]) -> Pairs:
        """Pairs at thresholds that are not in doubt."""
        return cls(won, lost, n, np.asarray((won - lost) / np.where(n, n, np.nan), dtype=np.float64))

    def low(self, tail: float = TAIL) -> Floats:
        """Lower limits of the differences, missed with chance `tail`, shape (k,)."""
        return np.fmin(_limit(self.won, self.lost, self.n, tail), self.values)

    def high(self, tail: float = TAIL) -> Floats:
        """Upper limits, likewise."""
        return np.fmax(-_limit(self.lost, self.won, self.n, tail), self.values)

    def rates(self, reason: str) -> list[Rate]:
        """The differences as rates; undefined, for `reason`, without images."""
        low, high = self.low(), self.high()
        return [
            Rate(float(self.values[i]), float(low[i]), float(high[i]), int(n))
            if n
            else Rate.undefined(reason)
            for i, n in enumerate(self.n)
        ]

    def take(self, groups: NDArray[Any]) -> Pairs:
        """Some of the groups."""
        return Pairs(self.won[..., groups], self.lost[..., groups], self.n[groups], self.values[groups])


def _limit(won: NDArray[Any], lost: NDArray[Any], n: NDArray[Any], tail: float) -> Floats:
    if won.ndim == 1:
        if len(n) > MANY:
            return _of_many(won, lost, n, tail)
        won, lost = (np.broadcast_to(one, (NODES, len(n))) for one in (won, lost))
    return _solved(won, lost, n, tail)


def _of_many(won: NDArray[Any], lost: NDArray[Any], n: NDArray[Any], tail: float) -> Floats:
    """`_limit` of many groups, of which many have the same counts, in bounded memory."""
    different, places = np.unique(np.stack([won, lost, n]), axis=1, return_inverse=True)
    if different.shape[1] == 1:  # a single column is summed in another order
        different = np.repeat(different, 2, axis=1)
    limits = []
    for start in range(0, different.shape[1], BLOCK):
        first, second, rows = different[:, start : start + BLOCK]
        of_nodes = [np.broadcast_to(one, (NODES, len(rows))) for one in (first, second)]
        limits.append(_solved(of_nodes[0], of_nodes[1], rows, tail))
    return np.concatenate(limits)[places.reshape(-1)]


def _solved(won: NDArray[Any], lost: NDArray[Any], n: NDArray[Any], tail: float) -> Floats:
    apart = won + lost
    quantiles = (np.arange(len(won)) + 0.5)[:, None] / len(won)
    agreed = np.maximum(n - apart, 0)
    seldom, often = (betaincinv(apart + part, agreed + 1 - part, quantiles) for part in (1 - MORE, MORE))
    low, high = np.full(len(n), -1.0), np.ones(len(n))
    for _ in range(STEPS):
        middle = (low + high) / 2
        share = np.maximum(np.where(middle < 0, often, seldom), 1e-300)
        wins = np.clip((1 + middle / share) / 2, 0, 1)
        below = np.where(won > 0, betainc(np.maximum(won, 1), lost + 1, wins), wins > 0)
        reached = below.mean(axis=0) >= tail
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    # The last step is a hair's breadth: a limit that is 0 is 0.
    found = np.where(np.abs(low) < 1e-11, 0.0, low)
    return np.where(n > 0, found, np.nan)
