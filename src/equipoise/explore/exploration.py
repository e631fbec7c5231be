"""`Exploration`: what the page asks for, answered; the server only carries it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data.cache import cache_folder
from equipoise.errors import InputError
from equipoise.explore.columns import Column, columns_of, percentiles
from equipoise.explore.maps import Space, kept_features, principal, spaces
from equipoise.explore.opening import Opened
from equipoise.explore.pictures import Pictures, Wanted
from equipoise.explore.saved import OTHER, Saved
from equipoise.explore.umaps import Umaps
from equipoise.groups import text_of
from equipoise.sharing import shared_path

__all__ = ["Exploration"]

NEAR = 12
WAYS = ("pca", "umap")


class Exploration:
    """A run that is looked at.

    Args:
        opened: The run or table.
        wanted: Where its pictures are; None takes what its settings say.
    """

    def __init__(self, opened: Opened, wanted: Wanted | None = None) -> None:
        self.opened = opened
        cache = opened.settings.get("cache")
        self.pictures = Pictures(opened.paths, wanted or Wanted(opened.settings))
        self.saved = Saved(opened.home, opened.columns, opened.path_column)
        self.fixed = columns_of(opened)
        features = kept_features(
            cache_folder(cache if isinstance(cache, str) else None), opened.features, len(opened)
        )
        self.spaces = {one.name: one for one in spaces(self.fixed, features)}
        self.umaps = Umaps(self.spaces, opened.home)
        self._lock = threading.Lock()
        self._columns: dict[str, Column] = {}
        self._notes: list[str] = []
        self._workers = ThreadPoolExecutor(2, "equipoise-explore")
        # a daemon: whoever ends the explorer does not wait until all pictures were looked for
        threading.Thread(target=self.pictures.find, name="equipoise-pictures", daemon=True).start()
        self._maps = {name: self._workers.submit(principal, one.vectors) for name, one in self.spaces.items()}
        self.refresh()

    def close(self) -> None:
        """Let go of threads and of what is being computed."""
        self.umaps.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def refresh(self) -> None:
        """Look again for what is saved beside the run."""
        found, notes = self.saved.read()
        columns = {one.name: one for one in self.fixed}
        for name, values in found.items():
            texts = [*sorted(set(values.tolist()) - {OTHER}), OTHER]
            place = {text: at for at, text in enumerate(texts)}
            codes = np.array([place[one] for one in values], np.int32)
            if name in columns:
                notes.append(f"{name} is a column of the run too; the saved one is not shown.")
                continue
            columns[name] = Column(name, name, codes, tuple(texts), "saved")
        with self._lock:
            self._columns, self._notes = columns, notes

    def about(self) -> dict[str, Any]:
        """All that the page has to know at first, as plain JSON."""
        opened = self.opened
        with self._lock:
            columns, notes = list(self._columns.values()), list(self._notes)
        return {
            "title": opened.title,
            "kind": opened.kind,
            "rows": len(opened),
            "models": [one.name for one in opened.calls.models],
            "columns": [one.said() for one in columns],
            "maps": [{"name": one.name, "title": one.title} for one in self.spaces.values()],
            "notes": [*opened.notes, *notes],
        }

    def status(self) -> dict[str, Any]:
        """Whether pictures were looked for, and what was not found."""
        ready = self.pictures.ready.is_set()
        return {"pictures": ready, "notes": list(self.pictures.notes) if ready else []}

    def column(self, name: str) -> Column:
        """One column.

        Raises:
            InputError: if there is none.
        """
        with self._lock:
            if name not in self._columns:
                raise InputError(f"Expected a column of this run; got {name!r}.")
            return self._columns[name]

    def block(self, name: str, *, ranked: bool = False) -> bytes:
        """A column's values, or their percentiles, four bytes a row, little-endian."""
        column = self.column(name)
        if ranked and column.names is not None:
            raise InputError(f"Expected a column of numbers; got {name!r}.")
        return percentiles(column.values).astype("<f4").tobytes() if ranked else column.block()

    def space(self, name: str) -> Space:
        """Vectors that a map is drawn of."""
        if name not in self.spaces:
            raise InputError(f"Expected one of the maps {', '.join(self.spaces) or '(none)'}; got {name!r}.")
        return self.spaces[name]

    def map(self, name: str, way: str = "pca") -> bytes:
        """Positions x, y of all rows, float32, little-endian: all x, then all y.

        Args:
            name: Of the space.
            way: "pca" or "umap".
        """
        self.space(name)
        if way not in WAYS:
            raise InputError(f"Expected a map by {' or '.join(WAYS)}; got {way!r}.")
        found = self._maps[name].result()[0] if way == "pca" else self.umaps.positions(name)
        return np.ascontiguousarray(found.T).astype("<f4").tobytes()

    def row(self, row: int) -> dict[str, Any]:
        """Everything about one row."""
        self.check(row)
        calls, table = self.opened.calls, self.opened.columns
        taken = {call.name: call for call in calls.models}
        label = int(calls.labels[row])
        models = []
        for name, call in taken.items():
            code, right = int(call.predicted[row]), int(call.right(calls.labels)[row])
            models.append(
                {
                    "name": name,
                    "predicted": calls.classes[code] if code >= 0 else None,
                    "right": None if right < 0 else bool(right),
                    "scores": {score: _number(table.column(score)[row].as_py()) for score in call.scores},
                }
            )
        values = {name: _text(table.column(name)[row].as_py()) for name in table.column_names}
        with self._lock:
            kept = [one for one in self._columns.values() if one.role == "saved" and one.names is not None]
        values |= {one.name: one.names[int(one.values[row])] for one in kept if one.names}
        label_text = calls.classes[label] if label >= 0 else None
        return {"row": row, "label": label_text, "models": models, "values": values}

    def near(self, row: int, count: int = NEAR) -> dict[str, Any]:
        """The rows nearest to one, by the best space there is."""
        self.check(row)
        space = next(iter(self.spaces.values()), None)
        if space is None:
            return {"by": None, "rows": [], "distances": []}
        rows, far = space.near(row, count)
        return {"by": space.title, "rows": rows.tolist(), "distances": [round(float(one), 4) for one in far]}

    def save(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Save a selection.

        Args:
            asked: `name`, `value`, `rows`, `format`.

        Raises:
            InputError: if it cannot be saved so.
        """
        name, value, rows = asked.get("name"), asked.get("value"), asked.get("rows")
        form = asked.get("format", "csv")
        if not (isinstance(name, str) and isinstance(value, str) and isinstance(rows, list)):
            raise InputError("Expected a name, a value and rows; got something else.")
        if not all(type(one) is int for one in rows):
            raise InputError("Expected rows as whole numbers; got something else.")
        if any(one.name == name for one in self.fixed):
            raise InputError(f"The run has a column {name!r} already. Choose another name.")
        self.pictures.ready.wait()
        places: NDArray[np.int64] = np.array(rows, np.int64)
        file = self.saved.add(name, value, places, format=form, file_of=self.pictures.file)
        self.refresh()
        return {"file": shared_path(str(file)), "name": name, "rows": len(rows)}

    def check(self, row: int) -> None:
        """Make sure that there is such a row.

        Raises:
            InputError: if there is not.
        """
        if not 0 <= row < len(self.opened):
            raise InputError(f"Expected a row 0…{len(self.opened) - 1:,}; got {row}.")


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _text(value: Any) -> str | None:
    if isinstance(value, float):
        return None if value != value else f"{value:.6g}"
    if isinstance(value, bytes | list | dict):
        return None
    return text_of(value)
