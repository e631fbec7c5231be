"""Pictures in Arrow columns: a struct {bytes, path}, as the Hugging Face ecosystem has it, bytes, or nested numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.data.below import check_below
from equipoise.data.picture_values import content_of
from equipoise.errors import DataError
from equipoise.pictures.decode import Content

__all__ = ["holds_files", "image_column", "is_binary", "pictures_of", "with_constant"]


def image_column(schema: pa.Schema, *, numbers: bool = False) -> str | None:
    """The column that holds pictures; one called image comes first, and encoded pictures come before numbers.

    Args:
        schema: Of a file or a table.
        numbers: Nested lists of numbers are pictures too.
    """
    found = [field.name for field in schema if is_binary(field.type) or _is_struct(field.type)]
    if not found and numbers:
        found = [field.name for field in schema if _depth(field.type) >= 2]
    return min(found, key=lambda name: (name != "image", found.index(name)), default=None)


def is_binary(kind: pa.DataType) -> bool:
    """Whether a column holds bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def holds_files(kind: pa.DataType) -> bool:
    """Whether the pictures of a column are files or the bytes of files, not numbers."""
    return is_binary(kind) or _is_struct(kind)


def _is_struct(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    inner = kind.field("bytes").type
    return is_binary(inner) or bool(pa.types.is_null(inner))


def _is_list(kind: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(kind) for check in lists)


def _depth(kind: pa.DataType) -> int:
    """How many lists of lists of numbers; 0 for what is none."""
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    depth = 0
    while _is_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth if pa.types.is_integer(kind) or pa.types.is_floating(kind) else 0


def pictures_of(
    values: pa.Array, folder: Path | None, *, allow_outside: bool = False, first: int = 0
) -> Iterator[Content]:
    """The pictures of a column, one after another.

    Args:
        values: Of the column that `image_column` names.
        folder: Paths count from there and must stay below; None takes them as they are.
        allow_outside: They may lead out.
        first: Row of the first value, for messages.

    Raises:
        DataError: if a path leads out, or numbers are no picture.
    """
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if _is_list(values.type):
        for row, value in enumerate(values):
            yield content_of(_array(value, first + row), where=f"row {first + row}")
        return
    for value in values.to_pylist():
        data, place = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
        if place and not data:
            picture = Path(place) if folder is None else folder / place
            if folder is not None and not allow_outside:
                check_below([picture], folder)
            yield picture
        else:
            yield bytes(data or b"")


def _array(value: Any, row: int) -> NDArray[Any]:
    """Nested lists of equal lengths as an array."""
    values = value.values
    shape = [0 if values is None else len(values)]
    while values is not None and _is_list(values.type):
        lengths = np.unique(np.asarray(values.value_lengths()))
        shape.append(int(lengths[0]) if len(lengths) == 1 else 0)
        values = values.flatten()
    if values is None or values.null_count or 0 in shape:
        raise DataError(
            f"Expected a picture in every row, as lists of equal lengths; got something else in row {row}. Drop or "
            "correct such rows."
        )
    return np.asarray(values).reshape(shape)


def with_constant(columns: pa.Table, name: str, value: str, rows: int) -> pa.Table:
    """Columns with one more that is the same in all rows."""
    values = pa.array([value] * rows, pa.string())
    return columns.append_column(name, values) if columns.num_columns else pa.table({name: values})
