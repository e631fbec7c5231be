from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from equipoise import Groups


@dataclass
class Scene:
    """Scores of a model that finds the rare group less well; negatives have no group."""

    scores: np.ndarray
    labels: np.ndarray
    race: Groups
    gender: Groups

    def permuted(self, order: np.ndarray) -> Scene:
        return Scene(self.scores[order], self.labels[order], self.race.take(order), self.gender.take(order))


def scene(seed: int = 0, positives: int = 600, negatives: int = 500) -> Scene:
    rng = np.random.default_rng(seed)
    race = rng.choice(["a", "b", "c"], positives, p=[0.6, 0.3, 0.1])
    gender = rng.choice(["f", "m"], positives)
    logits = rng.normal(2.5, 1.2, positives) - 1.5 * (race == "c")
    # Rounded, so that there are ties.
    scores = np.round(1 / (1 + np.exp(-np.r_[logits, rng.normal(-2, 1.2, negatives)])), 2)
    nothing = [None] * negatives
    return Scene(
        scores,
        np.r_[np.ones(positives, int), np.zeros(negatives, int)],
        Groups.from_column([*race, *nothing], attribute="race"),
        Groups.from_column([*gender, *nothing], attribute="gender"),
    )


@pytest.fixture
def made():
    return scene()


@pytest.fixture
def make():
    return scene
