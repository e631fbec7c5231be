"""Selections that are kept, a file a column, in `explored/` beside the run; other commands take them as groups.

As Parquet: the path of each row as the run has it, and its group, also as `slice`: what `groups` takes as a file. As
CSV: all columns and the group, "other" of rows that were not selected; paths are those from the file, so that it is
itself a source of pictures, where each picture is a file of its own, and a table of predictions.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equipoise.data.listing import read_listing
from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.fairness.prediction_columns import Columns
from equipoise.files import alone, replacing

__all__ = ["OTHER", "Saved"]

OTHER = "other"
NAME = re.compile(r"[^\W_][\w .\-]{0,59}")
FORMATS = ("csv", "parquet")
PATH, SLICE = "path", "slice"


class Saved:
    """Columns of selections beside a run.

    Args:
        home: The folder; made with the first selection.
        columns: The rows.
        path: The column that names their pictures; None without.
    """

    def __init__(self, home: Path, columns: pa.Table, path: str | None) -> None:
        self.home, self.columns, self.path = home, columns, path

    def read(self) -> tuple[dict[str, NDArray[np.object_]], list[str]]:
        """Column → value of each row; and what could not be used."""
        found: dict[str, NDArray[np.object_]] = {}
        notes = []
        for file in sorted(self.home.glob("*.*")) if self.home.is_dir() else ():
            if file.suffix[1:] not in FORMATS or file.name.startswith("."):
                continue
            try:
                found[file.stem] = self._column(file)
            except (EquipoiseError, OSError) as error:
                notes.append(f"{file.name} is not shown. {error}")
        return found, notes

    def _column(self, file: Path) -> NDArray[np.object_]:
        table, _ = read_listing(file)
        name, rows = file.stem, self.columns.num_rows
        if name not in table.column_names or table.num_rows != rows:
            raise DataError(f"Expected {rows:,} rows with a column {name!r}; got {table.num_rows:,} rows.")
        place = next((one for one in (self.path, PATH) if one in table.column_names), None)
        if (
            self.path is not None
            and place is not None
            and _names(table.column(place)) != _names(self.columns.column(self.path))
        ):
            raise DataError("Expected the pictures of this run, in its order; got others.")
        codes, texts = Columns(table).texts(name)
        return np.array([*texts, OTHER], object)[codes]

    def add(
        self,
        name: str,
        value: str,
        rows: NDArray[np.int64],
        *,
        format: Literal["csv", "parquet"] = "csv",
        file_of: Callable[[int], str | None] = lambda row: None,
    ) -> Path:
        """Give some rows a value of a column; others keep theirs, or are "other".

        Args:
            name: Of the column and its file.
            value: The group.
            rows: Positions.
            format: "csv" or "parquet".
            file_of: Row → its picture's file, if it has one.

        Raises:
            InputError: if a name cannot be one, a column of the run has it, or no row is selected.
            DataError: if the file cannot be written.
        """
        self._check(name, value, rows, format)
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with alone(self.home):  # another page may save at the same time
                return self._write(name, value, rows, format, file_of)
        except OSError as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"Expected to save in {self.home}; got: {error.strerror or error}. Change its permissions, or "
                "free some space."
            ) from error

    def _write(
        self,
        name: str,
        value: str,
        rows: NDArray[np.int64],
        format: str,
        file_of: Callable[[int], str | None],
    ) -> Path:
        values = self.read()[0].get(name)
        values = np.full(self.columns.num_rows, OTHER, object) if values is None else values
        values[rows] = value
        target = self.home / f"{name}.{format}"
        with replacing(target) as temporary:
            if format == "csv":
                column = pa.array(values.tolist(), pa.string())
                pyarrow.csv.write_csv(_flat(self._with_files(file_of)).append_column(name, column), temporary)
            else:
                pq.write_table(self._joinable(name, values), temporary)
        for other in FORMATS:
            if other != format:
                with contextlib.suppress(FileNotFoundError):
                    (self.home / f"{name}.{other}").unlink()
        return target

    def _joinable(self, name: str, values: NDArray[np.object_]) -> pa.Table:
        """Path and group: nothing where a row is in no group."""
        column = pa.array([None if one == OTHER else one for one in values], pa.string())
        path = {} if self.path is None else {PATH: self.columns.column(self.path).cast(pa.string())}
        return pa.table({**path, name: column, SLICE: column})

    def _with_files(self, file_of: Callable[[int], str | None]) -> pa.Table:
        table = self.columns
        if self.path is None:
            return table
        paths = table.column(self.path).to_pylist()
        files = [file_of(row) for row in range(len(paths))]
        home = os.path.realpath(self.home)
        named = [path if file is None else _from(file, home) for path, file in zip(paths, files, strict=True)]
        texts = pa.array([None if one is None else str(one) for one in named], pa.string())
        return table.set_column(table.column_names.index(self.path), self.path, texts)

    def _check(self, name: str, value: str, rows: NDArray[np.int64], format: str) -> None:
        if not NAME.fullmatch(name) or name.endswith((".", " ")):
            raise InputError(
                f"A group needs a name of letters, digits, blanks, . _ and -, at most 60; got {name!r}. Choose another."
            )
        if name in (*self.columns.column_names, PATH, SLICE):
            raise InputError(f"The run has a column {name!r} already. Choose another name.")
        if not value.strip() or len(value) > 200 or not value.isprintable():
            raise InputError(f"A group needs a value of 1 to 200 printable characters; got {value[:40]!r}.")
        if not len(rows):
            raise InputError("Expected selected pictures; got none. Select some first.")
        if rows.min() < 0 or rows.max() >= self.columns.num_rows:
            raise InputError(f"Expected rows 0…{self.columns.num_rows - 1:,}; got {rows.min()}…{rows.max()}.")
        if format not in FORMATS:
            raise InputError(f"Expected the format csv or parquet; got {format!r}.")


def _from(file: str, home: str) -> str:
    try:
        return os.path.relpath(os.path.realpath(file), home)
    except ValueError:  # another drive
        return file


def _names(column: pa.ChunkedArray) -> list[str]:
    return [os.path.basename(str(path or "")) for path in column.to_pylist()]


def _flat(table: pa.Table) -> pa.Table:
    """Without columns that CSV does not hold."""
    kept: Sequence[Any] = [
        f.name for f in table.schema if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)
    ]
    return table.select(kept)
