"""CSV and TSV files: columns of text, exactly as they stand in the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from equipoise.data.columns import named
from equipoise.data.text_file import decoded_text
from equipoise.errors import DataError

__all__ = ["read_delimited"]

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ROWS = 10_000  # turned into columns at a time


def read_delimited(path: Path) -> tuple[pa.Table, tuple[str, ...]]:
    """A table with a header line, and in words what was decided about it.

    All columns are text: no type is guessed, so 1, 01 and 1.0 stay three texts. An empty cell is null, NA is not.
    Columns are separated by commas (in a .tsv by tabs), or else by what separates the header: semicolons, tabs,
    bars. Where blanks follow the separators of the header, they are left out in all rows.

    Raises:
        DataError: if the file is not text, has no header, a row has more or fewer cells, or a column stands twice.
    """
    text = decoded_text(path)
    separator = _separator(text, path)
    options: dict[str, Any] = {"delimiter": separator, "strict": True}
    given = next(_rows(path, text, options), None)
    if given is None:
        raise DataError(f"Expected a CSV file with a header line at {path}; got no line. Check the file.")
    names, notes = named(given, path)
    if len(given) > 1 and any(name.startswith(" ") for name in given[1:]):
        options["skipinitialspace"] = True
    kept = [index for index, name in enumerate(names) if name]
    if not kept:
        raise DataError(f"Expected names of columns in line 1 of {path}; got none. Add a header line.")
    if separator != ("\t" if path.suffix.lower() == ".tsv" else ","):
        notes += (f"Columns of {path.name} are separated by {SEPARATORS[separator]}",)
    schema = pa.schema([(names[index], pa.string()) for index in kept])
    rows = _rows(path, text, options)
    next(rows)
    blocks = []
    while block := list(islice(rows, ROWS)):
        cells = list(zip(*block, strict=True))
        blocks.append(pa.table([_column(cells[index]) for index in kept], schema))
    return pa.concat_tables(blocks) if blocks else schema.empty_table(), notes


def _column(cells: Sequence[str]) -> pa.Array:
    return pa.array([cell if cell.strip() else None for cell in cells], pa.string())


def _separator(text: str, path: Path) -> str:
    line = next((line for line in io.StringIO(text) if line.strip()), "")
    first = "\t" if path.suffix.lower() == ".tsv" else ","
    return next((mark for mark in (first, *SEPARATORS) if mark in _unquoted(line)), first)


def _unquoted(line: str) -> str:
    return "".join(line.split('"')[::2])


def _rows(path: Path, text: str, options: dict[str, Any]) -> Iterator[list[str]]:
    """The header, then rows of as many cells."""
    reader = csv.reader(io.StringIO(text, newline=""), **options)
    width = None
    try:
        for row in reader:
            if not row:  # an empty line
                continue
            width = len(row) if width is None else width
            if len(row) != width:
                raise DataError(
                    f"Expected {width} cells in every row of the CSV file {path}, as in its header; got {len(row)} "
                    f"in line {reader.line_num}. Put cells that hold a separator into double quotes."
                )
            yield row
    except csv.Error as error:
        raise DataError(
            f"Expected a CSV file with a header line at {path}; got: {error}, in line {reader.line_num}. "
            "Check the double quotes there."
        ) from error
