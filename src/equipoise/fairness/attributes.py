r"""`attribute_metrics`: does a classifier of a target attribute lean on a protected one? AP, DEO, BA, KL, cells.

Rows with target t and protected value g make a cell. With more than two protected values, DEO and KL are the
largest of all pairs of groups, BA is the mean over groups with each group's own sign; for several protected
attributes, call again. Fractions are in [0, 1] (papers print them times 100), KL is in nats.

**Intervals** are 95 %, over images, with the number of rows in each cell held fixed. Accuracies, DEO and BA rest
on counts: `equipoise.intervals` says how. AP rests on scores: every row gets a random weight (Rubin's Bayesian
bootstrap within each cell), and so does, with 0.03 of a row, one that was not drawn and is ranked as badly, or as well,
as can be; without it AP of small cells misses the truth in up to 17 % of cases. KL: see `attribute_divergence`. How
often they all hold the truth stands in docs/coverage.md. Of more than 50,000 rows the replicates are drawn for levels
of the scores, so that they cost no more for more rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError, UndefinedRateWarning
from equipoise.fairness.attribute_divergence import divergence_rates
from equipoise.fairness.attribute_statistics import (
    Called,
    Cell,
    amplification,
    balanced_accuracy,
    cell_numbers,
    no_gap,
    resampled,
    told_signs,
)
from equipoise.fairness.cells import Cells, score_vector
from equipoise.fairness.score_divergence import positive_smoothing
from equipoise.fairness.scored import finite, generator, replicate_count
from equipoise.groups import Groups
from equipoise.intervals import Proportions, gap, held, proportion, worst
from equipoise.rate import Rate

__all__ = [
    "AttributeMetrics",
    "Cell",
    "attribute_metrics",
    "threshold_at_equal_error",
    "threshold_at_prevalence",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class AttributeMetrics:
    """Numbers about one model, one target and one protected attribute.

    Args:
        attribute: The protected attribute.
        n: Rows.
        threshold: Scores at or above it are called positive.
        ap: Average precision with all cells counting equally; larger is better, 0.5 is about chance.
        deo: Difference in equal opportunity, the largest `|FNR(g) − FNR(h)|`; 0 is equal.
        ba: Bias amplification, the mean over groups of ±(P(t̂ = 1|g) − P(t = 1|g)); the sign is + where the group
            went with the positive class in training. Above 0 the model exaggerates what training correlated.
        kl: Divergence of two groups' score histograms, both directions summed, the mean of positives and
            negatives; nats, 0 is equal. See `fairness.score_divergence`.
        kl_positives: The same of the positives only; `kl_negatives` of the negatives.
        average_accuracy: Share of all rows called right.
        balanced_accuracy: Mean accuracy of the cells.
        worst_cell_accuracy: The lowest accuracy of a cell. The interval is that of the lowest of all cells.
        worst_cell: The cell that has it, in words; None if undefined.
        cells: Every cell, positives first.
        fnr: group → share of its positives missed.
        signs: group → +1, −1 or 0, what training correlated; None if that was not told.
        edges: Edges of the bins of KL; the outer bins reach on to ±∞.
    """

    attribute: str
    n: int
    threshold: float
    ap: Rate
    deo: Rate
    ba: Rate
    kl: Rate
    kl_positives: Rate
    kl_negatives: Rate
    average_accuracy: Rate
    balanced_accuracy: Rate
    worst_cell_accuracy: Rate
    worst_cell: str | None
    cells: tuple[Cell, ...]
    fnr: dict[str, Rate]
    signs: dict[str, int] | None
    edges: tuple[float, ...]


def threshold_at_prevalence(scores: ArrayLike, targets: ArrayLike) -> float:
    """The threshold at which as many rows are called positive as there are positives; choose it on validation.

    It is a score that occurs. Tied rows are called alike, so with ties the count may miss: then it is the
    nearest count that can be reached, of two equally near ones the smaller, and never none.

    Args:
        scores: Scores of the validation rows, any finite numbers.
        targets: Their targets, 1 = positive, 0 = negative.

    Raises:
        InputError: if there are no positives or no negatives, a score is not finite, or lengths differ.

    Source: Ramaswamy, Kim, Russakovsky 2021. Differs from it in: the rule for ties is stated.

    Example:
        >>> threshold_at_prevalence([0.9, 0.8, 0.7, 0.2], [1, 0, 1, 0])
        0.8
        >>> threshold_at_prevalence([0.9, 0.7, 0.7, 0.7], [1, 0, 1, 0])
        0.9
    """
    values, labels = _validation(scores, targets)
    distinct, rows = np.unique(-values, return_counts=True)
    return float(-distinct[np.argmin(np.abs(rows.cumsum() - labels.sum()))])


def threshold_at_equal_error(scores: ArrayLike, targets: ArrayLike) -> float:
    """The threshold at which positives and negatives are equally often right; choose it on validation.

    The equal error rate's threshold. Unlike `threshold_at_prevalence` it does not depend on how many positives
    there are, so that a class that is rare is not called wrong more often for it. It is a score that occurs. Tied
    rows are called alike and counts are whole, so the two shares may miss each other: then it is where they are
    nearest, at two equally near ones the lower threshold.

    Args:
        scores: Scores of the validation rows, any finite numbers.
        targets: Their targets, 1 = positive, 0 = negative.

    Raises:
        InputError: if there are no positives or no negatives, a score is not finite, or lengths differ.

    Example:
        >>> threshold_at_equal_error([0.9, 0.6, 0.4, 0.7, 0.3, 0.2, 0.1, 0.05, 0.0], [1, 1, 1, 0, 0, 0, 0, 0, 0])
        0.4
        >>> threshold_at_equal_error([0.9, 0.6, 0.3, 0.7, 0.5, 0.1], [1, 1, 1, 0, 0, 0])
        0.6
    """
    values, labels = _validation(scores, targets)
    distinct, place = np.unique(values, return_inverse=True)
    below = np.stack([np.bincount(place[labels == t], minlength=len(distinct)) for t in (False, True)])
    right, missed = np.cumsum(below, axis=1) - below  # negatives and positives under each score
    negatives, positives = int((~labels).sum()), int(labels.sum())
    gaps = (positives - missed) * negatives - right * positives  # whole numbers, so that ties are exact
    return float(distinct[np.argmin(np.abs(gaps))])


def _validation(scores: ArrayLike, targets: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores and targets to choose a threshold by, checked."""
    labels = Cells.checked(targets, Groups(np.zeros(np.size(targets), np.int64), ("all",))).targets
    values = score_vector(scores, len(labels))
    positives = int(labels.sum())
    if not 0 < positives < len(labels):
        raise InputError(
            f"Choosing a threshold needs positives and negatives; got {positives} positives among "
            f"{len(labels)} rows. Choose it on a validation part that has both."
        )
    return values, labels


