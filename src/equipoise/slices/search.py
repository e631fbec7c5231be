"""Candidates of every class, merged: what the half that finds has to say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.probabilities import sigmoid
from equipoise.seeds import child_seed
from equipoise.slices.axes import Axes, Rotation, axes_of, rotation_of
from equipoise.slices.candidates import ClassView
from equipoise.slices.context import line_of_context
from equipoise.slices.generators import GENERATORS
from equipoise.slices.halves import Halves
from equipoise.slices.inputs import Given
from equipoise.slices.merging import Merged, Step, merged

__all__ = ["Searched", "searched"]

AXES = 64  # of all classes
OWN = 32  # of a class


@dataclass(frozen=True, eq=False)
class Searched:
    """What was found in one class, before it is tested.

    Args:
        class_id: The class.
        rows: Its images, in the table.
        places: On principal axes of the class, shape (n, m).
        slices: Merged candidates.
        steps: How they were made.
        rotation: The axes of the class.
        tried: Candidates that they were made of.
    """

    class_id: int
    rows: NDArray[np.int64]
    places: NDArray[np.float32]
    slices: list[Merged]
    steps: list[Step]
    rotation: Rotation
    tried: int


def searched(given: Given, halves: Halves, classes: list[int], seed: int) -> tuple[Axes, list[Searched]]:
    """Slices of some classes, from the half that finds, and the axes that all classes share.

    Raises:
        InputError: if a feature is not finite, or all are the same.
    """
    finding = ~halves.testing & halves.counted
    axes = axes_of(given.features, given.labels, finding, AXES)
    shared = axes(given.features, given.labels)
    whitened = shared[finding] / np.maximum(shared[finding].std(axis=0), 1e-12)
    found = []
    for class_id in classes:
        rows = halves.order[given.labels[halves.order] == class_id]
        odds = given.outputs.log_odds(class_id)
        chosen, mine = finding[rows], shared[rows]
        rotation = rotation_of(mine, chosen, OWN)
        pull = _pull(whitened, odds[finding], given.labels[finding])
        view = ClassView(
            places=rotation(mine),
            shared=mine,
            pull=pull,
            line=line_of_context(shared[finding], pull, given.labels[finding]),
            finding=chosen,
            wrong=given.wrong[rows] & chosen,
            surprise=np.where(chosen, 1 - sigmoid(odds[rows]), 0.0),
            columns=tuple(groups.take(rows) for groups in given.columns),
            generator=_chance(seed, class_id, "merging"),
        )
        candidates = [
            candidate
            for generator in GENERATORS  # each with its own chance: another one moves no candidate of theirs
            for candidate in generator(replace(view, generator=_chance(seed, class_id, generator.__name__)))
        ]
        slices, steps = merged(candidates, view)
        found.append(Searched(class_id, rows, view.places, slices, steps, rotation, len(candidates)))
    return axes, found


def _chance(seed: int, class_id: int, what: str) -> np.random.Generator:
    return np.random.default_rng(child_seed(seed, "slices", class_id, what))


def _pull(
    whitened: NDArray[np.float32], odds: NDArray[np.float64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Correlation of each axis with the log-odds of a class, both within their classes."""
    many = np.maximum(np.bincount(labels), 1)
    centred = odds - (np.bincount(labels, odds) / many)[labels]
    spread = np.sqrt(np.bincount(labels, centred**2) / many)[labels]
    unit = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return np.asarray(whitened.T @ unit / len(labels), np.float64)
