"""What a fix sees: rows on axes, their labels, what else is known of them, and their cross-fitted logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.fix.axes import Coefficients, Coordinates
from equipoise.fix.folds import folds
from equipoise.fix.regression import logits_of, regression
from equipoise.seeds import child_seed

__all__ = ["Known", "Rows", "equal_weights", "parts_equal"]

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
FINDING = 4  # folds in which the failing are found


@dataclass(frozen=True, eq=False)
class Known:
    """What may be known of rows besides labels; None where it is not.

    Args:
        groups: Group ids given by people, shape (n,); −1 where unknown.
        slices: Ids of groups that were found, such as slices; −1 for the rest.
        log_density: Of each row, nats; lower is rarer.
    """

    groups: Ids | None = None
    slices: Ids | None = None
    log_density: Floats | None = None

    def take(self, chosen: NDArray[np.bool_]) -> Known:
        """Of some rows."""
        return Known(
            None if self.groups is None else self.groups[chosen],
            None if self.slices is None else self.slices[chosen],
            None if self.log_density is None else self.log_density[chosen],
        )


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows on axes.

    Args:
        coordinates: Shape (n, k).
        labels: Class ids 0…K−1.
        classes: K.
        units: Ids of what must not be torn apart by folds.
        known: What else.
        seed: Drives every chance.
        counts: How much each row counts against a penalty: 1 / k where there are k times the rows that C is meant for.
    """

    coordinates: Coordinates
    labels: Ids
    classes: int
    units: Ids
    known: Known = field(default_factory=Known)
    seed: int = 0
    counts: float = 1.0
    _found: dict[tuple[float, bool], Floats] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: NDArray[np.bool_]) -> Rows:
        """Some rows; units are numbered anew."""
        units = np.unique(self.units[chosen], return_inverse=True)[1].reshape(-1)
        return replace(
            self,
            coordinates=self.coordinates[chosen],
            labels=self.labels[chosen],
            units=units,
            known=self.known.take(chosen),
            _found={},
        )

    def seeded(self, seed: int) -> Rows:
        """The same rows, with other folds."""
        return replace(self, seed=seed, _found={})

    def fitted(
        self,
        C: float,
        weights: Floats | None = None,
        *,
        start: Coefficients | None = None,
        pull: Coefficients | None = None,
    ) -> Coefficients:
        """Logistic regression of the labels."""
        return regression(
            self.coordinates,
            self.labels,
            classes=self.classes,
            C=self.counts * C,
            weights=weights,
            start=start,
            pull=pull,
        )

    def first_stage(self, C: float, equal: bool) -> Floats:
        """Logits of each row from a plain last layer that has not seen it, or one with equal classes; made once.

        Args:
            C: Its strength.
            equal: Classes weigh the same.
        """
        key = (C, equal)
        if key not in self._found:
            self._found[key] = self.by_folds(
                lambda part, _: part.fitted(C, equal_weights(part.labels) if equal else None), "first stage"
            )
        return self._found[key]

    def by_folds(
        self, fit: Callable[[Rows, NDArray[np.bool_]], Coefficients], name: str, *, number: int = FINDING
    ) -> Floats:
        """Logits of each row from a fit on the other folds, shape (n, outputs).

        Args:
            fit: Takes some rows, and which of all they are.
            name: Of this sharing out: another name, other folds.
            number: Folds.
        """
        place = folds(self.labels, self.units, number, child_seed(self.seed, name))
        logits = np.empty((len(self), 1 if self.classes == 2 else self.classes))
        for fold in range(number):
            chosen = place != fold
            logits[~chosen] = logits_of(self.coordinates[~chosen], fit(self.take(chosen), chosen))
        return logits


def equal_weights(*ids: Ids) -> Floats:
    """Weights of rows with which all cells that occur weigh the same, of mean 1.

    Args:
        ids: Whole numbers, shape (n,) each; a cell is what they have in common.

    Example:
        >>> equal_weights(np.array([0, 0, 0, 1])).round(3).tolist()
        [0.667, 0.667, 0.667, 2.0]
    """
    _, place, counts = np.unique(np.stack(ids, 1), axis=0, return_inverse=True, return_counts=True)
    found: Floats = len(place) / (len(counts) * counts[place.reshape(-1)])
    return found


def parts_equal(labels: Ids, parts: Ids) -> Floats:
    """Weights of rows with which classes weigh the same, and so do the parts of each that occur, of mean 1.

    Unlike cells alike, a class that is in one part weighs no less than one in two.
    """
    cells = equal_weights(labels, parts)
    of_class = np.bincount(labels, cells)
    classes = int((of_class > 0).sum())
    found: Floats = cells * len(cells) / (classes * of_class[labels])
    return found
