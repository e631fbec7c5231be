"""What `attribute_metrics` and `compare_attributes` share: numbers made of cells, and their resamples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness.average_precision import Ranking
from equipoise.fairness.cells import Cells, training_signs
from equipoise.fairness.evaluation import SMALL
from equipoise.fairness.score_divergence import Histograms, bin_edges, pairwise
from equipoise.fairness.scored import generator
from equipoise.groups import Groups
from equipoise.intervals import combination
from equipoise.rate import Rate

__all__ = [
    "ONE_GROUP",
    "Called",
    "Cell",
    "Resampled",
    "Sum",
    "amplification",
    "balanced_accuracy",
    "cell_numbers",
    "no_gap",
    "resampled",
    "told_signs",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 400_000  # row weights that are drawn at once
MANY = 50_000  # rows, up to which each has a weight of its own
LEVELS = 2_500, 100  # of the scores of one model, and of each of two, where rows are more
UNSEEN = 0.03
"""Weight of a row that was not drawn, in rows: what AP's interval lacks otherwise; calibrated by simulation."""
ONE_GROUP = "fewer than two groups"
NO_TRAINING = "no training labels were given"


@dataclass(frozen=True)
class Cell:
    """Rows with one target in one group; fewer than 30 are marked small.

    Args:
        target: 1 = positive, 0 = negative.
        group: Name of the protected value.
        n: Rows.
        small: Fewer than 30.
        accuracy: Share called right; in a difference, the change of it.
    """

    target: int
    group: str
    n: int
    small: bool
    accuracy: Rate


@dataclass(frozen=True, eq=False)
class Called:
    """One model's scores and calls.

    Args:
        scores: Shape (n,).
        threshold: Scores at or above it are called positive.
        edges: Edges of the bins of KL.
        right: Whether each row is called right.
        hits: Rows called right in each cell, (2k,).
    """

    scores: Floats
    threshold: float
    edges: Floats
    right: NDArray[np.bool_]
    hits: Ints

    @classmethod
    def of(cls, scores: Floats, cells: Cells, threshold: float, bins: int | ArrayLike) -> Called:
        """Call the rows."""
        right = (scores >= threshold) == cells.targets
        hits = np.bincount(cells.ids[right], minlength=2 * cells.groups).astype(np.int64)
        return cls(scores, threshold, bin_edges(scores, bins), right, hits)


# --- numbers made of the cells' accuracies; cells lie in the order target·k + group ---


@dataclass(frozen=True, eq=False)
class Sum:
    """A number that is a constant and a weighted sum of the cells' accuracies.

    Args:
        coefficients: Shape (2k,).
        constant: Falls out of a difference.
        n: Rows it rests on.
        reason: Why it is undefined for these cells.
    """

    coefficients: Floats
    constant: float
    n: int
    reason: str | None = None

    def rate(self, accuracies: list[Rate], *, difference: bool = False) -> Rate:
        """The number from the accuracies, or its difference from the differences of the accuracies."""
        if self.reason is not None:
            return Rate.undefined(self.reason, self.n)
        used = np.flatnonzero(self.coefficients)
        found = combination(self.coefficients[used], [accuracies[i] for i in used], self.n)
        constant = 0.0 if difference else self.constant
        return Rate(found.value + constant, found.low + constant, found.high + constant, found.n)


def balanced_accuracy(cells: Cells) -> Sum:
    """Mean accuracy of the cells."""
    size = cells.counts.size
    return Sum(np.full(size, 1 / size), 0.0, len(cells.ids), cells.empty())


def amplification(cells: Cells, signs: Mapping[str, int] | None) -> Sum:
    """Mean of ±(P(t̂ = 1|g) − P(t = 1|g)) over the groups that have a direction."""
    directions, reason = _directions(signs, cells)
    told = max(1, int(np.count_nonzero(directions)))
    # Negatives called wrong less positives called wrong, as a share of the group.
    shares = (
        directions * np.array([[1], [-1]]) * cells.counts / np.maximum(1, cells.counts.sum(axis=0)) / told
    )
    return Sum(-shares.reshape(-1), float(shares.sum()), len(cells.ids), reason)


