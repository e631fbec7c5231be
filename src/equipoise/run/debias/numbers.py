"""From scores to the numbers of a record: every model, the threshold-only control, and what they differ by."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equipoise import fairness
from equipoise.data import ImageTable
from equipoise.errors import UndefinedRateWarning
from equipoise.fairness import ClassComparison, ClassEvaluation, Comparison, Evaluation
from equipoise.fairness.one_vs_rest import scores_of_class
from equipoise.groups import Groups
from equipoise.report.debias.record import ModelRecord
from equipoise.run.sides import check_class

if TYPE_CHECKING:  # tables of predictions are measured without torch
    from equipoise.train import Fit

__all__ = ["REFITTED", "ROLES", "TITLES", "Measured", "Truth", "measure"]

REFITTED = {"debiased": "debiased-refitted", "plain": "plain-refitted"}
"""What a model is called once it went through the second stage."""
TITLES = {
    "plain": "plain",
    "debiased": "debiased",
    "debiased-refitted": "debiased, last layer refitted",
    "plain-refitted": "plain, last layer refitted",
    "plain-same-steps": "plain, same steps",
    "uniform": "uniform, same losses",
    "threshold-only": "plain, threshold moved",
}
"""What people read for each model."""
ROLES = {"plain": "plain", "debiased": "debiased", "debiased-refitted": "debiased"}
"""The place of a model in a record; all others are controls."""


@dataclass(frozen=True)
class Measured:
    """Numbers of all models, and their differences from the first; None if there is no other."""

    models: dict[str, ModelRecord]
    comparisons: Comparison | None
    class_comparisons: ClassComparison | None = None
    positive: str | None = None

    def titled(self, titles: Mapping[str, str]) -> Measured:
        """The same, some models with other titles."""
        models = {
            name: replace(model, title=titles.get(name, model.title)) for name, model in self.models.items()
        }
        return replace(self, models=models)

    def parts(self) -> dict[str, Any]:
        """What a record holds of them, by its fields."""
        return vars(self)


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of the images that models are measured on.

    Args:
        labels: Class ids, shape (n,).
        classes: Names by id.
        groups: One `Groups` an attribute.
        detected: Id of the class whose detection is measured, against all others; None for none.
    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    groups: Sequence[Groups] = ()
    detected: int | None = None

    @classmethod
    def of(cls, table: ImageTable, attributes: Sequence[str], positive: str | None = None) -> Truth:
        """That of a table, with columns whose values are the groups; with several, each pair is looked at too.

        Args:
            table: The images.
            attributes: The columns.
            positive: Of more than two classes, the one whose detection is measured; of two it is class 1.

        Raises:
            InputError: if no class is called so.
        """
        detected = 1 if table.two_classes else None if positive is None else check_class(table, positive)
        return cls(table.labels, table.class_names, [table.groups(name) for name in attributes], detected)

    @property
    def positive(self) -> str | None:
        """Of more than two classes, the one whose detection is measured."""
        return None if self.detected is None or len(self.classes) == 2 else self.classes[self.detected]


def measure(
    probabilities: Mapping[str, NDArray[Any]],
    truth: Truth,
    *,
    fits: Mapping[str, Fit] | None = None,
    say: Callable[[str], None],
    **options: Any,
) -> Measured:
    """Evaluate every model, compare it with the first one, and add the threshold-only control.

    Args:
        probabilities: Model → probability of the positive class, one an image, or of each of many classes (n, K), with
            its logits if they are known; where no class is detected, ids of the classes that images are called, too. A
            second model of a method has its number in its name: "plain-2".
        truth: What is known of the images.
        fits: Model → how it was trained, for its history and cost.
        say: Takes what is undefined, in words.
        options: Of `fairness.evaluate`: fpr, threshold, replicates, seed.
    """
    labels, detected, threshold = truth.labels, truth.detected, options.get("threshold", 0.5)
    every: dict[str, Any] = {"groups": truth.groups, "classes": truth.classes}
    found: dict[str, Evaluation] = {}
    compared = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UndefinedRateWarning)
        if detected is not None:
            scores = {
                name: scores_of_class(values, detected, len(truth.classes))
                for name, values in probabilities.items()
            }
            found, compared = _detection(scores, labels == detected, truth.groups, options)
        called = {name: called_classes(values, threshold) for name, values in probabilities.items()}
        if "threshold-only" in found and len(truth.classes) == 2:
            moved = found["threshold-only"].threshold
            called["threshold-only"] = called_classes(probabilities["plain"], moved)
        by_class = {
            name: fairness.evaluate_classes(values, labels, **every) for name, values in called.items()
        }
        of_classes = None
        if len(probabilities) > 1:
            of_classes = fairness.compare_classes(
                {name: called[name] for name in probabilities},
                labels,
                baseline=next(iter(probabilities)),
                **every,
            )
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        say(message)
    models = {
        name: _model(name, found.get(name), by_class.get(name), (fits or {}).get(name))
        for name in {**by_class, **found}
    }
    return Measured(models, compared, of_classes, truth.positive)


def _detection(
    scores: Mapping[str, NDArray[np.float64]],
    labels: NDArray[np.bool_],
    groups: Sequence[Groups],
    options: dict[str, Any],
) -> tuple[dict[str, Evaluation], Comparison | None]:
    """Numbers of positives against negatives, the threshold-only control among them."""
    found = {name: fairness.evaluate(values, labels, groups, **options) for name, values in scores.items()}
    if {"plain", "debiased"} <= found.keys() and not labels.all():
        found["threshold-only"] = fairness.threshold_only(
            scores["plain"], labels, groups, like=scores["debiased"], **options
        )
    if len(scores) < 2:
        return found, None
    return found, fairness.compare(scores, labels, groups, baseline=next(iter(scores)), **options)


def called_classes(probabilities: NDArray[Any], threshold: float) -> NDArray[Any]:
    """What tells the class that each image is called: of two, ids, positive from the threshold on; of many, scores."""
    if probabilities.ndim == 1 and probabilities.dtype.kind == "f":
        return np.asarray(np.asarray(probabilities) >= threshold).astype(np.int64)
    return probabilities


def _model(
    name: str, found: Evaluation | None, classes: ClassEvaluation | None, fit: Fit | None
) -> ModelRecord:
    method, number = _method(name)
    return ModelRecord(
        title=TITLES.get(method, method) + (f" {number}" if number else ""),
        role=ROLES.get(name, "control"),
        numbers=found,
        history={} if fit is None else {part: list(values) for part, values in fit.history.items()},
        seconds=None if fit is None else fit.seconds,
        steps=None if fit is None else fit.steps,
        classes=classes,
    )


def _method(name: str) -> tuple[str, str]:
    """The method behind a model's name, and its number if it is not the first one: "plain-2"."""
    method, _, number = name.rpartition("-")
    return (method, number) if method and number.isdecimal() else (name, "")
