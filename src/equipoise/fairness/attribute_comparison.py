"""`compare_attributes`: how far models move AP, DEO, BA, KL and the cells from a baseline, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from equipoise.errors import InputError
from equipoise.fairness import intervals
from equipoise.fairness.attribute_statistics import (
    KL,
    Called,
    Cell,
    Statistic,
    cell_numbers,
    largest,
    no_divergence,
    resampled,
    statistics,
    told_signs,
)
from equipoise.fairness.cells import Cells, score_vector
from equipoise.fairness.score_divergence import positive_smoothing
from equipoise.fairness.scored import finite, generator, replicate_count
from equipoise.groups import Groups
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
    made_of = statistics(cells, told_signs(signs, training_targets, training_protected))
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
        name: _difference(model, base, cells, made_of, smoothing, replicates, seed)
        for name, model in models.items()
    }


def _difference(
    model: Called,
    base: Called,
    cells: Cells,
    made_of: Mapping[str, Statistic],
    smoothing: float,
    replicates: int,
    seed: int,
) -> AttributeDifference:
    n, total, lacking = cells.counts.reshape(-1), len(cells.ids), cells.empty()
    chance = generator(seed, cells.protected.attribute, "pair")
    both = np.bincount(cells.ids[model.right & base.right], minlength=len(n))
    hits, base_hits = model.hits.reshape(-1), base.hits.reshape(-1)
    shape = (replicates, len(n))
    first, second = intervals.resampled_pairs(
        np.broadcast_to(both, shape),
        np.broadcast_to(hits, shape),
        np.broadcast_to(base_hits, shape),
        n,
        chance,
    )
    mine, theirs = (drawn.reshape(replicates, 2, -1) for drawn in (first, second))
    rates: dict[str, Rate] = {}
    for name, statistic in made_of.items():
        if statistic.reason is not None:
            rates[name] = Rate.undefined(statistic.reason, statistic.n)
            continue
        value = float(statistic.of(model.shares) - statistic.of(base.shares))
        interval = intervals.bias_corrected if statistic.biased else intervals.between
        rates[name] = interval(statistic.of(mine) - statistic.of(theirs), value, statistic.n)

    ours, bases = resampled((model, base), cells, smoothing, replicates, seed)
    moved = ours.ap - bases.ap
    rates["ap"] = (
        Rate.undefined(lacking, total)
        if lacking is not None
        else intervals.between(moved[1:], float(moved[0]), total)
    )
    for name, targets in KL.items():
        rows = int(cells.counts[list(targets)].sum())
        if (reason := no_divergence(cells, targets)) is not None:
            rates[name] = Rate.undefined(reason, rows)
            continue
        moved = largest(ours.divergences, targets) - largest(bases.divergences, targets)
        rates[name] = intervals.bias_corrected(moved[1:], float(moved[0]), rows)

    changes = (model.shares - base.shares).reshape(-1)
    accuracies = [
        intervals.between(first[:, i] - second[:, i], float(changes[i]), int(n[i]))
        if n[i]
        else Rate.undefined(f"no {cells.name(*divmod(i, cells.groups))}")
        for i in range(len(n))
    ]
    return AttributeDifference(**rates, cells=cell_numbers(cells, accuracies))
