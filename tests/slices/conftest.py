"""Planted features: two classes, a few strong directions of no consequence, and small groups that a model fails on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray


class Scene(NamedTuple):
    """Features, labels, logits of label 1, and the hidden group of each image, −1 in none."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    hidden: NDArray[np.int64]


def _planted(
    n: int = 1600,
    *,
    groups: int = 2,
    seed: int = 0,
    failing: float = 0.7,
    wrong: float = 0.05,
    width: int = 30,
) -> Scene:
    """Group g is 7 % of class g % 2, apart from it along a direction of its own, and wrong with chance `failing`."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    features = rng.normal(size=(n, width)) * np.concatenate(
        [np.geomspace(5, 1, 10), np.full(width - 10, 0.5)]
    )
    features[:, 12] += 3 * labels
    hidden = np.full(n, -1)
    for group in range(groups):
        free = np.flatnonzero((labels == group % 2) & (hidden < 0))
        rows = rng.choice(free, round(0.07 * n / 2), replace=False)
        hidden[rows] = group
        features[rows, 15 + group] += 8.0
    fails = rng.random(n) < np.where(hidden >= 0, failing, wrong)
    logits = np.where((labels == 1) ^ fails, 1, -1) * rng.gamma(2, 1, n)
    return Scene(features.astype(np.float32), labels, logits, hidden)


@pytest.fixture(scope="session")
def planted() -> Callable[..., Scene]:
    return _planted
