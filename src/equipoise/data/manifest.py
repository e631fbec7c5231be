"""Manifests: a CSV, TSV or Parquet table with a column of picture paths; all other columns are attributes."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from equipoise.data.source import Source, read_csv, without
from equipoise.errors import DataError, InputError
from equipoise.files import regular

__all__ = ["manifest"]

PATH_NAMES = [
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "image_file",
    "img",
    "img_path",
]


def manifest(path: Path, *, path_column: str | None = None) -> Source:
    """Pictures listed in a table; paths count from the folder that it lies in, a column `label` is the label.

    Args:
        path: A .csv, .tsv or .parquet file.
        path_column: The column of paths; without it, the first of path, file, filename, … that is there.

    Raises:
        InputError: if `path_column` is not there.
        DataError: if no column looks like paths, or one is missing.
    """
    if path.suffix.lower() == ".parquet":
        columns = _read_parquet(path)
    else:
        columns = read_csv(path, text=PATH_NAMES, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    names = columns.column_names
    if path_column is not None and path_column not in names:
        raise InputError(
            f"Expected path_column to be one of {', '.join(names)}; got {path_column!r}. Choose one of these."
        )
    chosen = path_column or next((name for name in PATH_NAMES if name in names), None)
    if chosen is None:
        raise DataError(
            f"Expected a column of picture paths in {path} (such as path or file); got {', '.join(names)}. "
            "Name it with path_column."
        )
    listed = columns.column(chosen)
    if not (pa.types.is_string(listed.type) or pa.types.is_large_string(listed.type)):
        try:
            listed = pc.cast(listed, pa.string())
        except pa.ArrowException as error:
            raise DataError(
                f"Expected text in the column {chosen!r} of {path}; got {listed.type}. Name another path_column."
            ) from error
    values = listed.to_pylist()
    if None in values:
        raise DataError(
            f"Expected a path in every row of {path}; got none in row {values.index(None)}. "
            "Fill it in or drop the row."
        )
    return Source.of_files(
        "manifest",
        [path.parent / value for value in values],
        without(columns, chosen),
        label="label" if "label" in names else None,
        columns_from=[path],
    )


def _read_parquet(path: Path) -> pa.Table:
    from pyarrow import parquet

    try:
        return parquet.read_table(regular(path))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"Expected a Parquet file at {path}; got: {error}. Check the file.") from error
