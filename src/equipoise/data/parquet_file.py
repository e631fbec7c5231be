"""Parquet files that others wrote: opened with the cause where they are damaged, columns as text tools see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from equipoise.data.columns import named
from equipoise.data.text_file import regular
from equipoise.errors import DataError

__all__ = ["BROKEN", "columns_in", "damaged", "opened", "plain_columns", "with_names"]

BROKEN = (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, MemoryError, TypeError)
"""What Arrow raises on damaged files, among them errors of its own that are builtins too."""


def opened(file: Path) -> parquet.ParquetFile:
    """A Parquet file whose footer could be read.

    Raises:
        DataError: if it is not one, or is damaged.
    """
    try:
        return parquet.ParquetFile(regular(file))
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise damaged(file, error) from error


def damaged(file: Path, error: BaseException, kind: str = "a Parquet") -> DataError:
    """The error of a file that cannot be read to the end."""
    return DataError(
        f"Expected {kind} file at {file}; got: {str(error)[:300]}. It is damaged or not whole: "
        "write or download it again."
    )


def columns_in(file: Path, names: Sequence[str] | None = None) -> tuple[pa.Table, tuple[str, ...]]:
    """Columns of a Parquet file, and in words what was decided about them.

    Bytes that are UTF-8 become text. Whole numbers that the Hugging Face schema in the file names (ClassLabel)
    become these names, as an ordered dictionary; −1 is null.

    Args:
        file: The file.
        names: The columns to read, as they are called in the file; None reads all.

    Raises:
        DataError: if the file is damaged, a column stands twice, or text is not UTF-8.
    """
    found = opened(file)
    plain, notes = named(found.schema_arrow.names, file)
    if names is not None:
        notes = ()
    try:
        table = found.read(columns=None if names is None else list(names))
        table.validate(full=True)
        table = plain_columns(table, file)
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise damaged(file, error) from error
    meant = dict(zip(found.schema_arrow.names, plain, strict=True))
    renamed = [meant.get(name, name) for name in table.column_names]
    table = table.rename_columns(renamed)
    return table.select([name for name in renamed if name]), notes


def plain_columns(table: pa.Table, where: object) -> pa.Table:
    """Columns with bytes that are UTF-8 as text, and class numbers that their schema names as these names.

    Raises:
        DataError: if a number has no name.
    """
    classes = class_names(table.schema.metadata)
    table = table.replace_schema_metadata(None)
    for index, field in enumerate(table.schema):
        column = _text(table.column(index))
        if field.name in classes:
            column = with_names(column, classes[field.name], field.name, where)
        table = table.set_column(index, field.name, column)
    return table


def class_names(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """Column → names of its classes, by number, as the Hugging Face schema of a file has them."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {
            str(column): names
            for column, feature in features.items()
            if isinstance(feature, dict) and (names := _names(feature)) is not None
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _names(feature: dict[str, Any]) -> list[str] | None:
    if "class_label" in feature:  # as a README has it
        feature = {"_type": "ClassLabel", **feature["class_label"]}
    names = feature.get("names")
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=int)]
    if feature.get("_type") != "ClassLabel" or not isinstance(names, list):
        return None
    texts = list(map(str, names))
    return texts if len(set(texts)) == len(texts) else None


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        try:
            return pc.cast(column, pa.string())
        except pa.ArrowInvalid:  # no text: nothing to group or to label by, but no reason to stop
            return column
    return column


def with_names(column: pa.ChunkedArray, names: list[str], name: str, where: object) -> pa.ChunkedArray:
    """Names in place of the class numbers of a column, as an ordered dictionary; −1 is null, other values stay.

    Raises:
        DataError: if a number has no name.
    """
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return column  # names already
    ids = [None if value in (None, -1) or value != value else value for value in column.to_pylist()]
    wrong = next((value for value in ids if value is not None and value not in range(len(names))), None)
    if wrong is not None:
        raise DataError(
            f"Expected class numbers 0…{len(names) - 1} in {name!r} of {where}, which names "
            f"{', '.join(names[:10])}; got {wrong}. Correct the numbers or the names."
        )
    dictionary = pa.DictionaryArray.from_arrays(pa.array(ids, pa.int32()), pa.array(names), ordered=True)
    return pa.chunked_array([dictionary])
