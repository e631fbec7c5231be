"""Candidates: sets of images of one class that may fail, each told by features or columns, never by errors themselves.

A generator sees the half that finds slices: where its images lie, and how wrong the model is there. What it gives is a
rule that says of any image of the class, from features or columns alone, whether it belongs. Generators stand in
`GENERATORS`, a file each; another one is a function and a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.groups import Groups

__all__ = ["FEWEST", "Candidate", "ClassView", "Floats", "Generator", "Mask", "Points", "Rule", "clusters_of"]

FEWEST = 10  # images of the half that tests, of a slice that is judged

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Points:
    """Images of one class, as rules tell them.

    Args:
        places: On principal axes of the class, largest variance first, shape (n, m).
        shared: On principal axes of all classes, shape (n, M).
        columns: What else is known of the images.
    """

    places: Floats
    shared: Floats
    columns: tuple[Groups, ...]

    def having(self, attribute: str, value: str) -> Mask:
        """Which rows have a value of a column, shape (n,)."""
        groups = next(groups for groups in self.columns if groups.attribute == attribute)
        if value not in groups.names:
            return np.zeros(len(groups), bool)
        return np.asarray(groups.ids == groups.names.index(value))


Rule = Callable[[Points], Mask]


@dataclass(frozen=True, eq=False)
class ClassView(Points):
    """One class as generators see it; rows are its images.

    Args:
        pull: How much each shared axis goes with being taken for this class, over images of all classes, −1…1.
        line: Along which images of all classes fall into two sets, coefficients of the shared axes.
        finding: Whether each image finds, shape (n,).
        wrong: Whether the model is wrong; of images that test, generators are given False.
        surprise: 1 − the probability of the true class; of images that test, 0.
        generator: Source of chance.
    """

    pull: NDArray[np.float64]
    line: NDArray[np.float64]
    finding: Mask
    wrong: Mask
    surprise: NDArray[np.float64]
    generator: np.random.Generator

    @property
    def spread(self) -> Floats:
        """Standard deviation along each axis of places, of the finding half, shape (m,)."""
        return np.asarray(np.maximum(self.places[self.finding].std(axis=0), 1e-12))

    @property
    def whitened(self) -> Floats:
        """Places with variance 1 along each axis, as the finding half has it, shape (n, m)."""
        return np.asarray(self.places / self.spread, np.float32)

    def sizes(self, numbers: tuple[int, ...]) -> list[int]:
        """Those numbers of clusters that leave twice the fewest images a cluster, on the mean."""
        most = int(self.finding.sum()) // (2 * FEWEST)
        return [number for number in numbers if number <= most]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A set of images of one class.

    Args:
        rows: Whether each image of the class belongs, shape (n,).
        source: The generator.
        rank: Where sets overlap the lower rank comes first: 0 is told by columns or along what moves the scores of all
            classes, 1 by features of the class, 2 was sought along its errors.
        rule: Says the same of any images of the class.
        told: The columns and values that tell it, in words; None if features do.
    """

    rows: Mask
    source: str
    rank: int
    rule: Rule
    told: str | None = None


class Generator(Protocol):
    """A source of candidates; its name decides its chance."""

    __name__: str

    def __call__(self, view: ClassView, /) -> Iterator[Candidate]:
        """Candidates of one class."""


def clusters_of(
    view: ClassView, nearest_of: Callable[[Points], NDArray[np.int64]], source: str, rank: int
) -> Iterator[Candidate]:
    """A candidate a cluster.

    Args:
        view: The class.
        nearest_of: Number of the cluster that each row is in.
        source: The generator.
        rank: See `Candidate`.
    """

    def rule_of(number: int) -> Rule:
        return lambda points: nearest_of(points) == number

    ids = nearest_of(view)
    for number in range(int(ids.max()) + 1):
        yield Candidate(ids == number, source, rank, rule_of(number))
