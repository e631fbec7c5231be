"""Metadata files of image folders, as Hugging Face's imagefolder has them: metadata.csv, .jsonl or .parquet.

A file names pictures in its column `file_name`, relative to the folder that it lies in; its other columns are
attributes, and a column `label` is the label, before what folders say. As there, pictures without a row are not
part of the data; here they are counted and said. Two files may say the same of a picture; what they say must not
differ.

Source: Hugging Face, Create an image dataset, https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from equipoise.data.columns import as_text, joined
from equipoise.data.listing import FILE_NAME, picture_paths, read_listing
from equipoise.data.source import Source
from equipoise.data.table import PATH, Rejected
from equipoise.errors import DataError

__all__ = ["NAMES", "described"]

NAMES = frozenset({"metadata.csv", "metadata.jsonl", "metadata.parquet"})
LABEL = "label"


def described(source: Source, listings: Sequence[Path], folder: Path, *, allow_outside: bool) -> Source:
    """The pictures of a folder with the columns of its metadata files.

    Raises:
        DataError: if a file cannot be read, lacks the column file_name, names a picture outside of the folder, or
            says something else of a picture than another row does.
    """
    columns, paths, notes = _rows(listings, folder, allow_outside=allow_outside)
    place = {os.path.normpath(path): row for row, path in enumerate(source.paths)}
    rows = [place.get(path) for path in paths]
    listed = set(paths)
    rejected = tuple(
        Rejected(path, "no metadata file of the folder names it")
        for path in map(os.path.normpath, source.paths)
        if path not in listed
    )
    names = ", ".join(os.path.relpath(listing, folder) for listing in listings)
    notes = (*source.notes, f"Columns from {names}", *notes)
    for name in source.attributes.column_names:  # folder and split, where the metadata does not say it
        if name not in columns.column_names:
            known = pa.chunked_array([source.attributes.column(name).combine_chunks()])
            columns = columns.append_column(name, known.take(pa.array(rows, pa.int64())))
    label = LABEL if LABEL in columns.column_names else source.label
    if label == LABEL and source.label is not None:
        notes += (_difference(columns, names),)
    elif label is not None:
        notes += (f"{names} has no column label: the folders are the classes",)
    return Source.of_files(
        "folder", paths, columns, label=label, columns_from=listings, rejected=rejected, notes=notes
    )


def _rows(
    listings: Sequence[Path], folder: Path, *, allow_outside: bool
) -> tuple[pa.Table, list[str], tuple[str, ...]]:
    """Columns and paths of all files; a row that says again what another said is left out."""
    tables: list[pa.Table] = []
    paths: list[str] = []
    notes: tuple[str, ...] = ()
    for listing in listings:
        table, said = read_listing(listing)
        if FILE_NAME not in table.column_names:
            raise DataError(
                f"Expected a column {FILE_NAME} in {listing}, the metadata of an image folder; got "
                f"{', '.join(table.column_names)}. Rename the column of paths, or the file."
            )
        found = picture_paths(table, FILE_NAME, listing, below=None if allow_outside else folder)
        paths += [os.path.normpath(path) for path in found]
        tables.append(table.drop_columns([FILE_NAME, *({PATH} & set(table.column_names))]))
        notes += said
    alike = all(table.schema.equals(tables[0].schema) for table in tables)
    columns = pa.concat_tables(tables) if alike else joined(tables)
    kept = _once(columns, paths, listings)
    if len(kept) < len(paths):
        columns = columns.take(pa.array(kept, pa.int64())) if columns.num_columns else columns
        notes += (f"{len(paths) - len(kept)} rows of metadata say again what another row says",)
    return columns, [paths[row] for row in kept], notes


def _once(columns: pa.Table, paths: Sequence[str], listings: Sequence[Path]) -> list[int]:
    texts = {name: as_text(columns.column(name)).to_pylist() for name in columns.column_names}
    first: dict[str, int] = {}
    for row, path in enumerate(paths):
        before = first.setdefault(path, row)
        for name, values in texts.items():
            if values[before] != values[row]:
                raise DataError(
                    f"Expected one thing said of each picture in {', '.join(map(str, listings))}; got "
                    f"{name} = {values[before]} and {values[row]} of {path}. Correct or drop one of the rows."
                )
    return list(first.values())


def _difference(columns: pa.Table, names: str) -> str:
    """What folders and the label column say of each other."""
    pairs = zip(
        as_text(columns.column("folder")).to_pylist(), as_text(columns.column(LABEL)).to_pylist(), strict=True
    )
    counts: dict[tuple[str | None, str | None], int] = {}
    for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
    listed = ", ".join(f"{folder} has label {label} ({n})" for (folder, label), n in list(counts.items())[:8])
    return f"Labels are those of {names}, not the folders': folder {listed}"
