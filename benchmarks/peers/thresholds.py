"""Peers that move the logits of the plain network, and train nothing more."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin

from equipoise.fairness import threshold_at_equal_error

from .harness import Outcome, Part, Task, cell_weights
from .last_layer import last_layer


def logit_adjustment(task: Task) -> Outcome:
    """Plain's logit less the log odds of the classes in training.

    Source: Menon et al. 2021, Long-tail learning via logit adjustment, post hoc, τ = 1. Differs from it in: nothing.
    """
    share = task.training.target.mean()
    moved = float(np.log(share / (1 - share)))
    return task.outcome(
        lambda part: task.plain.logits(part.images) - moved, task.plain, told={"moved": moved}
    )


def logit_scaling(task: Task) -> Outcome:
    """A factor and a shift of plain's logit, fitted to the held-out part with its classes weighing alike."""
    held_out = task.plain.logits(task.held_out.images)
    start = torch.tensor([[1.0]]), torch.tensor([0.0])
    weights = cell_weights(task.held_out.target)
    (factor,), shift = last_layer(held_out[:, None], task.held_out.target, weights, start, pull=1e-4)
    return task.outcome(
        lambda part: factor * task.plain.logits(part.images) + shift,
        task.plain,
        told={"factor": float(factor), "shift": shift},
    )


def class_threshold(task: Task) -> Outcome:
    """Plain, moved so that both classes are equally often right on the held-out part."""
    moved = threshold_at_equal_error(task.plain.logits(task.held_out.images), task.held_out.target)
    return task.outcome(
        lambda part: task.plain.logits(part.images) - moved, task.plain, told={"logit": moved}
    )


def group_threshold(task: Task) -> Outcome:
    """Plain, moved for each group so that both classes are equally often right there: needs groups in use too."""
    seen, held_out = task.plain.logits(task.held_out.images), task.held_out
    limits = {
        int(group): threshold_at_equal_error(
            seen[held_out.groups == group], held_out.target[held_out.groups == group]
        )
        for group in np.unique(held_out.groups)
    }

    def moved(part: Part) -> np.ndarray:
        return task.plain.logits(part.images) - np.array([limits[int(group)] for group in part.groups])

    return task.outcome(moved, task.plain, told={"logits": {str(k): v for k, v in limits.items()}})


class Scores(ClassifierMixin, BaseEstimator):
    """What fairlearn takes for a fitted estimator: the scores that it is handed."""

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, scores: np.ndarray, target: np.ndarray) -> Scores:
        return self

    def predict(self, scores: np.ndarray) -> np.ndarray:
        return np.asarray(scores).reshape(len(scores), -1)[:, 0]


def threshold_optimizer(task: Task) -> Outcome:
    """fairlearn's ThresholdOptimizer on plain's probabilities: equalised odds on the held-out part.

    It gives decisions, some by chance, not scores: logits are ±1, and a ranking by them has two ranks. It needs groups
    in use.
    """
    from fairlearn.postprocessing import ThresholdOptimizer

    def scores(part: Part) -> np.ndarray:
        return 1 / (1 + np.exp(-task.plain.logits(part.images)))[:, None]

    chooser = ThresholdOptimizer(
        estimator=Scores(), constraints="equalized_odds", prefit=True, predict_method="predict"
    )
    held_out = task.held_out
    chooser.fit(scores(held_out), held_out.target, sensitive_features=held_out.groups)

    def decided(part: Part) -> np.ndarray:
        said = chooser.predict(scores(part), sensitive_features=part.groups, random_state=task.seed)
        return 2.0 * np.asarray(said, float) - 1

    return task.outcome(decided, task.plain)
