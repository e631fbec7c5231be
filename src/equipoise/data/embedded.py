"""Parquet with embedded pictures: a struct {bytes, path}, as the Hugging Face ecosystem has it, or bytes."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from equipoise.data.source import Content, Source, without
from equipoise.errors import DataError
from equipoise.files import regular

__all__ = ["embedded", "holds_pictures", "image_column"]

ROWS = 64  # read at a time


def embedded(path: Path) -> Source:
    """One Parquet file or a folder of them, read in the order of their names.

    All columns but the picture are attributes; of several files each row also says which, in `file`. A column
    `label` is the label. A row without bytes is looked up by its path, from the folder of its file.

    Raises:
        DataError: if a file is not Parquet, or has no column of pictures.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"Expected Parquet files in {path}; got none. Check the path.")
    columns: list[pa.Table] = []
    paths: list[str] = []
    looked_up: list[Path] = []  # pictures beside the files, where they hold no bytes
    for file in files:
        found, names = _columns(file)
        looked_up += filter(os.path.isfile, (file.parent / name for name in names))
        if len(files) > 1:
            origin = pa.array([file.stem] * len(names), pa.string())
            found = found.append_column("file", origin) if found.num_columns else pa.table({"file": origin})
        columns.append(found)
        paths += names
    try:
        attributes = pa.concat_tables(columns, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"Expected files of one schema in {path}; got: {error}. Read them one by one."
        ) from error
    return Source(
        "parquet",
        paths,
        functools.partial(_contents, files),
        attributes,
        [*files, *looked_up],
        label="label" if "label" in attributes.column_names else None,
    )


def holds_pictures(file: Path) -> bool:
    """Whether a Parquet file has a column of encoded pictures.

    Raises:
        DataError: if it is not Parquet.
    """
    return image_column(_opened(file).schema_arrow) is not None


def image_column(schema: pa.Schema) -> str | None:
    """The column that holds encoded pictures; one called image comes first."""
    found = [
        field.name
        for field in schema
        if _is_binary(field.type)
        or (
            pa.types.is_struct(field.type)
            and field.type.get_field_index("bytes") >= 0
            and (_is_binary(kind := field.type.field("bytes").type) or pa.types.is_null(kind))
        )
    ]
    return min(found, key=lambda name: (name != "image", found.index(name)), default=None)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _opened(file: Path) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(regular(file))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"Expected a Parquet file at {file}; got: {error}. Check the file.") from error


def _open(file: Path) -> tuple[parquet.ParquetFile, str]:
    opened = _opened(file)
    name = image_column(opened.schema_arrow)
    if name is None:
        raise DataError(
            f"Expected a column of pictures (a struct with bytes, or binary) in {file}; got "
            f"{', '.join(opened.schema_arrow.names)}. For a table of paths, force the format manifest."
        )
    return opened, name


def _columns(file: Path) -> tuple[pa.Table, list[str]]:
    """All columns but the pictures, and what to call each picture."""
    opened, name = _open(file)
    kind = opened.schema_arrow.field(name).type
    has_path = pa.types.is_struct(kind) and kind.get_field_index("path") >= 0
    others = [other for other in opened.schema_arrow.names if other != name]
    read = opened.read(columns=[*others, *([f"{name}.path"] if has_path else [])])
    if has_path:
        given: Sequence[str | None] = [row["path"] if row else None for row in read.column(name).to_pylist()]
    else:
        given = [None] * opened.metadata.num_rows
    paths = [value or f"{file.name}#{row}" for row, value in enumerate(given)]
    return without(read.replace_schema_metadata(None), name), paths


def _contents(files: Sequence[Path]) -> Iterator[Content]:
    for file in files:
        opened, name = _open(file)
        for batch in opened.iter_batches(batch_size=ROWS, columns=[name]):
            for value in batch.column(0).to_pylist():
                if isinstance(value, dict):
                    data, place = value.get("bytes"), value.get("path")
                    yield file.parent / place if place and not data else bytes(data or b"")
                else:
                    yield bytes(value or b"")
