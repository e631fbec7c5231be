"""Columns of any table, as texts with codes or as numbers, without a loop over rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.groups import text_of

__all__ = ["Columns", "shortened"]

Ints = NDArray[np.int64]


class Columns:
    """The columns of a mapping, a DataFrame or an Arrow table.

    Args:
        data: A mapping of columns, or anything with `.columns` (or `.column_names`) and `[name]`: pandas, pyarrow.

    Raises:
        InputError: if it has no columns, two of one name, or columns of different lengths.
    """

    def __init__(self, data: Any) -> None:
        given = (
            list(data)
            if isinstance(data, Mapping)
            else getattr(data, "column_names", getattr(data, "columns", None))
        )
        if given is None or not hasattr(data, "__getitem__"):
            raise InputError(
                f"Predictions must be a table with named columns; got {type(data).__name__}. Pass a mapping of columns "
                "or a DataFrame."
            )
        self._keys = {str(name): name for name in given}
        if len(self._keys) < len(list(given)) or not self._keys:
            raise InputError(
                f"A table of predictions needs columns of different names; got {shortened(map(str, given))}. Rename "
                "one of each."
            )
        self._data, self._read = data, dict[str, pa.Array]()

    @property
    def names(self) -> list[str]:
        """Names of all columns, as text."""
        return list(self._keys)

    def check(self, name: str, what: str) -> str:
        """The name of a column, if it is there.

        Raises:
            InputError: if it is not; says what it was to be.
        """
        if name not in self._keys:
            raise InputError(
                f"Expected the {what} in column {name!r}; the table has {shortened(self.names)}. Name one of these."
            )
        return name

    def column(self, name: str) -> pa.Array:
        """One column, with as many rows as the columns read before."""
        if name not in self._read:
            found = _arrow(self._data[self._keys[name]], name)
            for other, column in self._read.items():
                if len(column) != len(found):
                    raise InputError(
                        f"Columns must have as many rows each; got {len(column)} in {other!r} and {len(found)} in "
                        f"{name!r}. Take them from one table."
                    )
            self._read[name] = found
        return self._read[name]

    def texts(self, name: str) -> tuple[Ints, list[str]]:
        """Codes of the rows, −1 where there is no value, and the texts that they stand for (`text_of`)."""
        column = self.column(name)
        try:
            if not pa.types.is_dictionary(column.type):
                column = column.dictionary_encode()
            codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
            texts = [text_of(value) for value in column.dictionary.to_pylist()]
        except (pa.ArrowException, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"Expected texts or numbers in column {name!r}; got {column.type} ({error}). Convert it to text."
            ) from error
        used = dict.fromkeys(texts[code] for code in np.unique(codes) if code >= 0)
        place = {text: at for at, text in enumerate(text for text in used if text is not None)}
        new = np.array([place.get(text, -1) for text in texts] + [-1], np.int64)  # the last is code −1
        return new[codes], list(place)

    def numbers(self, name: str, what: str) -> NDArray[np.floating[Any]]:
        """Numbers of the rows; float32 stays float32.

        Raises:
            InputError: if a row has none.
        """
        column = self.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise missing(what, name, row, column.null_count, len(column))
        if not pa.types.is_floating(column.type):
            try:
                column = pc.cast(column, pa.float64())
            except pa.ArrowException as error:
                raise InputError(
                    f"Expected numbers in column {name!r}, the {what}; got {_no_number(column)}. Name the column that "
                    "holds them."
                ) from error
        values: NDArray[np.floating[Any]] = column.to_numpy(zero_copy_only=False)
        if (wrong := np.flatnonzero(np.isnan(values))).size:
            raise missing(what, name, int(wrong[0]), wrong.size, len(values))
        return values


def missing(what: str, name: str, row: int, count: int, rows: int) -> InputError:
    """The error of a column without a value somewhere."""
    return InputError(
        f"Expected a {what} in every row; got none in row {row} of column {name!r} ({count} of {rows} rows have none). "
        "Fill it in, or leave these rows out and say so."
    )


def shortened(names: Any) -> str:
    """The first ten, in words."""
    listed = list(names)
    return ", ".join(map(repr, listed[:10])) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")


def _arrow(values: Any, name: str) -> pa.Array:
    if hasattr(values, "detach") and hasattr(values, "cpu"):  # torch
        values = values.detach().cpu().numpy()
    try:
        if isinstance(values, pa.Array | pa.ChunkedArray):
            found = values
        elif hasattr(values, "__arrow_c_stream__"):
            found = pa.chunked_array(values)
        else:
            found = pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        found = pa.array(_as_texts(values, name), pa.string())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _as_texts(values: Any, name: str) -> list[str | None]:
    try:
        return [text_of(value) for value in values]
    except TypeError as error:
        raise InputError(
            f"Expected a column of values in {name!r}; got {type(values).__name__}. Pass one value a row."
        ) from error


def _no_number(column: pa.Array) -> str:
    """The first value that is no number, in words."""
    for row, value in enumerate(column.to_pylist()):
        try:
            float(value)
        except (TypeError, ValueError):
            return f"{str(value)[:40]!r} in row {row}"
    return str(column.type)
