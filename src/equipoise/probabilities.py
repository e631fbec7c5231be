"""`Probabilities` that keep the logits they come from: in double precision all logits above 37 have probability 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError

__all__ = ["Probabilities", "from_logits", "probability_vector", "sigmoid"]


class Probabilities(np.ndarray[Any, np.dtype[np.float64]]):
    """A vector of probabilities to be used as any array is, and the logits that rank it without false ties.

    Numbers of `fairness` rank by the logits, also those of a part, `probabilities[rows]`. What is computed from it is
    an ordinary array: of it only the probabilities are known, and so it is where a value is written into it. Build it
    with `from_logits`.

    Example:
        >>> found = from_logits([40.0, 50.0, -1.0])
        >>> found.tolist()[:2], found.logits.tolist()
        ([1.0, 1.0], [40.0, 50.0, -1.0])
        >>> found[found > 0.5].logits.tolist()
        [40.0, 50.0]
    """

    _logits: NDArray[np.float64] | None

    @property
    def logits(self) -> NDArray[np.float64] | None:
        """Log-odds in the same order; None if they are not known, or no longer those of the values."""
        if self._logits is None or np.abs(sigmoid(self._logits) - np.asarray(self)).max(initial=0.0) > 1e-12:
            return None
        return self._logits

    def __array_finalize__(self, other: Any) -> None:
        self._logits = None

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if self._logits is not None and isinstance(found, Probabilities):
            found._logits = self._logits[index]
        return found

    def copy(self, order: Any = "C") -> Probabilities:
        """A copy that keeps the logits."""
        found = super().copy(order)
        found._logits = None if self._logits is None else self._logits.copy()
        return found

    def __deepcopy__(self, memo: Any) -> Probabilities:
        return self.copy()

    def __reduce__(self) -> Any:
        # Without its logits it is an ordinary array, whatever it was cut from.
        logits = self.logits
        return np.asarray(self).__reduce__() if logits is None else (from_logits, (np.asarray(logits),))


def from_logits(logits: ArrayLike) -> Probabilities:
    """Probabilities of the positive class from logits, one an image, which they keep.

    Args:
        logits: Log-odds, one an image; 0 is probability ½.

    Raises:
        InputError: if they are not a vector of numbers, or one is not finite; says which.
    """
    given = np.asarray(logits)
    if given.ndim != 1 or given.dtype.kind not in "fiub":
        raise InputError(
            f"Logits must be a vector with one number an image; got shape {given.shape} of {given.dtype}. Flatten them."
        )
    values = given.astype(np.float64)
    if (wrong := np.flatnonzero(~np.isfinite(values))).size:
        raise InputError(
            f"Logits must be finite; got {values[wrong[0]]} at row {wrong[0]} ({wrong.size} such rows). The model or "
            "its input broke there: look for weights or pixels that are not finite, or numbers too large for a half."
        )
    found = sigmoid(values).view(Probabilities)
    found._logits = values
    return found


def sigmoid(logits: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Probabilities of logits, 1 / (1 + exp(−logit))."""
    with np.errstate(over="ignore"):  # exp of more than 709 is infinite, and its probability 0
        return np.asarray(1 / (1 + np.exp(-np.asarray(logits))))


def probability_vector(scores: ArrayLike) -> NDArray[np.floating[Any]]:
    """Scores as a vector of probabilities; float32 stays float32, so that ties stay ties.

    Raises:
        InputError: if empty, not a vector, not finite or outside [0, 1].
    """
    given = np.asarray(scores)
    if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "fiub":
        raise InputError(
            f"Scores must be a vector with one probability an image; got shape {given.shape} of "
            f"{given.dtype}. Flatten them, and score at least one image."
        )
    vector: NDArray[np.floating[Any]] = given if given.dtype.kind == "f" else given.astype(np.float64)
    wrong = np.flatnonzero(~((vector >= 0) & (vector <= 1)))
    if wrong.size:
        raise InputError(
            f"Scores must be probabilities in [0, 1]; got {vector[wrong[0]]} at row {wrong[0]} "
            f"({wrong.size} such rows). Pass logits through fairness.from_logits, a sigmoid that "
            "keeps them; a NaN means that the model or its input broke."
        )
    return vector
