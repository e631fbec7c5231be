"""`Probabilities` that keep the logits they come from: in double precision all logits above 37 have probability 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError

__all__ = ["Probabilities", "from_logits", "probability_vector", "sigmoid", "softmax"]


class Probabilities(np.ndarray[Any, np.dtype[np.float64]]):
    """Probabilities to be used as any array is, and the logits that rank them without false ties.

    A vector holds the probability of the positive class, a matrix (n, K) one of each class. Numbers of `fairness` rank
    by the logits, also those of some rows, `probabilities[rows]`. What is computed from it is an ordinary array: of it
    only the probabilities are known, and so it is where a value is written into it. Build it with `from_logits`.

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
        """Log-odds, or the logit of each class, in the same order; None if they are not known, or no longer those of
        the values."""
        if self._logits is None:
            return None
        told = sigmoid(self._logits) if self._logits.ndim == 1 else softmax(self._logits)
        return None if np.abs(told - np.asarray(self)).max(initial=0.0) > 1e-12 else self._logits

    def of_class(self, class_id: int) -> NDArray[np.float64]:
        """Of a matrix, the probability of one class against all others, shape (n,), with its log-odds if known.

        Example:
            >>> from_logits([[0.0, 50.0, 0.0]]).of_class(1).logits.round(2).tolist()
            [49.31]
        """
        logits = self.logits
        if logits is None:
            return np.array(self[:, class_id])
        others = np.delete(logits, class_id, axis=1)
        highest = others.max(axis=1)
        return from_logits(
            logits[:, class_id] - highest - np.log(np.exp(others - highest[:, None]).sum(axis=1))
        )

    def __array_finalize__(self, other: Any) -> None:
        self._logits = None

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if self._logits is not None and isinstance(found, Probabilities):
            whole_rows = found.ndim == self.ndim and found.shape[1:] == self.shape[1:]
            found._logits = self._logits[index] if whole_rows else None
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
    """Probabilities from logits, which they keep.

    Args:
        logits: Log-odds of the positive class, one an image, shape (n,), 0 is probability ½; or a logit of each of K
            classes, shape (n, K), of which the softmax is taken.

    Raises:
        InputError: if they are not such numbers, or one is not finite; says which.
    """
    given = np.asarray(logits)
    if given.ndim not in (1, 2) or given.shape[1:] == (1,) or given.dtype.kind not in "fiub":
        raise InputError(
            "Logits must be a vector with one number an image, or a matrix with one for each of two or more classes; "
            f"got shape {given.shape} of {given.dtype}. Flatten them."
        )
    values = given.astype(np.float64)
    finite = np.isfinite(values).reshape(len(values), -1)
    if (wrong := np.flatnonzero(~finite.all(axis=1))).size:
        got = values[wrong[0]].reshape(-1)[~finite[wrong[0]]][0]
        raise InputError(
            f"Logits must be finite; got {got} at row {wrong[0]} ({wrong.size} such rows). The model or its "
            "input broke there: look for weights or pixels that are not finite, or numbers too large for a half."
        )
    found = (sigmoid(values) if values.ndim == 1 else softmax(values)).view(Probabilities)
    found._logits = values
    return found


def sigmoid(logits: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Probabilities of logits, 1 / (1 + exp(−logit))."""
    with np.errstate(over="ignore"):  # exp of more than 709 is infinite, and its probability 0
        return np.asarray(1 / (1 + np.exp(-np.asarray(logits))))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of classes, rows summing to 1, from their logits, shape (n, K)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


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