def no_gap(cells: Cells) -> str | None:
    """Why there is no difference in equal opportunity."""
    return ONE_GROUP if cells.groups < 2 else cells.empty((1,))


def told_signs(
    signs: Mapping[str, int] | None, targets: ArrayLike | None, protected: Groups | None
) -> dict[str, int] | None:
    """Which groups went with the positive class in training, by name; None if nothing was given."""
    if (targets is None) != (protected is None) or (signs is not None and targets is not None):
        raise InputError(
            "The sign of bias amplification needs training_targets together with training_protected, or signs; "
            f"got targets: {targets is not None}, protected: {protected is not None}, signs: {signs is not None}. "
            "Give both of the first, or the third alone, or nothing."
        )
    if targets is not None and protected is not None:
        return training_signs(targets, protected)
    if signs is None:
        return None
    if wrong := {name: sign for name, sign in signs.items() if sign not in (-1, 0, 1)}:
        raise InputError(
            f"A sign must be +1, −1 or 0; got {wrong}. Take them from training_signs on the training labels."
        )
    return {name: int(sign) for name, sign in signs.items()}


def _directions(signs: Mapping[str, int] | None, cells: Cells) -> tuple[Ints, str | None]:
    """Sign of each group, (k,), and why there is no bias amplification."""
    names, attribute = cells.protected.names, cells.protected.attribute
    nothing = np.zeros(len(names), np.int64)
    if signs is None:
        return nothing, NO_TRAINING
    if bare := [name for name, n in zip(names, cells.counts.sum(axis=0), strict=True) if not n]:
        return nothing, f"no rows with {attribute} = {', '.join(map(repr, bare))}"
    if unknown := [name for name in names if name not in signs]:
        return nothing, f"no training rows with {attribute} = {', '.join(map(repr, unknown))}"
    directions = np.array([signs[name] for name in names], np.int64)
    if not directions.any():
        return nothing, "target and protected attribute are not correlated in training"
    return directions, None


def cell_numbers(cells: Cells, accuracies: list[Rate]) -> tuple[Cell, ...]:
    """The cells, positives first, from rates in the order target·k + group."""
    return tuple(
        Cell(
            target=target,
            group=name,
            n=int(cells.counts[target, group]),
            small=bool(cells.counts[target, group] < SMALL),
            accuracy=accuracies[target * cells.groups + group],
        )
        for target in (1, 0)
        for group, name in enumerate(cells.protected.names)
    )


# --- numbers made of scores ---


