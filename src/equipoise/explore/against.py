"""Models of another run beside those of the first: on the same pictures, told by their paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.explore.calls import Call, Calls
from equipoise.explore.opening import Opened

__all__ = ["beside"]

Places = NDArray[np.int64]


def beside(first: Opened, other: Opened) -> Opened:
    """The first with the models of the other, and their scores.

    Args:
        first: Its rows, labels and columns stay.
        other: Rows that it lacks are not judged by its models.

    Raises:
        InputError: if the two have no picture in common, paths do not tell pictures apart, or nothing is called.
    """
    places = _places(first, other)
    shared = places >= 0
    if not shared.any():
        raise InputError(
            f"Expected pictures of {first.title} in {other.title} too, by their paths; got none. Give a run of the "
            "same pictures, read from the same source."
        )
    if not other.calls.models:
        raise InputError(f"Expected a model's calls in {other.title}; got none. {' '.join(other.notes)}")
    classes = tuple(dict.fromkeys([*first.calls.classes, *other.calls.classes]))
    place = np.array([*(classes.index(name) for name in other.calls.classes), -1], np.int64)
    columns, models = first.columns, list(first.calls.models)
    for call in other.calls.models:
        names = {score: _free(columns.column_names, score, other.title) for score in call.scores}
        for score, name in names.items():
            values = other.columns.column(score).to_numpy().astype(np.float64)
            columns = columns.append_column(name, pa.array(np.where(shared, values[places], np.nan)))
        predicted = np.where(shared, place[call.predicted[places]], -1)
        name = _free([one.name for one in models], call.name, other.title)
        models.append(Call(name, predicted, tuple(names.values())))
    calls = Calls(classes, first.calls.labels, first.calls.label, tuple(models))
    return replace(
        first, columns=columns, calls=calls, notes=(*first.notes, *_notes(first, other, places, place))
    )


def _places(first: Opened, other: Opened) -> Places:
    """Row of the other for each row of the first; −1 without."""
    known: dict[str, int] = {}
    for row, path in enumerate(other.paths):
        if path is not None and known.setdefault(path, row) != row:
            raise InputError(
                f"Expected paths that tell pictures apart in {other.title}; got {path!r} twice. Give each picture a "
                "path of its own."
            )
    return np.array([-1 if path is None else known.get(path, -1) for path in first.paths], np.int64)


def _free(taken: list[str], name: str, title: str) -> str:
    """A name that is not taken, by that of its run."""
    found = name if name not in taken else f"{name} ({title})"
    while found in taken:
        found = f"{found} again"
    return found


def _notes(first: Opened, other: Opened, places: Places, place: Places) -> list[str]:
    found, lacking = [], int((places < 0).sum())
    if lacking:
        found.append(f"{lacking:,} of {len(first):,} pictures are not in {other.title}.")
    theirs = place[other.calls.labels[places]]
    both = (places >= 0) & (theirs >= 0) & (first.calls.labels >= 0)
    differ = int((theirs != first.calls.labels)[both].sum())
    if differ:
        found.append(
            f"{differ:,} pictures have another class in {other.title}; right and wrong are by {first.title}."
        )
    return found
