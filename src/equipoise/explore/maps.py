"""Where rows lie on the map, and which rows are near: by kept features, or by scores and risks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.explore.columns import Column
from equipoise.files import read_bytes

__all__ = ["Space", "kept_features", "principal", "spaces"]

FORMAT = "equipoise-features-1"
SAMPLE = 4000  # rows that axes of features are found on
BLOCK = 1 << 24  # numbers at a time


@dataclass(frozen=True, eq=False)
class Space:
    """Vectors of rows.

    Args:
        name: "features" or "scores".
        title: What people read.
        vectors: Shape (n, d); perhaps memory-mapped.
    """

    name: str
    title: str
    vectors: NDArray[Any]

    def near(self, row: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Nearest other rows by Euclidean distance, nearest first, and how far they are."""
        n, d = self.vectors.shape
        far = np.empty(n, np.float32)
        here = np.asarray(self.vectors[row], np.float32)
        step = max(1, BLOCK // max(1, d))
        for start in range(0, n, step):
            away = np.asarray(self.vectors[start : start + step], np.float32) - here
            far[start : start + step] = np.sqrt(np.einsum("ij,ij->i", away, away))
        far[row] = np.inf
        count = min(count, n - 1)
        if count < 1:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        some = np.argpartition(far, count - 1)[:count]
        some = some[np.argsort(far[some], kind="stable")]
        return some.astype(np.int64), far[some]


def kept_features(cache: Path, name: str | None, rows: int) -> NDArray[Any] | None:
    """Features that an audit kept of its rows, shape (n, d), memory-mapped; None where they are gone or are others."""
    if name is None:
        return None
    folder = cache / "features" / name
    try:
        said = json.loads(read_bytes(folder / "store.json", most=1 << 20))
        found = np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False)
        fits = said["format"] == FORMAT and found.shape == (rows, said["dimensions"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if fits and found.dtype.kind == "f" else None


def spaces(columns: Sequence[Column], features: NDArray[Any] | None) -> list[Space]:
    """Spaces to draw, the best first."""
    found = []
    if features is not None:
        found.append(Space("features", f"features ({features.shape[1]:,} numbers)", features))
    wanted = ("score", "percentile", "risk")
    covered = {one.name.removesuffix("_percentile") for one in columns if one.role == "percentile"}
    some = [c for c in columns if c.names is None and c.role in wanted and c.name not in covered]
    some = some or [c for c in columns if c.names is None]
    if len(some) > 1:
        found.append(Space("scores", f"scores ({len(some)} columns)", _standardised(some)))
    return found


def _standardised(columns: Sequence[Column]) -> NDArray[np.float32]:
    """Columns with mean 0 and deviation 1; a row without a value stands in the middle."""
    values = np.stack([one.values.astype(np.float64) for one in columns], 1)
    known = np.isfinite(values)
    count = np.maximum(known.sum(0), 1)
    filled = np.where(known, values, 0)
    centred = np.where(known, values - filled.sum(0) / count, 0)
    spread = np.sqrt((centred**2).sum(0) / count)
    return np.asarray(centred / np.where(spread > 0, spread, 1), np.float32)


def principal(
    vectors: NDArray[Any], *, axes: int = 2, seed: int = 0
) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Positions on the axes of largest variance, shape (n, axes), and the share of the variance of each.

    Axes are found on at most 4,000 rows, drawn by `seed`: of more the map looks the same.
    """
    n, d = vectors.shape
    rows = (
        np.arange(n) if n <= SAMPLE else np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))
    )
    some = np.asarray(vectors[rows], np.float32)
    mean = some.mean(0)
    some -= mean
    if len(some) < d:  # of the few rows' products: the same axes
        values, left = np.linalg.eigh(some @ some.T)
        found = some.T @ left
    else:
        values, found = np.linalg.eigh(some.T @ some)
    found = found[:, ::-1][:, :axes]
    found = found / np.maximum(np.linalg.norm(found, axis=0), 1e-30)
    if found.shape[1] < axes:
        found = np.pad(found, ((0, 0), (0, axes - found.shape[1])))
    largest = found[np.abs(found).argmax(0), np.arange(axes)]
    found *= np.where(largest < 0, -1, 1)  # a sign that does not hang on the machine
    total = max(float(values.sum()), 1e-30)
    shares = [max(0.0, float(v)) / total for v in values[::-1][:axes]] + [0.0] * axes
    positions = np.empty((n, axes), np.float32)
    step = max(1, BLOCK // max(1, d))
    for start in range(0, n, step):
        positions[start : start + step] = (
            np.asarray(vectors[start : start + step], np.float32) - mean
        ) @ found
    return positions, tuple(shares[:axes])