# Keywords of a public door, each a choice of its own.
def attribute_metrics(
    scores: ArrayLike,
    targets: ArrayLike,
    protected: Groups,
    *,
    threshold: float,
    training_targets: ArrayLike | None = None,
    training_protected: Groups | None = None,
    signs: Mapping[str, int] | None = None,
    bins: int | ArrayLike = 20,
    smoothing: float = 1.0,
    replicates: int = 500,
    seed: int = 0,
) -> AttributeMetrics:
    """AP, DEO, BA, KL and the accuracy of every cell, each with its interval or the reason why it is undefined.

    Args:
        scores: Any finite numbers, larger is more positive; KL depends on their scale (logits or
            probabilities) unless `bins` are edges at quantiles.
        targets: 1 = positive, 0 = negative.
        protected: Protected value of each row.
        threshold: Scores at or above it are called positive: see `threshold_at_prevalence`.
        training_targets: Targets of the training rows, for the sign of BA.
        training_protected: Their protected values.
        signs: In place of both, what `training_signs` gives.
        bins: Bins of KL: their number, or the edges.
        smoothing: Rows added to each histogram of KL, above 0.
        replicates: Resamples behind the intervals.
        seed: Seed of the resampling.

    Raises:
        InputError: if a score is not finite, a target not 0 or 1, a row has no protected value, lengths
            differ, or a setting is out of range.

    Warns:
        UndefinedRateWarning: once, naming the cells without rows.

    Undefined: AP, KL, balanced and worst-cell accuracy if a cell has no rows (a group that is named and has
        none counts); DEO if a group has no positives; DEO and KL with one group; BA if a group has no rows
        here or in training, or training correlated nothing, or was not told.

    Source: Ramaswamy, Kim, Russakovsky 2021, Fair attribute classification through latent space de-biasing.
        Differs from it in: KL has common bins and declared smoothing, more than two groups, intervals.

    Example:
        >>> gender = Groups.from_column(["f"] * 100 + ["m"] * 100, attribute="gender")
        >>> old = np.tile(np.r_[np.ones(50), np.zeros(50)], 2)
        >>> scores = np.r_[np.full(30, 0.9), np.full(70, 0.1), np.full(60, 0.9), np.full(40, 0.1)]
        >>> found = attribute_metrics(scores, old, gender, threshold=0.5, signs={"f": -1, "m": 1})
        >>> round(found.deo.value, 3), round(found.ba.value, 3), found.worst_cell
        (0.4, 0.15, "positives with gender = 'f'")
    """
    cells = Cells.checked(targets, protected)
    smoothing, replicates = positive_smoothing(smoothing), replicate_count(replicates)
    scores = score_vector(scores, len(cells.ids))
    called = Called.of(scores, cells, finite(threshold, "The threshold"), bins)
    told = told_signs(signs, training_targets, training_protected)
    if (lacking := cells.empty()) is not None:
        warnings.warn(
            f"There are {lacking}. Numbers that need them are undefined, not 0.",
            UndefinedRateWarning,
            stacklevel=2,
        )
    rates, accuracies, worst_cell = _of_counts(called, cells, told)
    rates |= _of_scores(called, cells, smoothing, replicates, seed)
    return AttributeMetrics(
        attribute=cells.protected.attribute,
        n=len(cells.ids),
        threshold=called.threshold,
        **rates,
        worst_cell=worst_cell,
        cells=cell_numbers(cells, accuracies),
        fnr={
            name: accuracies[cells.groups + group].complement
            for group, name in enumerate(cells.protected.names)
        },
        signs=told,
        edges=tuple(called.edges.tolist()),
    )


