"""`Cells`: rows by target and protected attribute, and what training correlated.

A cell is a target (0 or 1) in a group, for example old women. Words like gender and race are what annotators
saw in a picture; here they serve to measure unequal error, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness.rates import NO_NEGATIVES, NO_POSITIVES
from equipoise.groups import Groups

__all__ = ["Cells", "score_vector", "training_signs"]


@dataclass(frozen=True, eq=False)
class Cells:
    """Targets and groups of the same rows; build it with `Cells.checked`.

    Args:
        targets: True = positive, shape (n,).
        protected: Group of each row; k groups make 2k cells.
    """

    targets: NDArray[np.bool_]
    protected: Groups

    @classmethod
    def checked(cls, targets: ArrayLike, protected: Groups, *, what: str = "Targets") -> Cells:
        """Check once.

        Raises:
            InputError: if a target is not 0 or 1, lengths differ, there is no row, or a row has no group.
        """
        given = np.asarray(targets)
        if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "fiub":
            raise InputError(
                f"{what} must be a vector of 0 and 1 with one entry an image; got shape {given.shape} of "
                f"{given.dtype}. Flatten them, and give at least one image."
            )
        wrong = np.flatnonzero((given != 0) & (given != 1))
        if wrong.size:
            raise InputError(
                f"{what} must be 0 or 1; got {given[wrong[0]]} at row {wrong[0]}. "
                "Compare them with the positive class."
            )
        if len(given) != len(protected):
            raise InputError(
                f"{what} and the protected attribute must have one entry an image; got {len(given)} and "
                f"{len(protected)}. Take both from the same table, in the same order."
            )
        if not protected.known.all():
            raise InputError(
                f"Every row needs a value of {protected.attribute!r}; got "
                f"{int((~protected.known).sum())} rows without one. Leave these rows out of scores and "
                "targets, and out of the groups with Groups.take."
            )
        if protected.unknown:
            kept = [group for group in range(len(protected.names)) if group not in protected.unknown]
            names = tuple(protected.names[group] for group in kept)
            protected = Groups(np.searchsorted(kept, protected.ids), names, protected.attribute)
        return cls(given.astype(bool), protected)

    @property
    def groups(self) -> int:
        """Groups, k; one that is named and has no rows counts."""
        return len(self.protected.names)

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """Cell of each row, target·k + group, shape (n,)."""
        return self.targets.astype(np.int64) * self.groups + self.protected.ids

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each cell, shape (2, k)."""
        counts = np.bincount(self.ids, minlength=2 * self.groups)
        return counts.reshape(2, self.groups).astype(np.int64)

    def name(self, target: int, group: int) -> str:
        """A cell in words."""
        word = "positives" if target else "negatives"
        return f"{word} with {self.protected.attribute} = {self.protected.names[group]!r}"

    def empty(self, targets: tuple[int, ...] = (1, 0)) -> str | None:
        """Which cells of these targets have no rows, in words; None if all have."""
        for target, reason in ((1, NO_POSITIVES), (0, NO_NEGATIVES)):
            if target in targets and not self.counts[target].any():
                return reason
        lacking = [
            f"no {self.name(target, int(group))}"
            for target in targets
            for group in np.flatnonzero(self.counts[target] == 0)
        ]
        return ", ".join(lacking) or None


def score_vector(scores: ArrayLike, rows: int, what: str = "Scores") -> NDArray[np.float64]:
    """Finite scores, one a row, as float64; probabilities and logits are both welcome.

    Raises:
        InputError: if they are not a vector of that length, or one is not finite.
    """
    given = np.asarray(scores)
    if given.shape != (rows,) or given.dtype.kind not in "fiub":
        raise InputError(
            f"{what} must be a vector with one number for each of the {rows} targets; got shape "
            f"{given.shape} of {given.dtype}. Take scores and targets from the same table, in the same order."
        )
    wrong = np.flatnonzero(~np.isfinite(given))
    if wrong.size:
        raise InputError(
            f"{what} must be finite; got {given[wrong[0]]} at row {wrong[0]} ({wrong.size} such rows). "
            "A NaN means that the model or its input broke."
        )
    return given.astype(np.float64)


def training_signs(targets: ArrayLike, protected: Groups) -> dict[str, int]:
    """Whether each group goes with the positive class in training: +1, −1, or 0 for neither.

    The sign of P(t = 1 | g) − P(t = 1), in whole numbers, so that 0 is exact. With two groups it is the sign
    of the correlation of t and g for the one and its opposite for the other. A group without rows has none.

    Args:
        targets: Training targets, 1 = positive, 0 = negative.
        protected: Their groups.

    Raises:
        InputError: as for `attribute_metrics`.

    Example:
        >>> training_signs([1, 1, 0, 0, 0, 1], Groups.from_column(["m", "m", "m", "f", "f", "f"]))
        {'f': -1, 'm': 1}
    """
    cells = Cells.checked(targets, protected, what="Training targets")
    rows, positives = cells.counts.sum(axis=0), cells.counts[1]
    signs = np.sign(positives * len(cells.ids) - positives.sum() * rows)
    return {name: int(signs[group]) for group, name in enumerate(cells.protected.names) if rows[group]}
