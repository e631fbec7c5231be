r"""How far apart the score histograms of two groups are: Kullback-Leibler divergence, both directions, in nats.

.. math:: D(p, q) = KL(p \| q) + KL(q \| p) = \sum_b (p_b - q_b)(\log p_b - \log q_b)

**Common bins.** Both groups are counted in the same bins; that is the whole point. With bins of its own range
for each group, a histogram forgets where the scores lie: two normal distributions three standard deviations
apart, whose D is 9 exactly (4.5 each way), then look alike but for noise.

**Empty bins.** Where one group has scores and the other has none, the bare formula is infinite. Here each
histogram gets `smoothing` further rows (1 unless told otherwise), spread like the mean of the two histograms,
m = (p + q)/2: p̃ = (n p + s m)/(n + s). That is finite, symmetric, the same however many empty bins lie around,
and fades as rows are added. So D of two groups that share no bin is finite and grows like 2·log(2n): read it
as "at least that far apart". It needs s > 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness.cells import score_vector

__all__ = [
    "Histograms",
    "bin_edges",
    "pairwise",
    "positive_smoothing",
    "score_divergence",
    "score_divergence_own_ranges",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def score_divergence(
    first: ArrayLike, second: ArrayLike, *, bins: int | ArrayLike = 20, smoothing: float = 1.0
) -> float:
    """Divergence between two groups' scores on common bins, the sum of both directions, in nats; 0 is equal.

    Args:
        first: Scores of one group, any finite numbers.
        second: Scores of the other.
        bins: Number of equally wide bins from the lowest to the highest score of the two together, or the
            edges themselves (the outer bins then reach on to ±∞). Edges at quantiles of all scores make the
            number the same for probabilities and for logits.
        smoothing: Rows added to each histogram, above 0; see above.

    Raises:
        InputError: if a group has no scores, one is not finite, or `bins` or `smoothing` is out of range.

    Source: Ramaswamy, Kim, Russakovsky 2021 (metric "KL"). Differs from it in: the smoothing is declared.

    Example:
        >>> score_divergence([0.1, 0.2, 0.9], [0.1, 0.2, 0.9]), score_divergence([0.1] * 50, [0.9] * 50) > 8
        (0.0, True)
    """
    one, other = _two(first, second)
    edges = bin_edges(np.concatenate([one, other]), bins)
    return _divergence_of((one, edges), (other, edges), smoothing)


def score_divergence_own_ranges(
    first: ArrayLike, second: ArrayLike, *, bins: int = 20, smoothing: float = 1.0
) -> float:
    """The same with each group binned on *its own* range, as a public version does it: not a distance.

    Shifting or stretching all scores of a group changes nothing, so it misses just what it is meant to show.
    It is here to reproduce published numbers; nothing else in this library uses it. Arguments as above.
    """
    one, other = _two(first, second)
    return _divergence_of((one, bin_edges(one, bins)), (other, bin_edges(other, bins)), smoothing)


def bin_edges(scores: Floats, bins: int | ArrayLike) -> Floats:
    """Edges of the bins, shape (bins + 1,), from their number and the range of all scores, or as given.

    Raises:
        InputError: if there are fewer than two bins, or edges do not rise.
    """
    given = np.asarray(bins)
    if given.ndim == 0:
        if given.dtype.kind not in "iu" or given < 2:
            raise InputError(
                f"A histogram needs a whole number of bins, 2 or more, or their edges; got {bins!r}. "
                "20 is the usual choice."
            )
        low, high = float(scores.min()), float(scores.max())
        if not np.isfinite(high - low):
            raise InputError(
                f"Scores must span a finite range; got {low} to {high}. Give the edges of the bins, or clip."
            )
        if low == high:
            low, high = low - 0.5, high + 0.5
        return np.linspace(low, high, int(given) + 1)
    if given.ndim != 1 or len(given) < 3 or given.dtype.kind not in "fiu" or not (np.diff(given) > 0).all():
        raise InputError(
            f"Edges of bins must be three or more rising numbers; got {given.tolist()}. "
            "np.unique sorts them and drops doubles."
        )
    return given.astype(np.float64)


def positive_smoothing(smoothing: float) -> float:
    """Rows added to each histogram.

    Raises:
        InputError: unless it is finite and above 0.
    """
    if not (np.isfinite(smoothing) and smoothing > 0):
        raise InputError(
            f"The smoothing of histograms must be a finite number above 0; got {smoothing}. "
            "Without it an empty bin makes the divergence infinite; 1 is the usual choice."
        )
    return float(smoothing)


@dataclass(frozen=True, eq=False)
class Histograms:
    """Histograms of the cells of one model's scores, for many sets of weights at once.

    Args:
        order: Rows by cell and bin; None if they already lie so.
        starts: Where in that order each bin that is not empty begins.
        slots: Which bin that is, cell·bins + bin.
        shape: (2, k, bins).
    """

    order: Ints | None
    starts: Ints
    slots: Ints
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, scores: Floats, cells: Ints, edges: Floats, groups: int) -> Histograms:
        """Histograms of the rows' scores within each of the 2·groups cells."""
        bins = len(edges) - 1
        place = cells * bins + _binned(scores, edges)
        order = None
        if (np.diff(place) < 0).any():
            order = np.argsort(place, kind="stable")
            place = place[order]
        starts = np.flatnonzero(np.append(True, place[1:] != place[:-1]))
        return cls(order, starts, place[starts], (2, groups, bins))

    def weighed(self, weights: Floats) -> Floats:
        """Share of each cell's weight in each bin, (sets, 2, k, bins), for weights (sets, n) summing to 1 a cell.

        A cell without rows is 0 all over.
        """
        lying = weights if self.order is None else np.take(weights, self.order, axis=1)
        shares = np.zeros((len(weights), int(np.prod(self.shape))))
        shares[:, self.slots] = np.add.reduceat(lying, self.starts, axis=1)
        return shares.reshape(-1, *self.shape)


