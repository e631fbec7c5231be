"""f_t and f_g: what the target and the protected attributes look like in the real images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data import Split
from equipoise.errors import UndefinedRateWarning
from equipoise.fairness import attribute_metrics
from equipoise.groups import Groups
from equipoise.rate import Rate
from equipoise.run.augment.checks import classifier_table
from equipoise.run.augment.protected import Protected
from equipoise.run.training import Trainer
from equipoise.seeds import child_seed
from equipoise.train import predict

__all__ = ["AttributeClassifiers", "attribute_classifiers"]


@dataclass(frozen=True, eq=False)
class AttributeClassifiers:
    """Classifiers by attribute, the target's first.

    Args:
        models: Networks that give a logit an image.
        natural: Share of the training images that have the attribute.
        accuracy: Of a protected attribute's classifier on validation images whose side is known, all cells of target ×
            protected counting equally.
    """

    models: dict[str, Any]
    natural: dict[str, float]
    accuracy: dict[str, Rate]

    def on(self, device: str) -> dict[str, Any]:
        """The networks on a device."""
        return {name: model.to(device) for name, model in self.models.items()}


def attribute_classifiers(
    tables: Split, target: str, known: Sequence[Protected], trainer: Trainer, *, learning: str, seed: int
) -> AttributeClassifiers:
    """Train a classifier of each attribute on the real training images.

    Args:
        tables: Labels are those of the target.
        target: Its name.
        known: The protected attributes.
        trainer: How classifiers are trained.
        learning: "balanced" draws all cells of target × protected equally often; "plain" takes the images as they are.
        seed: The one source of chance.
    """
    train = tables.train
    models: dict[str, Any] = {}
    natural, accuracy = {target: float(train.labels.mean())}, {}
    sides = {target: train.labels, **{one.name: one.ids["train"] for one in known}}
    for name, values in sides.items():
        title = f"classifier of {name}{', all cells drawn equally often' if learning == 'balanced' else ''}"
        table = classifier_table(
            train, values, known, learning=learning, seed=child_seed(seed, "cells", len(models))
        )
        models[name] = trainer.plain(
            f"attribute-{len(models)}", title, table, seed=child_seed(seed, "attribute", len(models))
        ).model
    for one in known:
        natural[one.name] = float(one.ids["train"][one.ids["train"] >= 0].mean())
        scores = predict(models[one.name], tables.validation, device=trainer.start.engine.device)
        accuracy[one.name] = _accuracy(scores, one.ids["validation"], tables.validation.labels)
    return AttributeClassifiers(models, natural, accuracy)


def _accuracy(scores: NDArray[np.float64], sides: NDArray[np.int64], targets: NDArray[np.int64]) -> Rate:
    known = np.flatnonzero(sides >= 0)
    cells = Groups(targets[known], ("without target", "with target"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedRateWarning)  # the rate carries the reason
        return attribute_metrics(scores[known], sides[known], cells, threshold=0.5).balanced_accuracy
