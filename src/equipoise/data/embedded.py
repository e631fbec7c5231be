"""Parquet with embedded pictures: a struct {bytes, path}, as the Hugging Face ecosystem has it, or bytes."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from equipoise.data.arrow_pictures import image_column, is_binary, pictures_of, with_constant
from equipoise.data.below import check_below
from equipoise.data.folder_metadata import NAMES
from equipoise.data.parquet_file import BROKEN, columns_in, damaged, opened
from equipoise.data.side import side_folder
from equipoise.data.source import Source, without
from equipoise.errors import DataError
from equipoise.pictures.decode import Content

__all__ = ["embedded", "holds_pictures", "parquet_files"]

ROWS = 64  # read at a time


def embedded(path: Path, *, allow_outside: bool = False) -> Source:
    """One Parquet file, or a folder of them (or with them in `data/`), read in the order of their names.

    All columns but the picture are attributes; of several files each row also says which, in `file`, and where
    their names begin with the sides of a split (`train-00000-of-00002`), which side, in `split`. A column
    `label` is the label; names that the files' Hugging Face schema gives to numbers take their place. A row without
    bytes is looked up by its path, from the folder of its file.

    Raises:
        DataError: if a file is not Parquet or is damaged, has no column of pictures, or a path leads out of its
            folder.
    """
    files = parquet_files(path) if path.is_dir() else [path]
    if not files:
        raise DataError(f"Expected Parquet files in {path}; got none. Check the path.")
    if path.is_dir() and not allow_outside:
        check_below(files, path)
    sides = [side_folder(file.stem) for file in files]
    columns: list[pa.Table] = []
    paths: list[str] = []
    notes: tuple[str, ...] = ()
    looked_up: list[Path] = []  # pictures beside the files, where they hold no bytes
    for file, side in zip(files, sides, strict=True):
        found, names, said = _columns(file)
        looked_up += filter(os.path.isfile, (file.parent / name for name in names))
        more = {"file": file.stem} if len(files) > 1 else {}
        more |= {"split": side} if side and len(files) > 1 and None not in sides else {}
        for name, value in more.items():
            if name not in found.column_names:
                found = with_constant(found, name, value, len(names))
        columns.append(found)
        paths += names
        notes += said
    try:
        attributes = pa.concat_tables(columns, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(
            f"Expected files of one schema in {path}; got: {error}. Read them one by one."
        ) from error
    return Source(
        "parquet",
        paths,
        functools.partial(_contents, files, allow_outside),
        attributes,
        [*files, *looked_up],
        label="label" if "label" in attributes.column_names else None,
        notes=notes,
        encoded=True,
    )


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files of a folder, or of `data/` in it, where the Hugging Face hub keeps them."""
    places = (folder, folder / "data")
    found = ([f for f in sorted(place.glob("*.parquet")) if f.name not in NAMES] for place in places)
    return next(filter(None, found), [])


def holds_pictures(file: Path) -> bool:
    """Whether a Parquet file has a column of encoded pictures; some tools write text as bytes too.

    Raises:
        DataError: if it is not Parquet, or is damaged.
    """
    found = opened(file)
    name = image_column(found.schema_arrow)
    if name is None or not is_binary(found.schema_arrow.field(name).type):
        return name is not None
    try:
        first = next(found.iter_batches(batch_size=ROWS, columns=[name]), None)
    except BROKEN as error:
        raise damaged(file, error) from error
    values = [] if first is None else [value for value in first.column(0).to_pylist() if value]
    return not values or not all(map(_is_text, values))


def _is_text(value: bytes) -> bool:
    try:
        return value.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _open(file: Path) -> tuple[parquet.ParquetFile, str]:
    found = opened(file)
    name = image_column(found.schema_arrow)
    if name is None:
        raise DataError(
            f"Expected a column of pictures (a struct with bytes, or binary) in {file}; got "
            f"{', '.join(found.schema_arrow.names)}. For a table of paths, force the format manifest."
        )
    return found, name


def _columns(file: Path) -> tuple[pa.Table, list[str], tuple[str, ...]]:
    """All columns but the pictures, what to call each picture, and what was decided."""
    found, name = _open(file)
    kind = found.schema_arrow.field(name).type
    has_path = pa.types.is_struct(kind) and kind.get_field_index("path") >= 0
    others = [other for other in found.schema_arrow.names if other != name]
    read, notes = columns_in(file, [*others, *([f"{name}.path"] if has_path else [])])
    given: Sequence[object] = [None] * found.metadata.num_rows
    if has_path:
        given = [row["path"] if row else None for row in read.column(name.strip()).to_pylist()]
    paths = [str(value) if value else f"{file.name}#{row}" for row, value in enumerate(given)]
    return without(read, name.strip()), paths, notes


def _contents(files: Sequence[Path], allow_outside: bool) -> Iterator[Content]:
    for file in files:
        found, name = _open(file)
        try:
            for batch in found.iter_batches(batch_size=ROWS, columns=[name]):
                yield from pictures_of(batch.column(0), file.parent, allow_outside=allow_outside)
        except BROKEN as error:
            if isinstance(error, DataError):
                raise
            raise damaged(file, error) from error
