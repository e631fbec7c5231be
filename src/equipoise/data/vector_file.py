"""Vectors that somebody made of pictures: a NumPy file, or a column of lists in a Parquet table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from equipoise.data.columns import as_text
from equipoise.data.parquet_file import columns_in
from equipoise.data.table import PATH
from equipoise.data.text_file import regular
from equipoise.errors import DataError, InputError

__all__ = ["Vectors", "list_vectors", "vector_columns", "vectors_in"]

NUMPY, PARQUET = ".npy", ".parquet"


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors, a row each, and what tells rows from others.

    Args:
        values: Shape (n, d), any type of number; of a NumPy file on the disk.
        paths: Of the pictures; None where the file has none, and order is all that tells rows.
    """

    values: NDArray[Any]
    paths: list[str | None] | None = None


def vectors_in(file: Path, column: str | None = None) -> Vectors:
    """Vectors of a file. Nothing in it is unpickled.

    Args:
        file: .npy with numbers of shape (n, d), or .parquet with a column of lists of numbers of one length, and where
            it has a column `path`, by that.
        column: Of a Parquet table; None takes the only one that holds lists of numbers.

    Raises:
        InputError: if there is no such column, or several; or a row has no vector or one of another length.
        DataError: if the file cannot be read or holds something else.
    """
    if not file.exists():
        raise DataError(f"Expected vectors at {file}; got nothing. Check the path.")
    ending = regular(file).suffix.lower()
    if ending == NUMPY:
        if column is not None:
            raise InputError(
                f"Expected a Parquet table for the column {column!r} of vectors; got {file}. Leave the name out."
            )
        return Vectors(_array(file))
    if ending != PARQUET:
        raise DataError(
            f"Expected vectors in a file ending in {NUMPY} or {PARQUET}; got {file}. Save them with numpy.save, shape "
            "(images, dimensions), or as a column of lists."
        )
    table, _ = columns_in(file)
    name = column or only_vectors(table, file)
    paths = as_text(table.column(PATH)).to_pylist() if PATH in table.column_names else None
    return Vectors(list_vectors(table, name), paths)


def vector_columns(table: pa.Table) -> list[str]:
    """Names of the columns that hold lists of numbers."""
    return [name for name in table.column_names if _holds_vectors(table.column(name).type)]


def only_vectors(table: pa.Table, file: Path) -> str:
    """The one column of vectors.

    Raises:
        InputError: if there is none, or several.
    """
    found = vector_columns(table)
    if len(found) != 1:
        raise InputError(
            f"Expected one column of vectors, lists of numbers, in {file}; got {', '.join(found) or 'none'} (columns: "
            f"{', '.join(table.column_names) or 'none'}). Name the column, `embedding_column`, or give the table that "
            "has it."
        )
    return found[0]


def list_vectors(
    table: pa.Table, name: str, rows: NDArray[np.int64] | None = None, *, of: str = "every image"
) -> NDArray[np.float32]:
    """The vectors in a column of lists of numbers, in single precision, shape (rows, d); what it cannot hold, and what
    is missing in a vector, is not finite.

    Args:
        table: With that column.
        name: Of the column.
        rows: Only these; others may have none. None takes all.
        of: What must have a vector, in words.

    Raises:
        InputError: if there is no such column, it holds something else, a row has none, or lengths differ.
    """
    if name not in table.column_names:
        raise InputError(
            f"Expected a column {name!r} of vectors; the table has {', '.join(table.column_names) or 'none'}. "
            "Choose one of these, or give a network."
        )
    chosen = np.arange(table.num_rows) if rows is None else rows
    column = table.column(name)
    column = column if rows is None else column.take(pa.array(rows))
    kind = column.type
    if not _holds_vectors(kind):
        raise InputError(
            f"Expected lists of numbers in column {name!r}, one vector an image; got {kind}. "
            "Write them to Parquet as a column of lists of floats."
        )
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), -1))
    wrong = np.flatnonzero(lengths != lengths[0]) if len(lengths) else np.zeros(0, np.int64)
    if not len(lengths) or lengths[0] <= 0 or wrong.size:
        row = int(wrong[0]) if wrong.size else 0
        got = "no rows" if not len(lengths) else f"{_length(int(lengths[row]))} in row {chosen[row]}"
        other = f" and {_length(int(lengths[0]))} in row {chosen[0]}" if wrong.size else ""
        raise InputError(
            f"Expected vectors of one length in column {name!r}, one for {of}; got "
            f"{got}{other}. Embed all of these images with one network."
        )
    flat = pa.chunked_array([chunk.flatten() for chunk in column.chunks], kind.value_type)
    with np.errstate(
        over="ignore"
    ):  # what single precision cannot hold becomes infinity, which is refused too
        values = np.asarray(flat.to_numpy(), np.float32)  # a null in a vector becomes NaN, which is refused
    return values.reshape(len(lengths), int(lengths[0]))


def _array(file: Path) -> NDArray[Any]:
    try:
        found = open_memmap(file, "r")  # of numbers alone: neither archives nor objects
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError) as error:
        raise DataError(
            f"Expected numbers in {file}, as numpy.save writes them; got: {str(error)[:300]}. Write it again, without "
            "objects."
        ) from error
    if found.ndim != 2 or found.dtype.kind not in "fiu" or not found.size:
        raise DataError(
            f"Expected numbers of shape (images, dimensions) in {file}; got shape {found.shape} of {found.dtype}. "
            "Write a vector an image."
        )
    return np.asarray(found)


def _holds_vectors(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and bool(pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def _length(length: int) -> str:
    return "none" if length < 0 else f"one of length {length}"
