"""Listings: tables of pictures in CSV, TSV, JSON lines or Parquet, and the paths that they name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from equipoise.data.below import check_below
from equipoise.data.columns import as_text
from equipoise.data.delimited import read_delimited
from equipoise.data.json_lines import read_json_lines
from equipoise.data.parquet_file import columns_in
from equipoise.errors import DataError

__all__ = ["ENDINGS", "FILE_NAME", "picture_paths", "read_listing"]

FILE_NAME = "file_name"
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def read_listing(path: Path) -> tuple[pa.Table, tuple[str, ...]]:
    """Columns of a listing, by its ending, and in words what was decided about them.

    Raises:
        DataError: if it cannot be read.
    """
    ending = path.suffix.lower()
    if ending == ".parquet":
        return columns_in(path)
    if ending in (".jsonl", ".ndjson"):
        return read_json_lines(path)
    return read_delimited(path)


def picture_paths(table: pa.Table, column: str, listing: Path, *, below: Path | None) -> list[Path]:
    """The paths that a column names, from the folder of its listing.

    Args:
        table: Columns of the listing.
        column: The one that holds paths.
        listing: The file, whose folder paths count from.
        below: The folder that pictures must not lead out of; None lets them.

    Raises:
        DataError: if a cell is empty or no text, or a path leads out.
    """
    kind = table.column(column).type
    if pa.types.is_nested(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind):
        raise DataError(
            f"Expected text in the column {column!r} of {listing}; got {kind}. Name another path_column."
        )
    values = as_text(table.column(column)).to_pylist()
    empty = [row for row, value in enumerate(values) if not (value or "").strip()]
    if empty:
        raise DataError(
            f"Expected a path in every row of {listing}; got none in row {empty[0]} ({len(empty)} such rows). "
            "Fill it in or drop the row."
        )
    pictures = [listing.parent / value for value in values]
    if below is not None:
        check_below(pictures, below)
    return pictures
