"""The numbers of `augment`: one classifier's attribute metrics after another, and their changes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import UndefinedRateWarning
from equipoise.fairness import AttributeDifference, attribute_metrics, compare_attributes
from equipoise.groups import Groups
from equipoise.probabilities import Probabilities, from_logits, sigmoid
from equipoise.report.augment.record import AttributeNumbers

__all__ = ["EDGES", "Judged", "Measured", "numbers_and_changes"]

EDGES = tuple(np.linspace(0, 1, 21).tolist())
"""Of the histograms of probabilities, on the page and behind KL: the same for all models."""
LOGIT_EDGES = (-10.0, *(math.log(edge / (1 - edge)) for edge in EDGES[1:-1]), 10.0)
"""The same as logits; the outer bins reach on to ±∞."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Measured:
    """An attribute by which models are measured.

    Args:
        groups: Group of each test image that has one.
        rows: Which test images these are.
        training: Groups and rows of the training images, for the sign of BA; None if training does not have it.
    """

    groups: Groups
    rows: Ints
    training: tuple[Groups, Ints] | None


@dataclass(frozen=True, eq=False)
class Judged:
    """A model's scores of the test images and its threshold, as logits: these rank without false ties."""

    scores: Floats
    threshold: float

    @property
    def probabilities(self) -> Probabilities:
        """What people read."""
        return from_logits(self.scores)

    @property
    def threshold_probability(self) -> float:
        """The threshold as a probability."""
        return float(sigmoid(self.threshold))


def numbers_and_changes(
    models: Mapping[str, Judged],
    targets: Ints,
    training_targets: Ints,
    attributes: Mapping[str, Measured],
    *,
    replicates: int,
    seed: int,
    say: Callable[[str], None],
) -> tuple[dict[str, dict[str, AttributeNumbers]], dict[str, dict[str, AttributeDifference]]]:
    """Model → attribute → numbers, and model → attribute → change against the first model.

    Args:
        models: By name, the baseline first.
        targets: Of the test images, 1 = has the target attribute.
        training_targets: Of the training images.
        attributes: By name.
        replicates: Resamples behind the intervals.
        seed: Seed of the resampling.
        say: Takes what is undefined, in words.
    """
    numbers: dict[str, dict[str, AttributeNumbers]] = {name: {} for name in models}
    changes: dict[str, dict[str, AttributeDifference]] = {name: {} for name in models}
    baseline = next(iter(models))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UndefinedRateWarning)
        for attribute, measured in attributes.items():
            mine = targets[measured.rows]
            scores = {name: one.scores[measured.rows] for name, one in models.items()}
            thresholds = {name: one.threshold for name, one in models.items()}
            options: dict[str, Any] = {"bins": LOGIT_EDGES, "replicates": replicates, "seed": seed}
            if measured.training is not None:
                groups, rows = measured.training
                options |= {"training_targets": training_targets[rows], "training_protected": groups}
            for name in models:
                found = attribute_metrics(
                    scores[name],
                    mine,
                    measured.groups,
                    threshold=thresholds[name],
                    **options,
                )
                shapes = _histograms(sigmoid(scores[name]), mine, measured.groups)
                numbers[name][attribute] = AttributeNumbers(found, shapes)
            if len(models) > 1:
                compared = compare_attributes(
                    scores,
                    mine,
                    measured.groups,
                    baseline=baseline,
                    thresholds=thresholds,
                    **options,
                )
                for name, difference in compared.items():
                    changes[name][attribute] = difference
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        say(message)
    return numbers, changes


def _histograms(probabilities: Floats, targets: Ints, groups: Groups) -> dict[str, dict[str, list[int]]]:
    """Class → group → images a bin."""
    return {
        title: {
            name: np.histogram(probabilities[(targets == target) & (groups.ids == group)], EDGES)[0].tolist()
            for group, name in enumerate(groups.names)
        }
        for title, target in (("positives", 1), ("negatives", 0))
    }
