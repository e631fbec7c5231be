"""What Hugging Face's `save_to_disk` writes, and single .arrow files, as its cache has them; read by Arrow alone.

A Dataset is a folder with `state.json`, which lists its files; a DatasetDict is a folder with `dataset_dict.json`,
which lists its splits, a folder each.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from equipoise.data.arrow_pictures import holds_files, image_column, pictures_of, with_constant
from equipoise.data.below import check_below
from equipoise.data.parquet_file import BROKEN, damaged, plain_columns
from equipoise.data.source import Source, without
from equipoise.data.text_file import decoded_text, regular
from equipoise.errors import DataError, EquipoiseError
from equipoise.pictures.decode import Content

__all__ = ["arrow_folder", "is_arrow_folder"]

STATE, SPLITS = "state.json", "dataset_dict.json"


def is_arrow_folder(path: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (path / STATE).is_file() or (path / SPLITS).is_file()


def arrow_folder(path: Path, *, allow_outside: bool = False) -> Source:
    """All rows of a Dataset, or of all splits of a DatasetDict, one after another, with the column `split`.

    All columns but the picture are attributes; class numbers get the names of the schema, and a column `label` is the
    label. A row without bytes is looked up by its path, from the folder of its file.

    Raises:
        DataError: if a listed file is missing or damaged, there is no column of pictures, or a path leads out of its
            folder.
    """
    parts = _files(path)
    files = [file for _, some in parts for file in some]
    if not allow_outside and path.is_dir():
        check_below(files, path)
    columns: list[pa.Table] = []
    paths: list[str] = []
    encoded = True
    for split, some in parts:
        for file in some:
            found, names, of_files = _columns(file, file.name if split is None else f"{split}/{file.name}")
            if split is not None and "split" not in found.column_names:
                found = with_constant(found, "split", split, len(names))
            columns.append(found)
            paths += names
            encoded = encoded and of_files
    try:
        attributes = pa.concat_tables(columns, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(
            f"Expected files of one schema in {path}; got: {error}. Read them one by one."
        ) from error
    listings = [file for name in (STATE, SPLITS) for file in path.glob(f"**/{name}")] if path.is_dir() else []
    return Source(
        "arrow",
        paths,
        functools.partial(_contents, files, allow_outside),
        attributes,
        [*files, *listings],
        label="label" if "label" in attributes.column_names else None,
        encoded=encoded,
    )


def _files(path: Path) -> list[tuple[str | None, list[Path]]]:
    """Splits and their files."""
    if not path.is_dir():
        return [(None, [path])]
    if not (path / SPLITS).exists():
        return [(None, _listed(path))]
    names = _json(path / SPLITS).get("splits")
    if not isinstance(names, list) or not names or not all(map(_is_name, names)):
        raise DataError(
            f"Expected names of splits in {path / SPLITS}; got {names!r:.200}. Write the dataset again."
        )
    return [(name, _listed(path / name)) for name in names]


def _listed(folder: Path) -> list[Path]:
    state = _json(folder / STATE)
    try:
        names = [entry["filename"] for entry in state["_data_files"]]
    except (KeyError, TypeError):
        names = []
    if not names or not all(map(_is_name, names)):
        raise DataError(
            f"Expected names of .arrow files beside it in {folder / STATE}; got {names!r:.200}. Write it again "
            "with save_to_disk."
        )
    if state.get("_indices_data_files"):
        raise DataError(
            f"Expected a dataset that is stored as it is in {folder}; got one with a table of indices, of an old "
            "version of `datasets`. Load it there and write it again."
        )
    return [folder / name for name in names]


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(decoded_text(file))
    except (ValueError, RecursionError) as error:
        raise DataError(f"Expected JSON in {file}; got: {error}. Write the dataset again.") from error
    if not isinstance(found, dict):
        raise DataError(
            f"Expected a JSON object in {file}; got {type(found).__name__}. Write the dataset again."
        )
    return found


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Schema and batches of a file, either of Arrow's two kinds; what goes wrong in the block is told with its name."""
    try:
        with pa.memory_map(str(regular(file))) as source:
            if source.read(6) == b"ARROW1":
                source.seek(0)
                reader = pa.ipc.open_file(source)
                yield reader.schema, _checked(reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                source.seek(0)
                stream = pa.ipc.open_stream(source)
                yield stream.schema, _checked(stream)
    except BROKEN as error:
        if isinstance(error, EquipoiseError):
            raise
        raise damaged(file, error, "an Arrow") from error


def _checked(batches: Any) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        batch.validate(full=True)
        yield batch


def _image(schema: pa.Schema, file: Path) -> str:
    name = image_column(schema, numbers=True)
    if name is None:
        raise DataError(
            f"Expected a column of pictures (a struct with bytes, binary, or arrays) in {file}; got "
            f"{', '.join(schema.names)}. For a table of paths, write it as Parquet or CSV."
        )
    return name


def _columns(file: Path, shown: str) -> tuple[pa.Table, list[str], bool]:
    """All columns but the pictures, what to call each picture, and whether they are files."""
    batches: list[pa.RecordBatch] = []
    paths: list[str] = []
    with _opened(file) as (schema, found):
        image = _image(schema, file)
        others = [name for name in schema.names if name != image]
        for batch in found:
            column = batch.column(image)
            inner = column.field("path").to_pylist() if _has_path(column.type) else [None] * len(column)
            paths += [str(name) if name else f"{shown}#{len(paths) + row}" for row, name in enumerate(inner)]
            batches.append(batch.select(others))
        table = pa.Table.from_batches(
            batches, pa.schema([schema.field(name) for name in others], schema.metadata)
        )
        columns = without(plain_columns(table, file)) if others else pa.table({})
        return columns, paths, holds_files(schema.field(image).type)


def _has_path(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and kind.get_field_index("path") >= 0)


def _contents(files: Sequence[Path], allow_outside: bool) -> Iterator[Content]:
    for file in files:
        first = 0
        with _opened(file) as (schema, batches):
            image = _image(schema, file)
            for batch in batches:
                yield from pictures_of(
                    batch.column(image), file.parent, allow_outside=allow_outside, first=first
                )
                first += len(batch)
