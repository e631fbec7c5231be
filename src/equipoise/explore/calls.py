"""`Calls`: the true class of each row, and what each model calls it and with which score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.fairness import PredictionColumns, Predictions
from equipoise.fairness.prediction_columns import Columns
from equipoise.fairness.predictions import LABEL_NAMES

__all__ = ["Call", "Calls", "PredictedColumns", "calls_of"]

THRESHOLD = 0.5
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class PredictedColumns:
    """Which column of a table of predictions says what; None looks for it, as `evaluate` does.

    Args:
        label_column: The true class.
        score_column: Probability of the positive class.
        predicted_column: The predicted class.
        positive_class: The class that a score is about.
    """

    label_column: str | None = None
    score_column: str | None = None
    predicted_column: str | None = None
    positive_class: str | None = None


@dataclass(frozen=True, eq=False)
class Call:
    """What one model says.

    Args:
        name: The model.
        predicted: Position in `Calls.classes`, shape (n,); −1 without.
        scores: Columns of its probabilities.
    """

    name: str
    predicted: Codes
    scores: tuple[str, ...]

    def right(self, labels: Codes) -> Codes:
        """1 right, 0 wrong, −1 not known, shape (n,)."""
        known = (self.predicted >= 0) & (labels >= 0)
        return np.where(known, self.predicted == labels, -1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Calls:
    """True classes and calls.

    Args:
        classes: Names.
        labels: Position in `classes`, shape (n,); −1 without.
        label: Column of labels; None without.
        models: What each says.
        notes: What was taken for what.
    """

    classes: tuple[str, ...]
    labels: Codes
    label: str | None
    models: tuple[Call, ...]
    notes: tuple[str, ...] = ()


def calls_of(
    table: pa.Table, which: PredictedColumns, *, model: str | None = None, written: bool = False
) -> Calls:
    """Labels and calls of a table.

    Args:
        table: A row a picture.
        which: Which column says what.
        model: Name of the one model of an audit.
        written: The table is scores.parquet of a run, whose columns are known.

    Raises:
        InputError: if columns that were asked for are not there, or do not say what they are asked for.
    """
    asked = {name: value for name, value in vars(which).items() if value is not None}
    if written or (not asked and _of_a_run(table)):
        return _written(table, model)
    columns = PredictionColumns(
        which.label_column, score=which.score_column, prediction=which.predicted_column
    )
    try:
        read = Predictions.of(table, columns, positive=which.positive_class)
    except InputError as error:
        if asked:
            raise
        return Calls(
            (), np.full(len(table), -1), None, (), (f"Nothing is known of right and wrong. {error}",)
        )
    label = which.label_column or next(name for name in LABEL_NAMES if name in table.column_names)
    call = Call(model or "model", read.predicted, ())
    return Calls(read.classes, read.labels, label, (call,), read.notes)


def _of_a_run(table: pa.Table) -> bool:
    names = table.column_names
    if "label" not in names:
        return False
    audited = {"probability", "predicted"} <= set(names)
    return audited or any(name.startswith(("probability_", "predicted_")) for name in names)


def _written(table: pa.Table, model: str | None) -> Calls:
    """Of scores.parquet: `predicted…` beside `probability…_CLASS`, or `probability…` of the positive of two classes."""
    columns, names = Columns(table), table.column_names
    codes, classes = columns.texts("label") if "label" in names else (np.full(len(table), -1), [])
    found: list[tuple[str, Codes, list[str], tuple[str, ...]]] = []
    notes: list[str] = []
    cut: list[str] = []
    for name in (one for one in names if one == "predicted" or one.startswith("predicted_")):
        of = name.removeprefix("predicted").removeprefix("_")
        start = "probability" + (f"_{of}" if of else "")
        scores = tuple(one for one in names if one == start or one.startswith(f"{start}_"))
        found.append((of or model or "model", *columns.texts(name), scores))
    taken = {score for _, _, _, scores in found for score in scores}
    for name in (one for one in names if one == "probability" or one.startswith("probability_")):
        if name in taken or not pa.types.is_floating(table.schema.field(name).type):
            continue
        values = columns.numbers(name, "probability")
        called = np.where(values >= THRESHOLD, 1, 0)
        of = name.removeprefix("probability").removeprefix("_") or model or "model"
        found.append((of, called.astype(np.int64), ["0", "1"], (name,)))
        cut.append(of)
    if cut:
        notes.append(f"Positive (1) from a probability of {THRESHOLD} on: {', '.join(cut)}.")
    return _together(codes, classes, found, notes, "label" if "label" in names else None)


def _together(
    codes: Codes, classes: list[str], found: list[Any], notes: list[str], label: str | None
) -> Calls:
    """All with one list of classes."""
    names = tuple(dict.fromkeys([*sorted(classes), *(one for _, _, its, _ in found for one in its)]))
    place = {name: at for at, name in enumerate(names)}

    def moved(old: Codes, its: list[str]) -> Codes:
        return np.array([*(place[one] for one in its), -1], np.int64)[old]

    models = tuple(Call(name, moved(called, its), scores) for name, called, its, scores in found)
    labels = moved(codes, classes)
    strange = [one.name for one in models if classes and len(set(classes) & set(_used(one, names))) == 0]
    for name in strange:
        notes.append(
            f"What {name} predicts is called by no class of the labels: nothing of it is called right."
        )
    return Calls(names, labels, label, models, tuple(notes))


def _used(call: Call, names: tuple[str, ...]) -> list[str]:
    return [names[code] for code in np.unique(call.predicted) if code >= 0]
