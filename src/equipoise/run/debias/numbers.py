"""From scores to the numbers of a record: every model, the threshold-only control, and what they differ by."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise import fairness
from equipoise.data import ImageTable
from equipoise.errors import UndefinedRateWarning
from equipoise.fairness import Difference, Evaluation
from equipoise.report.debias.record import (
    ComparisonRecord,
    GroupDifference,
    GroupRecord,
    ModelRecord,
    WorstGroup,
)
from equipoise.train import Fit

__all__ = ["ROLES", "TITLES", "Measured", "measure"]

TITLES = {
    "plain": "plain",
    "debiased": "debiased",
    "plain-same-steps": "plain, same steps",
    "uniform": "DB-VAE, uniform sampling",
    "threshold-only": "plain, threshold moved",
}
"""What people read for each model."""
ROLES = {"plain": "plain", "debiased": "debiased"}
"""The place of a model in a record; all others are controls."""
AT_THRESHOLD, AT_FPR = "at_0.5", "at_fpr"


@dataclass(frozen=True)
class Measured:
    """Numbers of all models, and their differences from the first."""

    models: dict[str, ModelRecord]
    comparisons: dict[str, ComparisonRecord]


def measure(
    probabilities: Mapping[str, NDArray[np.float64]],
    table: ImageTable,
    attributes: Sequence[str],
    *,
    methods: Mapping[str, str] | None = None,
    fits: Mapping[str, Fit] | None = None,
    fpr: float,
    replicates: int,
    seed: int,
    say: Callable[[str], None],
) -> Measured:
    """Evaluate every model, compare it with the first one, and add the threshold-only control.

    Args:
        probabilities: Model → probability of the positive class, one an image, with its logits if they are known.
        table: The test images.
        attributes: Columns whose values are the groups; with several, each pair of them is looked at too.
        methods: Model → method, where the model's name is not its method.
        fits: Model → how it was trained, for its history and cost.
        fpr: Matched false-positive rate.
        replicates: Bootstrap replicates.
        seed: Of the bootstrap.
        say: Takes what is undefined, in words.
    """
    groups = [table.groups(attribute) for attribute in attributes]
    options = {"fpr": fpr, "replicates": replicates, "seed": seed}
    baseline = next(iter(probabilities))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UndefinedRateWarning)
        found = {
            name: fairness.evaluate(scores, table.labels, groups, **options)  # type: ignore[arg-type]
            for name, scores in probabilities.items()
        }
        if {"plain", "debiased"} <= found.keys() and len(table.negatives):
            found["threshold-only"] = fairness.threshold_only(
                probabilities["plain"],
                table.labels,
                groups,
                like=probabilities["debiased"],
                **options,  # type: ignore[arg-type]
            )
        differences: Mapping[str, Difference] = {}
        if len(probabilities) > 1:
            differences = fairness.compare(
                probabilities,
                table.labels,
                groups,
                baseline=baseline,
                **options,  # type: ignore[arg-type]
            ).differences
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        say(message)
    named = {name: (methods or {}).get(name, name) for name in found}
    return Measured(
        {name: _model(entry, named[name], name, (fits or {}).get(name)) for name, entry in found.items()},
        {name: _comparison(difference, baseline) for name, difference in differences.items()},
    )


def _model(found: Evaluation, method: str, name: str, fit: Fit | None) -> ModelRecord:
    return ModelRecord(
        title=TITLES.get(method, name) + name.removeprefix(method).replace("-", " "),
        role=ROLES.get(name, "control"),
        fpr=found.fpr,
        tpr=found.tpr,
        tpr_at_fpr=found.tpr_at_fpr,
        threshold_at_fpr=found.threshold_at_fpr,
        auroc=found.auroc,
        accuracy=found.accuracy,
        groups={
            attribute: {
                group: GroupRecord(
                    n=numbers.tpr.n,
                    small=numbers.small,
                    tpr=numbers.tpr,
                    tpr_at_fpr=numbers.tpr_at_fpr,
                    auroc=numbers.auroc,
                    mean_probability=numbers.mean_probability,
                )
                for group, numbers in by_group.items()
            }
            for attribute, by_group in found.groups.items()
        },
        variance=found.variance,
        worst_group={
            attribute: {point: WorstGroup(worst["group"], worst["tpr"]) for point, worst in points.items()}
            for attribute, points in found.worst_group.items()
        },
        gap=found.gap,
        history={} if fit is None else {part: list(values) for part, values in fit.history.items()},
        seconds=None if fit is None else fit.seconds,
        steps=None if fit is None else fit.steps,
        logit_at_fpr=found.logit_at_fpr,
        saturated=found.saturated,
    )


def _comparison(difference: Difference, baseline: str) -> ComparisonRecord:
    return ComparisonRecord(
        baseline=baseline,
        fpr=difference.fpr,
        tpr=difference.tpr[AT_THRESHOLD],
        tpr_at_fpr=difference.tpr[AT_FPR],
        auroc=difference.auroc,
        accuracy=difference.accuracy,
        groups={
            attribute: {
                group: GroupDifference(points[AT_THRESHOLD], points[AT_FPR])
                for group, points in by_group.items()
            }
            for attribute, by_group in difference.groups.items()
        },
        variance=difference.variance,
        worst_group=difference.worst_group,
        gap=difference.gap,
    )
