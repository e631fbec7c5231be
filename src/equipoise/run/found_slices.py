"""Slices that were found as what a record says of them, and the columns that they are sought in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from equipoise.report.audit.record import (
    AskedWords,
    AuditSlice,
    AuditSlices,
    MoreOften,
    NearWord,
    SearchedClass,
)
from equipoise.slices import ClassSummary, Found, Slice, Word

__all__ = ["known_columns", "slices_record"]

MOST_VALUES = 20  # of a column that nobody asked for
APART = "path", "slice", "label"  # columns that say where an image is, or what was found before, or its class
SAME = "name", "class_name", "size", "share", "errors", "rest", "excess", "p", "density", "kind", "told"


def known_columns(attributes: pa.Table, asked: Sequence[str], apart: Sequence[str] = ()) -> list[str]:
    """Columns that slices are sought in: those asked for, and others of 2 to 20 values, but for those in `apart`."""
    found = list(asked)
    for name in attributes.column_names:
        values = attributes.column(name)
        if name in (*found, *APART, *apart) or pa.types.is_nested(values.type):
            continue
        if 2 <= len(values.unique().drop_null()) <= MOST_VALUES:
            found.append(name)
    return found


def slices_record(
    found: Found,
    columns: Sequence[str],
    seconds: float,
    words: tuple[AskedWords, Sequence[Sequence[Word]]] | None = None,
) -> AuditSlices:
    """What a record says.

    Args:
        found: The slices.
        columns: That they were sought in.
        seconds: Of the processor.
        words: The words that were tested, and those that passed, by slice; None if none were given.
    """
    asked, near = (None, [()] * len(found.slices)) if words is None else words
    return AuditSlices(
        [_slice(*both) for both in zip(found.slices, near, strict=True)],
        [_class(one) for one in found.classes],
        found.fdr,
        list(columns),
        list(found.notes),
        None,
        seconds,
        asked,
    )


def _slice(one: Slice, near: Sequence[Word]) -> AuditSlice:
    said: dict[str, Any] = {name: getattr(one, name) for name in SAME}
    return AuditSlice(
        **said,
        confused_with=dict(one.confused_with),
        typical=list(one.typical),
        more_often=[MoreOften(v.column, v.value, v.share, v.rest, v.p) for v in one.over_represented],
        sources=list(one.sources),
        words=[NearWord(w.word, w.nearer, w.cosine, w.rest, w.p) for w in near],
    )


def _class(one: ClassSummary) -> SearchedClass:
    smallest = {f"{share:g}": rate for share, rate in one.smallest.items()}
    return SearchedClass(one.name, one.size, one.errors, one.tried, one.tested, smallest, one.reason)
