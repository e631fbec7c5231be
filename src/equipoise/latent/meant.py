"""Whether edits did what they were meant to do, in the eyes of classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from equipoise.errors import InputError

__all__ = ["Meant", "crossings"]


def crossings(variant: str, protected: int) -> Bool[ndarray, "images protected"] | None:
    """Which protected attributes each image of a pair is meant to have changed; None where nothing is.

    Args:
        variant: As in `pairs`.
        protected: How many attributes.
    """
    if variant == "onto":  # on neither side
        return None
    every = np.array(list(product((False, True), repeat=protected)))
    return every if variant == "all_sides" else every[[0, -1]]


class Meant:
    """As meant is a pair whose target stays on its side, and whose protected attributes are where the edit brings them.

    Args:
        variant: As in `pairs`.
        protected: Names of the protected attributes, in the order of their hyperplanes.
        thresholds: "target" and each protected attribute → score from which an image has it.

    Raises:
        InputError: if a threshold is missing or is no probability.
    """

    def __init__(self, variant: str, protected: Sequence[str], thresholds: Mapping[str, float]) -> None:
        wanted = ["target", *protected]
        if set(wanted) - set(thresholds) or not all(0 < thresholds[name] < 1 for name in wanted):
            raise InputError(
                f"To see what edits did, thresholds in (0, 1) of {', '.join(wanted)} are needed; got "
                f"{dict(thresholds)}. Give one for each, by the names of the hyperplanes."
            )
        self.thresholds = thresholds
        self.where = crossings(variant, len(protected))
        self.protected = list(protected)

    def target_stays(self, scores: Mapping[str, Float64[ndarray, "n images"]]) -> Bool[ndarray, " n"]:
        """Pair by pair: whether the target is on one side in all images."""
        side = scores["target"] >= self.thresholds["target"]
        return np.asarray((side == side[:, :1]).all(axis=1))

    def divided(self, scores: Mapping[str, Float64[ndarray, "n images"]]) -> dict[str, Bool[ndarray, " n"]]:
        """Protected attribute → pair by pair: whether its images are on the sides meant; empty if nothing is meant."""
        if self.where is None:
            return {}
        found = {}
        for place, name in enumerate(self.protected):
            side = scores[name] >= self.thresholds[name]
            found[name] = np.asarray(((side != side[:, :1]) == self.where[:, place]).all(axis=1))
        return found

    def __call__(self, scores: Mapping[str, Float64[ndarray, "n images"]]) -> Bool[ndarray, " n"]:
        """Pair by pair: whether all is as meant."""
        return np.asarray(np.all([self.target_stays(scores), *self.divided(scores).values()], axis=0))
