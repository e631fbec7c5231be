"""Columns as the page takes them: numbers, or categories by their codes, in one block of bytes each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.explore.opening import Opened
from equipoise.fairness.prediction_columns import Columns

__all__ = ["Column", "columns_of", "percentiles"]

MOST_CATEGORIES = 1000
FEW = 20  # whole numbers with at most so many values are categories
RIGHT = ("wrong", "right")
PERCENTILE, OF_LABEL = "_percentile", "_percentile_of_label"


@dataclass(frozen=True, eq=False)
class Column:
    """One column.

    Args:
        name: Unique.
        title: What people read.
        values: float32 of numbers, NaN without a value; int32 codes of categories, −1 without. Shape (n,).
        names: Of categories, by code; None of numbers.
        role: "label", "predicted", "right", "kind", "group", "saved", "score", "risk", "percentile" or "other".
        model: The model that it is about; None of others.
    """

    name: str
    title: str
    values: NDArray[Any]
    names: tuple[str, ...] | None
    role: str
    model: str | None = None

    def block(self) -> bytes:
        """Little-endian, four bytes a row."""
        return self.values.astype("<f4" if self.names is None else "<i4").tobytes()

    def said(self) -> dict[str, Any]:
        """All but the values, as plain JSON."""
        found: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "role": self.role,
            "model": self.model,
        }
        if self.names is not None:
            return {**found, "names": list(self.names)}
        some = self.values[np.isfinite(self.values)]
        low, high = (float(some.min()), float(some.max())) if some.size else (0.0, 1.0)
        return {**found, "low": low, "high": high, "share": low >= 0 and high <= 1}


def columns_of(opened: Opened) -> list[Column]:
    """Columns of what is explored, those that matter most first; of texts with very many values none is made."""
    calls, table = opened.calls, opened.columns
    found: list[Column] = []
    if (calls.labels >= 0).any():
        found.append(_codes("label", "label", calls.labels, calls.classes, "label"))
    for call in calls.models:
        alone = len(calls.models) == 1
        of = "" if alone else f" by {call.name}"
        names = calls.classes
        found.append(
            _codes(f"predicted:{call.name}", f"predicted{of}", call.predicted, names, "predicted", call.name)
        )
        right = call.right(calls.labels)
        if (right >= 0).any():
            found.append(
                _codes(f"right:{call.name}", f"right or wrong{of}", right, RIGHT, "right", call.name)
            )
    taken = {calls.label, "label" if calls.label == "label" else None}
    taken |= {one for one in table.column_names if one == "predicted" or one.startswith("predicted_")}
    found += [one for name in table.column_names if name not in taken for one in _read(opened, name)]
    return _unique(found)


def _unique(found: list[Column]) -> list[Column]:
    known: dict[str, Column] = {}
    for one in found:
        name = one.name
        while name in known:
            name = f"{name} "
        known[name] = one if name == one.name else Column(name, *list(vars(one).values())[1:])
    return list(known.values())


def _codes(
    name: str,
    title: str,
    codes: NDArray[np.int64],
    names: tuple[str, ...],
    role: str,
    model: str | None = None,
) -> Column:
    return Column(name, title, codes.astype(np.int32), names, role, model)


def _read(opened: Opened, name: str) -> Iterator[Column]:
    table = Columns(opened.columns)
    values = table.column(name)
    role, title, model = _role(opened, name)
    if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
        return
    if (numbers := _numbers(values, wanted=role in ("score", "risk", "percentile"))) is not None:
        yield Column(name, title, numbers, None, role, model)
        return
    try:
        codes, texts = table.texts(name)
    except InputError:
        return
    if (
        len(texts) <= MOST_CATEGORIES
        and (len(texts) < len(codes) or len(codes) <= FEW)
        and name != opened.path_column
    ):
        order = np.argsort(np.array(texts, dtype=object)) if texts else np.zeros(0, np.int64)
        new = np.empty(len(texts) + 1, np.int64)
        new[order], new[-1] = np.arange(len(texts)), -1
        yield _codes(name, title, new[codes], tuple(texts[place] for place in order), role)


def _role(opened: Opened, name: str) -> tuple[str, str, str | None]:
    """What a column is for, what it is called, and of which model it is."""
    risks = opened.risks
    for call in opened.calls.models:
        if name in call.scores:
            alone = len(opened.calls.models) == 1
            return "score", name if not alone else name.replace("_", " "), call.name
    base = name.removesuffix(OF_LABEL).removesuffix(PERCENTILE)
    if base in risks:
        ending = {base: "", base + PERCENTILE: ", percentile"}.get(name, ", percentile among its label")
        kind = "percentile" if name == base + PERCENTILE else "risk" if name == base else "other"
        return kind, risks[base] + ending, None
    if name == "log_density":
        return "risk", "log-density (high = common)", None
    if name == "kind" and opened.kind == "audit":
        return "kind", "kind", None
    return ("group" if name in opened.groups else "other"), name, None


def _numbers(values: pa.Array, *, wanted: bool) -> NDArray[np.float32] | None:
    """As numbers, if they are: whole ones with few values only if that is wanted."""
    kind = values.type
    if pa.types.is_boolean(kind):
        return None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            values = pc.cast(pc.if_else(pc.equal(values, ""), pa.scalar(None, kind), values), pa.float64())
        except pa.ArrowException:
            return None
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    found = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    some = np.unique(found[np.isfinite(found)])
    if not some.size or (not wanted and len(some) <= FEW and bool((some == np.round(some)).all())):
        return None
    with np.errstate(over="ignore"):
        single = found.astype(np.float32)
    return np.where(np.isfinite(single), single, np.float32(np.nan))


def percentiles(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of other rows below, ties in their middle, in [0, 1]; NaN where there is no value."""
    found = np.full(len(values), np.nan, np.float32)
    known = np.isfinite(values)
    if known.sum() < 2:
        found[known] = 0.5
        return found
    _, place, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)[:-1]])
    middle = below + (counts - 1) / 2
    found[known] = (middle / (known.sum() - 1))[place.reshape(-1)]
    return found
