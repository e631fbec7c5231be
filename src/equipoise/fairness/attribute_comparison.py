"""`compare_attributes`: how far models move AP, DEO, BA, KL and the cells from a baseline, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from equipoise.errors import InputError
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
from equipoise.intervals import (
    Pairs,
    Proportions,
    combination,
    gap_difference,
    held,
    worst_difference,
)
from equipoise.rate import Rate

__all__ = ["AttributeDifference", "compare_attributes"]


@dataclass(frozen=True)
class AttributeDifference:
    """A model minus the baseline on the same rows, names as in `AttributeMetrics`.

    Better is above 0 for `ap` and the accuracies, below 0 for `deo`, `kl` and, if the baseline amplifies, `ba`.
    """

    ap: Rate
    deo: Rate
    ba: Rate
    kl: Rate
    kl_positives: Rate
    kl_negatives: Rate
    average_accuracy: Rate
    balanced_accuracy: Rate
    worst_cell_accuracy: Rate
    cells: tuple[Cell, ...]


# Keywords of a public door, each a choice of its own.
def compare_attributes(
    scores: Mapping[str, ArrayLike],
    targets: ArrayLike,
    protected: Groups,
    *,
    baseline: str,
    thresholds: Mapping[str, float],
    training_targets: ArrayLike | None = None,
    training_protected: Groups | None = None,
    signs: Mapping[str, int] | None = None,
    bins: int | ArrayLike = 20,
    smoothing: float = 1.0,
    replicates: int = 500,
    seed: int = 0,
) -> dict[str, AttributeDifference]:
    """Differences of models from a baseline, with paired 95 % intervals: each resample is one for both models.

    Args:
        scores: model → scores, all of the same rows.
        targets: 1 = positive, 0 = negative.
        protected: Protected value of each row.
        baseline: The model that the others are compared with.
        thresholds: model → its own threshold, for each model of `scores`.
        bins: As for `attribute_metrics`; a number of bins is laid over each model's own range (common to its
            groups), edges are used for all models.

    Other arguments, errors and what is undefined: as for `attribute_metrics`.

    Raises:
        InputError: also if the baseline, another model or a threshold is missing.

    Returns:
        model → its difference from the baseline, which does not depend on the other models.
    """
    if baseline not in scores or len(scores) < 2 or set(thresholds) != set(scores):
        raise InputError(
            f"A comparison needs the baseline, at least one other model, and a threshold for each; got baseline "
            f"{baseline!r}, models {list(scores)} and thresholds for {list(thresholds)}. Name one of the models "
            "as the baseline, and choose each model's threshold on validation."
        )
    cells = Cells.checked(targets, protected)
    smoothing, replicates = positive_smoothing(smoothing), replicate_count(replicates)
    told = told_signs(signs, training_targets, training_protected)
    models = {
        name: Called.of(
            score_vector(values, len(cells.ids), f"Scores of {name!r}"),
            cells,
            finite(thresholds[name], f"The threshold of {name!r}"),
            bins,
        )
        for name, values in scores.items()
    }
    base = models.pop(baseline)
    return {
        name: _difference(model, base, cells, told, smoothing, replicates, seed)
        for name, model in models.items()
    }


def _difference(
    model: Called,
    base: Called,
    cells: Cells,
    signs: Mapping[str, int] | None,
    smoothing: float,
    replicates: int,
    seed: int,
) -> AttributeDifference:
    rates, accuracies = _of_counts(model, base, cells, signs)
    lacking, total = cells.empty(), len(cells.ids)
    ours, bases = resampled((model, base), cells, smoothing, replicates, seed)
    rates["ap"] = (
        Rate.undefined(lacking, total)
        if lacking is not None
        else held(ours.ap - bases.ap, ours.ap_low - bases.ap_high, ours.ap_high - bases.ap_low, total)
    )
    apart = [
        divergence_rates(
            called, cells, drawn, smoothing, generator(seed, cells.protected.attribute, "divergences")
        )
        for called, drawn in ((model, ours), (base, bases))
    ]
    for name, rate in apart[0].items():
        rates[name] = combination([1.0, -1.0], [rate, apart[1][name]], rate.n) if rate.defined else rate
    return AttributeDifference(**rates, cells=cell_numbers(cells, accuracies))


def _of_counts(
    model: Called, base: Called, cells: Cells, signs: Mapping[str, int] | None
) -> tuple[dict[str, Rate], list[Rate]]:
    """Differences of numbers that rest on counts of right calls, and of the accuracy of each cell."""
    n, lacking = cells.counts.reshape(-1), cells.empty()
    won, lost = (
        np.bincount(cells.ids[one.right & ~other.right], minlength=len(n))
        for one, other in ((model, base), (base, model))
    )
    pairs = Pairs.of(won, lost, n)
    accuracies = [
        rate if rate.defined else Rate.undefined(f"no {cells.name(*divmod(i, cells.groups))}")
        for i, rate in enumerate(pairs.rates("no rows"))
    ]
    first, second = Proportions(model.hits, n), Proportions(base.hits, n)
    everyone = Pairs.of(*(np.array([counts.sum()]) for counts in (won, lost, n)))
    positives = np.arange(cells.groups, len(n))
    rates = {
        "average_accuracy": everyone.rates("no rows")[0],
        "balanced_accuracy": balanced_accuracy(cells).rate(accuracies, difference=True),
        "ba": amplification(cells, signs).rate(accuracies, difference=True),
        "worst_cell_accuracy": worst_difference(first, second, pairs)
        if lacking is None
        else Rate.undefined(lacking, len(cells.ids)),
        "deo": gap_difference(first.take(positives), second.take(positives), pairs.take(positives))
        if (reason := no_gap(cells)) is None
        else Rate.undefined(reason, int(cells.counts[1].sum())),
    }
    return rates, accuracies
