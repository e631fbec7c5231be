"""What a model said of images: probabilities, logits, or predicted classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.probabilities import from_logits
from equipoise.slices.arrays import array_of

__all__ = ["Outputs", "outputs_of"]

SURE = 1e-6  # probabilities nearer to 0 or 1 count as this


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model said.

    Args:
        predicted: Class ids, shape (n,).
        classes: How many the model knows; None of predictions.
        kind: "probabilities", "logits" or "predictions".
        probabilities: Of label 1, shape (n,); of each class, (n, K); None of predictions.
    """

    predicted: NDArray[np.int64]
    classes: int | None
    kind: str
    probabilities: NDArray[Any] | None

    def log_odds(self, class_id: int) -> NDArray[np.float64]:
        """Log-odds of a class against all others, shape (n,), within ±14; of predictions ±1."""
        if self.probabilities is None:
            return np.where(self.predicted == class_id, 1.0, -1.0)
        held = self.probabilities
        if held.ndim == 1:
            own = held if class_id == 1 else 1 - held
        elif class_id < held.shape[1]:
            own = held[:, class_id]
        else:
            own = np.zeros(len(held))
        own = np.clip(np.asarray(own, np.float64), SURE, 1 - SURE)
        return np.asarray(np.log(own) - np.log1p(-own))


def outputs_of(scores: ArrayLike, rows: int, classes: int | None, most: int) -> Outputs:
    """Scores as a model gives them.

    Args:
        scores: Whole numbers or booleans (n,) are predicted classes. Floats (n,), (n, 1) are of label 1: probabilities
            if all lie in [0, 1], with label 1 from 0.5 on, else logits, from 0 on. Floats (n, K): probabilities if all
            rows are that (≥ 0, sum 1), else logits; the largest is predicted.
        rows: Images.
        classes: Of the names, if there are any.
        most: Classes that may be predicted.

    Raises:
        InputError: if they are no such numbers, or of another number of classes than the names.
    """
    found = array_of(scores, "Scores")
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim not in (1, 2) or len(found) != rows or found.dtype.kind not in "fiub":
        raise InputError(
            f"Expected scores of {rows} images, shape ({rows},) or ({rows}, classes); got shape {found.shape} of "
            f"{found.dtype}. Score the images that the features are of."
        )
    if found.ndim == 2 and found.dtype.kind not in "f":
        raise InputError(
            f"Scores of each class must be floats; got {found.dtype}. "
            "Give predicted classes as one whole number an image."
        )
    wrong = np.flatnonzero(~np.isfinite(found).reshape(rows, -1).all(axis=1))
    if wrong.size:
        raise InputError(
            f"Scores must be finite; got NaN or infinity in row {wrong[0]} ({wrong.size} such rows). "
            "Look for a model that diverged, or drop the rows."
        )
    if found.dtype.kind in "iub":
        predicted = found.astype(np.int64)
        if not 0 <= predicted.min() <= predicted.max() < most:
            raise InputError(
                f"Predicted classes must be 0…{most - 1}; got {predicted.min()}…{predicted.max()}. Give class ids."
            )
        return Outputs(predicted, classes, "predictions", None)
    known = found.shape[1] if found.ndim == 2 else 2
    if classes is not None and classes != known:
        raise InputError(
            f"Expected scores of {classes} classes, as the names have it; got {known}. Name each class that is scored."
        )
    if found.ndim == 1:
        are = bool(found.min() >= 0 and found.max() <= 1)
        predicted = (found >= (0.5 if are else 0.0)).astype(np.int64)
    else:
        are = bool(found.min() >= 0 and np.abs(found.sum(axis=1, dtype=np.float64) - 1).max() < 1e-2)
        predicted = found.argmax(axis=1).astype(np.int64)
    held = found if are else np.asarray(from_logits(found))
    return Outputs(predicted, known, "probabilities" if are else "logits", held)
