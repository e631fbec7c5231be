"""`frame`: numbers from a DataFrame of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.fairness.predictions import Evaluated, PredictionColumns, Predictions

__all__ = ["frame"]


# Keywords of a public door, each a choice of its own.
def frame(
    data: Any,
    *,
    label: str | None = None,
    groups: str | Sequence[str] = (),
    score: str | None = None,
    prediction: str | None = None,
    probabilities: Mapping[str, str] | Sequence[str] | None = None,
    positive: str | None = None,
    classes: Sequence[str] | None = None,
    threshold: float = 0.5,
    logits: bool = False,
    fpr: float = 0.01,
    intersections: bool = True,
) -> Evaluated:
    """Numbers of a model from a table of its predictions: a pandas DataFrame, a pyarrow Table or a mapping of columns.

    Args:
        data: The table, one row an image.
        label: Column of the true class; without, the one called label, target, class, y_true, ….
        groups: Columns of groups; rows without a value are the group "(missing)", which is shown and not compared.
            "label" is the class itself where no column has that name.
        score: Column of the probability of the positive one of two classes.
        prediction: Column of the predicted class.
        probabilities: Columns of the probabilities of the classes, as `PredictionColumns` takes them. Of `score`,
            `prediction` and `probabilities` at most one; without, they are looked for, and `notes` says what was found.
        positive: Class that detection numbers are about; of two classes its name may say it.
        classes: All classes; without, those that occur.
        threshold: A score at or above it is the positive class.
        logits: Scores or probabilities are logits.
        fpr: Matched false-positive rate of the detection numbers.
        intersections: With several groups, also report each pair of them.

    Raises:
        InputError: as `Predictions.of`.

    Example:
        >>> table = {"label": [1, 1, 0, 0], "score": [0.9, 0.4, 0.2, 0.1], "skin": ["a", "b", "a", "b"]}
        >>> found = frame(table, groups="skin")
        >>> found.classes.accuracy.value, found.detection.groups["skin"]["b"].tpr.value
        (0.75, 0.0)
    """
    which = PredictionColumns(
        label, (groups,) if isinstance(groups, str) else tuple(groups), score, prediction, probabilities
    )
    read = Predictions.of(data, which, positive=positive, classes=classes, threshold=threshold, logits=logits)
    return read.evaluated(fpr=fpr, intersections=intersections)