def pairwise(histograms: Floats, counts: Ints, smoothing: float) -> Floats:
    """Divergence of each pair of groups, (…, 2, pairs), from histograms (…, 2, k, bins) of `counts` rows, (2, k)."""
    pairs = list(combinations(range(counts.shape[1]), 2))
    found = np.zeros((*histograms.shape[:-2], len(pairs)))
    for place, (one, other) in enumerate(pairs):
        found[..., place] = _divergence(
            histograms[..., one, :], histograms[..., other, :], counts[:, one], counts[:, other], smoothing
        )
    return found


def _divergence(p: Floats, q: Floats, rows: Ints, others: Ints, smoothing: float) -> Floats:
    """Both directions summed, over the last axis; `rows` and `others` lack that axis."""
    mean = (p + q) / 2
    p, q = (
        (n[..., None] * share + smoothing * mean) / (n[..., None] + smoothing)
        for n, share in ((rows, p), (others, q))
    )
    seen = mean > 0
    ratio = np.log(np.where(seen, p, 1.0)) - np.log(np.where(seen, q, 1.0))
    return np.asarray(((p - q) * ratio).sum(axis=-1))


def _two(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    given = [np.asarray(first), np.asarray(second)]
    if any(scores.ndim != 1 or scores.size == 0 for scores in given):
        raise InputError(
            f"Each group needs a vector of at least one score; got shapes {given[0].shape} and "
            f"{given[1].shape}. Flatten the scores; a group without rows has no histogram."
        )
    return score_vector(given[0], len(given[0])), score_vector(given[1], len(given[1]))


def _divergence_of(one: tuple[Floats, Floats], other: tuple[Floats, Floats], smoothing: float) -> float:
    p, q = (
        np.bincount(_binned(scores, edges), minlength=len(edges) - 1) / len(scores)
        for scores, edges in (one, other)
    )
    rows, others = np.array(len(one[0])), np.array(len(other[0]))
    return float(_divergence(p, q, rows, others, positive_smoothing(smoothing)))


def _binned(scores: Floats, edges: Floats) -> Ints:
    return np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2).astype(np.int64)
