"""The hidden groups that a model fails on, sought with what an audit knows of its images anyway."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool
from numpy import ndarray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.report.audit.record import AuditSlice, AuditSlices, MoreOften, SearchedClass
from equipoise.run.audit.view import Looked
from equipoise.seeds import child_seed
from equipoise.slices import ClassSummary, Found, Options, Slice, find

__all__ = ["FILE", "FLAGS", "class_names_of", "known_columns", "slices_of"]

FILE = "slices.parquet"
FLAGS = "mislabelled", "bad picture"  # kinds of image that may be what is wrong with a slice
MOST_VALUES = 20  # of a column that nobody asked for
APART = "path", "slice", "label"  # columns that say where an image is, or what was found before, or its class


def slices_of(
    table: ImageTable,
    seen: Looked,
    kinds: Sequence[str],
    groups: Sequence[str],
    *,
    seed: int,
    folder: Path,
) -> tuple[AuditSlices, Found | None]:
    """Slices of the audited images, also written as slices.parquet; or why none can be sought.

    Args:
        table: The images.
        seen: What the model says and sees of them.
        kinds: What kind the audit calls each image.
        groups: Columns that were asked for; others are taken if they have few values.
        seed: Of the audit.
        folder: Where slices.parquet goes; none is written where none can be sought.
    """
    began, names = time.process_time(), known_columns(table, groups)
    flags: Mapping[str, Bool[ndarray, " n"]] = {flag: np.asarray(kinds) == flag for flag in FLAGS}
    options = Options(seed=child_seed(seed, "slices"))
    try:
        found = find(
            seen.features,
            table.labels,
            seen.probabilities,
            columns={name: table.column(name) for name in names},
            together=[table.digests.tolist()],
            class_names=class_names_of(table, seen.probabilities.shape[1]),
            flags=flags,
            options=options,
        )
    except (
        InputError
    ) as error:  # too few images, or features that are all the same: the rest of the audit stands
        return AuditSlices([], [], options.fdr, names, [], str(error), time.process_time() - began), None
    paths = table.column("path") if "path" in table.attributes.column_names else None
    found.write(folder / FILE, paths)
    return _record(found, names, time.process_time() - began), found


def known_columns(table: ImageTable, groups: Sequence[str]) -> list[str]:
    """Columns that slices are sought in: those asked for, and others of 2 to 20 values."""
    found = list(groups)
    for name in table.attributes.column_names:
        values = table.attributes.column(name)
        if name in (*found, *APART) or pa.types.is_nested(values.type):
            continue
        if 2 <= len(values.unique().drop_null()) <= MOST_VALUES:
            found.append(name)
    return found


def class_names_of(table: ImageTable, classes: int) -> tuple[str, ...]:
    """Of every class that the model knows; those that the images do not name are told by number."""
    names = table.class_names[:classes]
    return (*names, *(f"class {number}" for number in range(len(names), classes)))


def _record(found: Found, columns: list[str], seconds: float) -> AuditSlices:
    return AuditSlices(
        [_slice(one) for one in found.slices],
        [_class(one) for one in found.classes],
        found.fdr,
        columns,
        list(found.notes),
        None,
        seconds,
    )


def _slice(one: Slice) -> AuditSlice:
    said: dict[str, Any] = {
        name: getattr(one, name)
        for name in (
            "name",
            "class_name",
            "size",
            "share",
            "errors",
            "rest",
            "excess",
            "p",
            "density",
            "kind",
        )
    }
    return AuditSlice(
        **said,
        confused_with=dict(one.confused_with),
        typical=list(one.typical),
        more_often=[MoreOften(v.column, v.value, v.share, v.rest, v.p) for v in one.over_represented],
        told=one.told,
        sources=list(one.sources),
    )


def _class(one: ClassSummary) -> SearchedClass:
    smallest = {f"{share:g}": rate for share, rate in one.smallest.items()}
    return SearchedClass(one.name, one.size, one.errors, one.tried, one.tested, smallest, one.reason)
