"""Scenes that several rooms test on: small pictures whose structure is known because it is planted here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from equipoise.data import ImageTable


def discs(
    count: int = 240, *, size: int = 16, rare: float = 0.1, seed: int = 0, noise: float = 0.15
) -> ImageTable:
    """Discs (positives) against squares (negatives); a rare share of the discs is blue, the rest is red."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    grid = np.arange(size)
    images = np.empty((count, size, size, 3))
    colour = np.full(count, "red", dtype=object)
    positives = np.flatnonzero(labels == 1)
    colour[positives[: round(rare * len(positives))]] = "blue"
    for i in range(count):
        middle, radius = rng.uniform(0.4, 0.6, 2) * size, rng.uniform(0.22, 0.34) * size
        far = np.stack(
            [np.abs(grid - middle[0])[:, None] + 0 * grid, np.abs(grid - middle[1]) + 0 * grid[:, None]]
        )
        inside = (np.hypot(*far) if labels[i] else far.max(0)) < radius
        ink = np.array([0.2, 0.3, 0.9] if colour[i] == "blue" else [0.9, 0.4, 0.3])
        images[i] = np.where(inside[..., None], ink, 0.5) + rng.normal(0, noise, (size, size, 3))
    values = [None if label == 0 else c for label, c in zip(labels, colour, strict=True)]
    return ImageTable.from_arrays(np.clip(images, 0, 1), labels, {"colour": values})


@pytest.fixture
def scene() -> Callable[..., ImageTable]:
    return discs


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures beside the checkout; tests that need it skip without it."""
    places = [os.environ.get("EQUIPOISE_SHARED"), Path(__file__).resolve().parents[2] / "shared"]
    for place in filter(None, places):
        if (Path(place) / "data" / "fairface64" / "train.parquet").exists():
            return Path(place) / "data"
    pytest.skip("no folder of shared pictures beside the checkout (set EQUIPOISE_SHARED)")
