"""Slices that were found and written down, as a column of a table, joined by the paths of the images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from equipoise.data import ImageTable
from equipoise.data.columns import as_text
from equipoise.data.parquet_file import columns_in
from equipoise.data.table import PATH
from equipoise.data.text_file import regular
from equipoise.errors import DataError, InputError

__all__ = ["NO_SLICE", "SLICE", "check_slices", "place_of", "slice_column", "with_slices"]

#: Column of the hidden groups that an audit found.
SLICE = "slice"
NO_SLICE = "no slice"  # of an image that was looked at and is in none


def with_slices(table: ImageTable, file: str | os.PathLike[str]) -> ImageTable:
    """The table with a column `slice`: name of the slice, "no slice", or nothing where the file does not know the path.

    Args:
        table: Its images must have paths.
        file: A Parquet table with the columns `path` and `slice`, such as an audit or `slices.Found.write` leave.

    Raises:
        InputError: if the table has no paths or a column `slice` of its own, or the file gives an image two slices, or
            has none.
        DataError: if the file cannot be read, or lacks a column.
    """
    names = table.attributes.column_names
    paths = table.column(PATH) if PATH in names else None
    column, note = slice_column(paths, names, file)
    joined = {name: table.attributes.column(name) for name in names} | {SLICE: column}
    return replace(table, attributes=pa.table(joined), notes=(*table.notes, note))


def slice_column(
    paths: Sequence[str | None] | None, names: Sequence[str], file: str | os.PathLike[str]
) -> tuple[Any, str]:
    """The column for images with these paths, and in words how many are known; see `with_slices`.

    Args:
        paths: Of the images; None if they have none.
        names: Columns of theirs.
        file: The table of slices.
    """
    shown = os.path.basename(os.fspath(file))
    if paths is None or not any(paths):
        raise InputError(
            f"Expected images with a column `path`, by which {shown} tells them; got none. Give the source that the "
            "slices were found in, with its paths."
        )
    if SLICE in names:
        raise InputError(
            f"Expected no column {SLICE!r} beside the slices of {shown}; got one. Name that column as groups, or "
            "rename it."
        )
    known = _known(Path(file))
    told = [None if path is None else known.get(place_of(path)) for path in paths]
    there, inside = sum(one is not None for one in told), sum(one not in (None, NO_SLICE) for one in told)
    note = (
        f"Slices of {shown}: {there:,} of {len(told):,} images are in it, {inside:,} of them in a slice"
        + ("." if there == len(told) else "; the others have no group.")
    )
    return pa.array(told, pa.string()), note


def check_slices(values: Sequence[str | None]) -> None:
    """Whether any image to be measured is one that slices were sought in.

    Raises:
        InputError: if none is.
    """
    if not any(value is not None for value in values):
        raise InputError(
            "Expected images that slices were sought in; no path of these is in the table of slices. Give the images "
            "that it was made of, named as they were then."
        )


def _known(file: Path) -> dict[str, str]:
    """Place of an image → its slice."""
    if not file.exists():
        raise DataError(f"Expected a table of slices at {file}; got nothing. Check the path.")
    table, _ = columns_in(regular(file))
    for name in (PATH, SLICE):
        kind = table.column(name).type if name in table.column_names else None
        if kind is None or not _is_text(kind):
            raise DataError(
                f"Expected a column {name!r} of text in {file}; got {kind or 'none'} (columns: "
                f"{', '.join(table.column_names) or 'none'}). Give the slices.parquet of an audit, or what "
                "`slices.Found.write` writes with paths."
            )
    found: dict[str, str] = {}
    paths, values = (as_text(table.column(name)).to_pylist() for name in (PATH, SLICE))
    for path, value in zip(paths, values, strict=True):
        if path is None:
            continue
        value = NO_SLICE if value is None else value
        if found.setdefault(place_of(path), value) != value:
            raise InputError(
                f"Expected one slice an image in {file}; got {found[place_of(path)]!r} and {value!r} of {path}. Paths "
                "must tell images apart."
            )
    if not set(found.values()) - {NO_SLICE}:
        raise InputError(f"Expected slices in {file}; got none: none was found when it was written.")
    return found


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def place_of(path: str) -> str:
    """A path without what says where a source lies: "…/", "./" and "../" at its start."""
    parts = PurePosixPath(path).parts
    kept = next((i for i, part in enumerate(parts) if part not in ("/", "…", ".", "..")), len(parts))
    return "/".join(parts[kept:])