def _row_weights(
    times: Ints, sizes: Ints, replicates: int, chance: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """Weights of rows that lie cell by cell and, after them, of one unseen row a cell; in blocks of (sets, m + cells).

    First with, then without the unseen rows each cell sums to 1. A row that stands for several has their weights' sum.
    """
    rows, starts = len(times), np.cumsum(sizes) - sizes
    block = max(1, BLOCK // rows)
    for start in range(0, replicates, block):
        drawn = min(block, replicates - start)
        weights = chance.standard_gamma(times, (drawn, rows))
        unseen = chance.standard_gamma(UNSEEN, (drawn, len(sizes)))
        seen = np.add.reduceat(weights, starts, axis=1)
        whole = 1 / (seen + unseen)
        extended = np.concatenate([weights * np.repeat(whole, sizes, axis=1), unseen * whole], axis=1)
        weights *= np.repeat(1 / seen, sizes, axis=1)
        yield extended, weights


def _levels(scores: Floats, weights: Floats, edges: Floats, many: int) -> Floats:
    """Scores, each at the lower end of its level: levels weigh about the same, and none reaches over an edge."""
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(weights[order]) - weights[order]
    firsts = np.searchsorted(below, np.arange(many) * (weights.sum() / many))
    cuts = np.unique(
        np.concatenate([scores[order[:1]], scores[order[np.minimum(firsts, len(order) - 1)]], edges[1:-1]])
    )
    return np.asarray(cuts[np.maximum(np.searchsorted(cuts, scores, side="right") - 1, 0)])


@dataclass(frozen=True, eq=False)
class Resampled:
    """AP and divergences of one model.

    Args:
        ap: The plain value; `ap_low` and `ap_high` are its replicates, shape (replicates,), with the unseen row of each
            cell ranked as badly, or as well, as it may be.
        divergences: Of each pair of groups, shape (1 + replicates, 2, pairs), the plain value first.
    """

    ap: float
    ap_low: Floats
    ap_high: Floats
    divergences: Floats


def resampled(
    models: tuple[Called, ...], cells: Cells, smoothing: float, replicates: int, seed: int
) -> list[Resampled]:
    """The same sets of row weights for all models.

    Rows are put in an order of their own, by cell and scores, so that it does not matter how they came. Of more than
    50,000 rows those of one cell whose scores are on one level are drawn as one, so that replicates cost the same for
    any number of rows; the plain values are those of all rows still.
    """
    counts, n = cells.counts.reshape(-1), len(cells.ids)
    scores = [model.scores for model in models]
    exact: list[float | None] = [None] * len(models)
    if n > MANY:
        each = 1 / counts[cells.ids]
        exact = [float(Ranking.of(one, cells.targets).average_precision(each[None])[0]) for one in scores]
        many = LEVELS[len(models) > 1]
        scores = [_levels(one, each, model.edges, many) for one, model in zip(scores, models, strict=True)]
    rows = np.lexsort((*reversed(scores), cells.ids))
    times = np.ones(n, np.int64)
    if n > MANY:
        lying = np.stack([cells.ids, *scores])[:, rows]
        starts = np.flatnonzero(np.append(True, (lying[:, 1:] != lying[:, :-1]).any(axis=0)))
        rows, times = rows[starts], np.diff(np.append(starts, n))
    ids, targets = cells.ids[rows], cells.targets[rows]
    sizes = np.bincount(ids, minlength=len(counts))
    positive = np.flatnonzero(sizes) >= cells.groups
    plain = (times / counts[ids])[None]
    of_models = [
        _Ranked.of(one[rows], model.edges, cells, targets, ids, positive)
        for one, model in zip(scores, models, strict=True)
    ]
    for model in of_models:
        model.add(plain, None, cells, smoothing)
    chance = generator(seed, cells.protected.attribute, "rows")
    for extended, weights in _row_weights(times, sizes[sizes > 0], replicates, chance):
        for model in of_models:
            model.add(weights, extended, cells, smoothing)
    return [model.resampled(plain, value) for model, value in zip(of_models, exact, strict=True)]


@dataclass(frozen=True, eq=False)
class _Ranked:
    """One model's rankings and histograms, and what their resamples gave so far."""

    ranking: Ranking
    unseen: tuple[Ranking, Ranking]
    histograms: Histograms
    aps: tuple[list[Floats], list[Floats]]
    divergences: list[Floats]

    @classmethod
    def of(
        cls,
        scores: Floats,
        edges: Floats,
        cells: Cells,
        targets: NDArray[np.bool_],
        ids: Ints,
        positive: NDArray[np.bool_],
    ) -> _Ranked:
        """`positive` tells for each cell that has rows whether they are."""
        both = np.concatenate([targets, positive])
        low, high = (
            Ranking.of(np.concatenate([scores, np.where(below, -np.inf, np.inf)]), both)
            for below in (positive, ~positive)
        )
        histograms = Histograms.of(scores, ids, edges, cells.groups)
        return cls(Ranking.of(scores, targets), (low, high), histograms, ([], []), [])

    def add(self, weights: Floats, extended: Floats | None, cells: Cells, smoothing: float) -> None:
        """One block of weights; `extended` has the unseen rows."""
        self.divergences.append(pairwise(self.histograms.weighed(weights), cells.counts, smoothing))
        if extended is not None:
            for aps, ranking in zip(self.aps, self.unseen, strict=True):
                aps.append(ranking.average_precision(extended))

    def resampled(self, plain: Floats, exact: float | None) -> Resampled:
        """All blocks together; where rows were drawn level by level, AP is moved by what levels take from its value."""
        ap = float(self.ranking.average_precision(plain)[0])
        low, high = (np.concatenate(aps) for aps in self.aps)
        if exact is not None:
            low, high = (np.minimum(one + (exact - ap), 1.0) for one in (low, high))
        return Resampled(ap if exact is None else exact, low, high, np.concatenate(self.divergences))
