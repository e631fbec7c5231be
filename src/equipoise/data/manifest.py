"""Manifests: a CSV, TSV, JSON lines or Parquet table with a column of picture paths; others are attributes."""

from __future__ import annotations

from pathlib import Path

from equipoise.data.listing import picture_paths, read_listing
from equipoise.data.source import Source, without
from equipoise.errors import DataError, InputError

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


def manifest(path: Path, *, path_column: str | None = None, allow_outside: bool = False) -> Source:
    """Pictures listed in a table; paths count from the folder that it lies in, a column `label` is the label.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file.
        path_column: The column of paths; without it, the first of path, file, filename, … that is there.
        allow_outside: Pictures may lie elsewhere than below that folder.

    Raises:
        InputError: if `path_column` is not there.
        DataError: if the table cannot be read, no column looks like paths, or one is missing or leads out.
    """
    columns, notes = read_listing(path)
    names = columns.column_names
    if path_column is not None and path_column not in names:
        raise InputError(
            f"Expected path_column to be one of {', '.join(names)}; got {path_column!r}. Choose one of these."
        )
    chosen = path_column or next((name for name in PATH_NAMES if name in names), None)
    if chosen is None:
        raise DataError(
            f"Expected a column of picture paths in {path} (such as path or file); got {', '.join(names) or 'none'}. "
            "Name it with path_column."
        )
    pictures = picture_paths(columns, chosen, path, below=None if allow_outside else path.parent)
    return Source.of_files(
        "manifest",
        pictures,
        without(columns, chosen),
        label="label" if "label" in names else None,
        columns_from=[path],
        notes=notes,
    )
