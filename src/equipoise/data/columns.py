"""Columns beside the pictures: checked names, joined tables, and values as text."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equipoise.errors import DataError, InputError
from equipoise.groups import text_of

__all__ = [
    "array_of",
    "as_text",
    "check_asked",
    "columns_of",
    "indexed",
    "joined",
    "named",
    "text_bytes",
    "values_of",
    "without_dictionaries",
]

ALWAYS = ("path", "label")
MAX_COLUMNS = 20_000


def named(names: Sequence[str], where: object) -> tuple[list[str], tuple[str, ...]]:
    """Names of columns without the blanks around them, "" for a column without a name; and notes on both.

    Raises:
        DataError: if a name stands twice.
    """
    plain = [name.strip().strip("\ufeff") for name in names]
    twice = sorted(name for name, count in Counter(plain).items() if name and count > 1)
    if len(plain) > MAX_COLUMNS:
        raise DataError(
            f"Expected at most {MAX_COLUMNS:,} columns in {where}; got {len(plain):,}. Check the separator, or give "
            "the columns that are needed."
        )
    if twice:
        raise DataError(
            f"Expected columns of different names in {where}; got {', '.join(map(repr, twice))} more than once. "
            "Rename or drop the column that is not meant."
        )
    trimmed = [name for name, given in zip(plain, names, strict=True) if name and name != given]
    unnamed = [number for number, name in enumerate(plain, 1) if not name]
    notes = []
    if trimmed:
        notes.append(f"Blanks around the names of columns are left out: {', '.join(trimmed)}")
    if unnamed:
        notes.append(f"Columns without a name are left out: number {', '.join(map(str, unnamed))}")
    return plain, tuple(notes)


def check_asked(groups: Sequence[str] | None, names: Sequence[str]) -> None:
    """Make sure that the columns asked for are there; the class itself, `label`, and `path` always are.

    Raises:
        InputError: with the nearest names, if one is not.
    """
    known = [name for name in names if name not in ALWAYS]
    missing = next((name for name in groups or () if name not in (*known, *ALWAYS)), None)
    if missing is not None:
        near = difflib.get_close_matches(missing, known, n=3, cutoff=0.0)
        raise InputError(
            f"Expected groups to be columns of the source; got {missing!r}, which is none of "
            f"{', '.join(known) or 'its columns: it has none'}."
            + (f" Nearest: {', '.join(near)}." if near else "")
        )


def array_of(values: Any) -> NDArray[Any]:
    """NumPy or torch to NumPy in this machine's byte order, without importing torch."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    array: NDArray[Any] = np.asanyarray(values)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def columns_of(attributes: Mapping[str, Sequence[Any]] | pa.Table | None, n: int) -> pa.Table:
    """Attributes of n images as a table.

    Raises:
        InputError: if names are not unique, a column does not hold values of one type, or lengths differ.
    """
    if attributes is None:
        return pa.table({})
    given = attributes.column_names if isinstance(attributes, pa.Table) else [*map(str, attributes)]
    if len(set(given)) < len(given):
        raise InputError(f"Attributes must have different names; got {given}. Rename the one not meant.")
    if isinstance(attributes, pa.Table):
        columns = attributes
    else:
        arrays = {str(name): _arrow(name, values) for name, values in attributes.items()}
        lengths = {name: len(array) for name, array in arrays.items() if len(array) != n}
        if lengths:
            raise InputError(
                f"Attributes must have {n} values, one an image; got {lengths}. Check the lengths."
            )
        columns = pa.table(arrays)
    if columns.num_columns and columns.num_rows != n:
        raise InputError(
            f"Attributes must have {n} rows, one an image; got {columns.num_rows}. Check the lengths."
        )
    return columns


def _arrow(name: str, values: Any) -> pa.Array:
    plain = array_of(values) if hasattr(values, "shape") else list(values)
    try:
        return pa.array(plain, from_pandas=True)
    except (pa.ArrowException, OverflowError) as error:
        if all(isinstance(value, int) for value in plain):  # too large for 64 bits, such as ids
            return pa.array([text_of(value) for value in plain])
        raise InputError(
            f"Attribute {name!r} must hold values of one type; got a mixture ({error}). "
            "Convert it, for example to text."
        ) from error


def indexed(columns: pa.Table, n: int) -> pa.Table:
    """A table without columns forgets its rows: give it a column of nulls that `joined` leaves out again."""
    return columns if columns.num_columns else pa.table({"": pa.nulls(n)})


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables one after another; a column whose type differs between them becomes text."""
    types: dict[str, set[pa.DataType]] = {}
    plain = [without_dictionaries(table) for table in tables]
    for table in plain:
        for item in table.schema:
            types.setdefault(item.name, set()).add(item.type)
    for name, found in types.items():
        found -= {pa.null()}
        if len(found) > 1 and not (all(map(pa.types.is_integer, found)) and pa.uint64() not in found):
            plain = [_with_text(table, name) for table in plain]
    together = pa.concat_tables(plain, promote_options="permissive")
    return together.drop_columns([""]) if "" in together.column_names else together


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as the texts that name groups, see `text_of`; bytes that are no text as they are written in Python."""
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_temporal(kind):
        return _dates(column)
    if pa.types.is_integer(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return pc.cast(column, pa.string())
    return pa.chunked_array([pa.array([_printed(value) for value in column.to_pylist()], pa.string())])


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """Values of a column; dates and times as text, since Python cannot hold all of them."""
    if pa.types.is_temporal(column.type):
        column = _dates(column)
    values: list[Any] = column.to_pylist()
    return values


def _dates(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """As 2020-01-31 or 2020-01-31 12:00:00, without a fraction that is zero."""
    try:
        return pc.replace_substring_regex(pc.cast(column, pa.string()), r"\.0+(Z?)$", r"\1")
    except pa.ArrowException:  # spans of time
        return pa.chunked_array([pa.array(map(_printed, column.to_pylist()), pa.string())])


def _printed(value: object) -> str | None:
    try:
        return text_of(value)
    except InputError:
        return repr(value)


def without_dictionaries(table: pa.Table) -> pa.Table:
    """The same with plain values in place of dictionaries and their codes."""
    table = table.replace_schema_metadata(None)
    for index, item in enumerate(table.schema):
        if pa.types.is_dictionary(item.type):
            table = table.set_column(index, item.name, table.column(index).cast(item.type.value_type))
    return table


def _with_text(table: pa.Table, name: str) -> pa.Table:
    if name not in table.column_names:
        return table
    index = table.column_names.index(name)
    return table.set_column(index, name, as_text(table.column(index)))


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.large_string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # lists, structs, bytes that are not text
        texts = [None if value is None else repr(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.large_string())])


def text_bytes(column: pa.ChunkedArray) -> bytes:
    """The values as text: which are null, how long each is, and all of them, whatever the chunks."""
    text = _text(column)
    null = np.asarray(pc.is_null(text), dtype=np.uint8)
    filled = pc.fill_null(text, "")
    lengths = np.asarray(pc.binary_length(filled), dtype="<i8")
    plain = pa.concat_arrays(filled.chunks) if filled.num_chunks else pa.array([], pa.large_string())
    _, places, values = plain.buffers()
    ends = (
        np.frombuffer(places, np.int64)[[plain.offset, plain.offset + len(plain)]] if len(plain) else (0, 0)
    )
    content = bytes(memoryview(values)[ends[0] : ends[1]]) if values is not None else b""
    return null.tobytes() + lengths.tobytes() + content