def _of_counts(
    called: Called, cells: Cells, signs: Mapping[str, int] | None
) -> tuple[dict[str, Rate], list[Rate], str | None]:
    """Numbers that rest on counts of right calls, the accuracy of each cell, and the worst cell in words."""
    n, total, lacking = cells.counts.reshape(-1), len(cells.ids), cells.empty()
    shares = Proportions(called.hits, n)
    accuracies = [
        rate if rate.defined else Rate.undefined(f"no {cells.name(*divmod(i, cells.groups))}")
        for i, rate in enumerate(shares.rates("no rows"))
    ]
    worst_cell, lowest = None, Rate.undefined(lacking, total) if lacking is not None else None
    if lowest is None:
        position, lowest = worst(shares)
        worst_cell = cells.name(*divmod(position, cells.groups))
    rates = {
        "average_accuracy": proportion(int(called.hits.sum()), total),
        "balanced_accuracy": balanced_accuracy(cells).rate(accuracies),
        "ba": amplification(cells, signs).rate(accuracies),
        "worst_cell_accuracy": lowest,
        "deo": gap(shares.take(np.arange(cells.groups, len(n))))
        if (reason := no_gap(cells)) is None
        else Rate.undefined(reason, int(cells.counts[1].sum())),
    }
    return rates, accuracies, worst_cell


def _of_scores(called: Called, cells: Cells, smoothing: float, replicates: int, seed: int) -> dict[str, Rate]:
    """AP and KL."""
    (drawn,) = resampled((called,), cells, smoothing, replicates, seed)
    reason, rows = cells.empty(), len(cells.ids)
    ap = (
        Rate.undefined(reason, rows)
        if reason is not None
        else held(min(1.0, drawn.ap), drawn.ap_low, drawn.ap_high, rows)
    )
    chance = generator(seed, cells.protected.attribute, "divergences")
    return {"ap": ap, **divergence_rates(called, cells, drawn, smoothing, chance)}
