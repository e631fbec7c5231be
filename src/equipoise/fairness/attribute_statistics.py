"""What `attribute_metrics` and `compare_attributes` share: numbers made of cells, and their resamples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness import intervals
from equipoise.fairness.average_precision import Ranking
from equipoise.fairness.cells import Cells, training_signs
from equipoise.fairness.evaluation import SMALL
from equipoise.fairness.score_divergence import Histograms, bin_edges, pairwise
from equipoise.fairness.scored import generator
from equipoise.groups import Groups
from equipoise.rate import Rate

__all__ = [
    "KL",
    "Called",
    "Cell",
    "Resampled",
    "Statistic",
    "cell_numbers",
    "largest",
    "no_divergence",
    "resampled",
    "statistics",
    "told_signs",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 400_000  # row weights held in memory at once; a few MB stay in the cache
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
        hits: Rows called right in each cell, (2, k); `shares` of the cell's rows, 0 where it has none.
    """

    scores: Floats
    threshold: float
    edges: Floats
    right: NDArray[np.bool_]
    hits: Ints
    shares: Floats

    @classmethod
    def of(cls, scores: Floats, cells: Cells, threshold: float, bins: int | ArrayLike) -> Called:
        """Call the rows."""
        right = (scores >= threshold) == cells.targets
        hits = np.bincount(cells.ids[right], minlength=2 * cells.groups).reshape(2, -1)
        shares = hits / np.maximum(cells.counts, 1)
        return cls(scores, threshold, bin_edges(scores, bins), right, hits.astype(np.int64), shares)


# --- numbers made of the cells' accuracies, shape (…, 2, k); row 0 are the negatives, row 1 the positives ---


def _deo(right: Floats) -> Floats:
    return intervals.SPREADS["gap"](right[..., 1, :])


def _worst(right: Floats) -> Floats:
    return np.asarray(right.min(axis=(-1, -2)))


def _balanced(right: Floats) -> Floats:
    return np.asarray(right.mean(axis=(-1, -2)))


def _average(right: Floats, counts: Ints) -> Floats:
    return np.asarray((np.nan_to_num(right) * counts).sum(axis=(-1, -2)) / counts.sum())


def _amplification(right: Floats, counts: Ints, directions: Ints) -> Floats:
    """Mean of ±(P(t̂ = 1|g) − P(t = 1|g)) over the groups that have a direction."""
    right = np.nan_to_num(right)
    wrong = (1 - right) * counts
    more = (wrong[..., 0, :] - wrong[..., 1, :]) / counts.sum(axis=0)
    told = directions != 0
    return np.asarray((more * directions)[..., told].mean(axis=-1))


@dataclass(frozen=True)
class Statistic:
    """A number made of the cells' accuracies.

    Args:
        of: From shares called right, (…, 2, k), to the number, (…).
        n: Rows it rests on.
        reason: Why it is undefined for these cells.
        biased: Whether noise alone moves it, as with gaps and minima.
    """

    of: Callable[[Floats], Floats]
    n: int
    reason: str | None = None
    biased: bool = False


def statistics(cells: Cells, signs: Mapping[str, int] | None) -> dict[str, Statistic]:
    """The numbers that rest on counts."""
    counts, total, lacking = cells.counts, len(cells.ids), cells.empty()
    directions, no_direction = _directions(signs, cells)
    return {
        "average_accuracy": Statistic(lambda right: _average(right, counts), total),
        "balanced_accuracy": Statistic(_balanced, total, lacking),
        "worst_cell_accuracy": Statistic(_worst, total, lacking, biased=True),
        "ba": Statistic(lambda right: _amplification(right, counts, directions), total, no_direction),
        "deo": Statistic(
            _deo, int(counts[1].sum()), ONE_GROUP if cells.groups < 2 else cells.empty((1,)), biased=True
        ),
    }


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

KL: dict[str, tuple[int, ...]] = {"kl": (1, 0), "kl_positives": (1,), "kl_negatives": (0,)}
"""Field → the targets whose divergences are averaged."""


def no_divergence(cells: Cells, targets: tuple[int, ...]) -> str | None:
    return ONE_GROUP if cells.groups < 2 else cells.empty(targets)


def largest(divergences: Floats, targets: tuple[int, ...]) -> Floats:
    """The pair of groups that is farthest apart, from (…, 2, pairs)."""
    return np.asarray(divergences[..., list(targets), :].mean(axis=-2).max(axis=-1))


def _row_weights(sizes: Ints, replicates: int, chance: np.random.Generator) -> Iterator[Floats]:
    """Weights of rows that lie cell by cell, each cell summing to 1, in blocks of (sets, n)."""
    rows, starts = int(sizes.sum()), np.cumsum(sizes) - sizes
    block = max(1, BLOCK // rows)
    for start in range(0, replicates, block):
        weights = chance.standard_exponential((min(block, replicates - start), rows))
        weights *= np.repeat(1 / np.add.reduceat(weights, starts, axis=1), sizes, axis=1)
        yield weights


@dataclass(frozen=True, eq=False)
class Resampled:
    """AP and divergences of one model: the plain value and the replicates.

    Args:
        ap: Shape (1 + replicates,), the plain value first.
        divergences: Of each pair of groups, shape (1 + replicates, 2, pairs), the plain value first.
        smoothed: The same with at least half a row a bin added: what is left if empty bins are chance.
    """

    ap: Floats
    divergences: Floats
    smoothed: Floats


def resampled(
    models: tuple[Called, ...], cells: Cells, smoothing: float, replicates: int, seed: int
) -> list[Resampled]:
    """The same sets of row weights for all models.

    Rows are put in an order of their own, by cell and scores, so that it does not matter how they came.
    """
    rows = np.lexsort((*(model.scores for model in reversed(models)), cells.ids))
    ids, targets = cells.ids[rows], cells.targets[rows]
    sizes = cells.counts.reshape(-1)
    sizes = sizes[sizes > 0]
    rankings = [Ranking.of(model.scores[rows], targets) for model in models]
    histograms = [Histograms.of(model.scores[rows], ids, model.edges, cells.groups) for model in models]
    aps: list[list[Floats]] = [[] for _ in models]
    divergences: list[list[Floats]] = [[] for _ in models]
    smoothed: list[list[Floats]] = [[] for _ in models]

    def add(weights: Floats) -> None:
        for i in range(len(models)):
            aps[i].append(rankings[i].average_precision(weights))
            shares = histograms[i].weighed(weights)
            divergences[i].append(pairwise(shares, cells.counts, smoothing))
            smoothed[i].append(pairwise(shares, cells.counts, max(smoothing, shares.shape[-1] / 2)))

    add(np.repeat(1 / sizes, sizes)[None])
    for weights in _row_weights(sizes, replicates, generator(seed, cells.protected.attribute, "rows")):
        add(weights)
    return [
        Resampled(*(np.concatenate(blocks) for blocks in of_model))
        for of_model in zip(aps, divergences, smoothed, strict=True)
    ]
