"""From scores to the numbers of a record: every model, the threshold-only control, and what they differ by."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise import fairness
from equipoise.data import ImageTable
from equipoise.errors import UndefinedRateWarning
from equipoise.fairness import Comparison, Evaluation
from equipoise.report.debias.record import ModelRecord
from equipoise.train import Fit

__all__ = ["ROLES", "TITLES", "Measured", "measure"]

TITLES = {
    "plain": "plain",
    "debiased": "debiased",
    "plain-same-steps": "plain, same steps",
    "uniform": "uniform, same losses",
    "threshold-only": "plain, threshold moved",
}
"""What people read for each model."""
ROLES = {"plain": "plain", "debiased": "debiased"}
"""The place of a model in a record; all others are controls."""


@dataclass(frozen=True)
class Measured:
    """Numbers of all models, and their differences from the first; None if there is no other."""

    models: dict[str, ModelRecord]
    comparisons: Comparison | None


def measure(
    probabilities: Mapping[str, NDArray[np.float64]],
    table: ImageTable,
    attributes: Sequence[str],
    *,
    fits: Mapping[str, Fit] | None = None,
    say: Callable[[str], None],
    **options: Any,
) -> Measured:
    """Evaluate every model, compare it with the first one, and add the threshold-only control.

    Args:
        probabilities: Model → probability of the positive class, one an image, with its logits if they are known. A
            second model of a method has its number in its name: "plain-2".
        table: The test images.
        attributes: Columns whose values are the groups; with several, each pair of them is looked at too.
        fits: Model → how it was trained, for its history and cost.
        say: Takes what is undefined, in words.
        options: Of `fairness.evaluate`: fpr, threshold, replicates, seed.
    """
    groups = [table.groups(attribute) for attribute in attributes]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UndefinedRateWarning)
        found = {
            name: fairness.evaluate(scores, table.labels, groups, **options)
            for name, scores in probabilities.items()
        }
        if {"plain", "debiased"} <= found.keys() and len(table.negatives):
            found["threshold-only"] = fairness.threshold_only(
                probabilities["plain"],
                table.labels,
                groups,
                like=probabilities["debiased"],
                **options,
            )
        compared = None
        if len(probabilities) > 1:
            compared = fairness.compare(
                probabilities, table.labels, groups, baseline=next(iter(probabilities)), **options
            )
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        say(message)
    return Measured(
        {name: _model(entry, name, (fits or {}).get(name)) for name, entry in found.items()}, compared
    )


def _model(found: Evaluation, name: str, fit: Fit | None) -> ModelRecord:
    method, number = _method(name)
    return ModelRecord(
        title=TITLES.get(method, method) + (f" {number}" if number else ""),
        role=ROLES.get(name, "control"),
        numbers=found,
        history={} if fit is None else {part: list(values) for part, values in fit.history.items()},
        seconds=None if fit is None else fit.seconds,
        steps=None if fit is None else fit.steps,
    )


def _method(name: str) -> tuple[str, str]:
    """The method behind a model's name, and its number if it is not the first one: "plain-2"."""
    method, _, number = name.rpartition("-")
    return (method, number) if method and number.isdecimal() else (name, "")
