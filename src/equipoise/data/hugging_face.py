"""Hugging Face `datasets` in memory: a Dataset, or a DatasetDict with its splits. `datasets` is never imported here.

Pictures are taken as they are stored, bytes of files before numbers, so that they are those of the files.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from equipoise.data.arrow_pictures import holds_files, image_column, pictures_of, with_constant
from equipoise.data.columns import check_asked
from equipoise.data.parquet_file import plain_columns
from equipoise.data.source import Source, without
from equipoise.errors import DataError, InputError
from equipoise.pictures.decode import Content

__all__ = ["hugging_face"]

ROWS = 64  # read at a time
LABEL = "label"


def hugging_face(
    given: Any, *, groups: Sequence[str] | None = None, label_column: str | None = None
) -> Source:
    """A Dataset, or all splits of a DatasetDict, one after another, with the column `split`.

    Class numbers get the names that the features have for them. A column `label` is the label.

    Args:
        given: The dataset.
        groups: Columns to take besides the label; None takes all that hold no pictures.
        label_column: A column to take beside them.

    Raises:
        InputError: if it streams in splits, or has no column of pictures.
        DataError: if it is empty, or a class number has no name.
    """
    if not isinstance(given, dict):
        return _of_splits([(None, given)], groups, label_column)
    if not given or any(
        not hasattr(part, "with_format") or not hasattr(part, "num_rows") for part in given.values()
    ):
        raise InputError(
            f"Expected a Dataset, or a DatasetDict of Datasets; got a {type(given).__name__} of "
            f"{', '.join(map(str, given)) or 'no splits'}. Give one of its splits, for example "
            f"dataset[{next(iter(map(str, given)), 'train')!r}]."
        )
    return _of_splits(list(given.items()), groups, label_column)


def _of_splits(
    parts: Sequence[tuple[str | None, Any]], groups: Sequence[str] | None, label_column: str | None
) -> Source:
    tables, columns, paths = [], [], list[str]()
    notes: dict[str, None] = {}
    images = [_image(dataset) for _, dataset in parts]
    known = {name for _, dataset in parts for name in dataset.column_names} - set(images)
    check_asked(groups, [*sorted(known), *(["split"] if parts[0][0] is not None else [])])
    for (split, dataset), image in zip(parts, images, strict=True):
        found = _columns(dataset, image, None if groups is None else {*groups, label_column, LABEL})
        if split is not None and "split" not in found.column_names:
            found = with_constant(found, "split", split, len(dataset))
        tables.append((dataset, image))
        columns.append(found)
        begin = "" if split is None else split
        paths += [f"{begin}#{row}" for row in range(len(dataset))]
        if dataset.format["type"] == "custom":
            notes["The dataset's transform is not applied: pictures are read as they are stored."] = None
    if not paths:
        raise DataError("Expected pictures in the dataset; got no rows. Check how it was made.")
    try:
        attributes = pa.concat_tables(columns, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"Expected splits of one schema; got: {error}. Read them one by one.") from error
    names = [split for split, _ in parts if split is not None]
    if names:
        notes[
            f"All splits are read ({', '.join(names)}) and kept as the column split; `split_column` split keeps the "
            "sides apart"
        ] = None
    return Source(
        "Hugging Face dataset",
        paths,
        functools.partial(_contents, tables),
        attributes,
        None,
        label=LABEL if LABEL in attributes.column_names else None,
        notes=tuple(notes),
        encoded=all(
            holds_files(dataset.features.arrow_schema.field(image).type) for dataset, image in tables
        ),
    )


def _image(dataset: Any) -> str:
    name = image_column(dataset.features.arrow_schema, numbers=True)
    if name is None:
        raise InputError(
            f"Expected a column of pictures (the feature Image, bytes, or arrays) in the dataset; got "
            f"{', '.join(dataset.column_names) or 'no columns'}. Cast it, for example "
            'dataset.cast_column("image", datasets.Image()).'
        )
    return name


def _columns(dataset: Any, image: str, asked: set[str | None] | None) -> pa.Table:
    """All columns that are no pictures, or those of them that are asked for."""
    schema = dataset.features.arrow_schema
    kept = [
        field.name
        for field in schema
        if field.name != image
        and (asked is None or field.name in asked)
        and image_column(pa.schema([field])) is None
    ]
    if not kept:
        return pa.table({})
    table = dataset.select_columns(kept).with_format("arrow")[:]
    metadata = schema.metadata
    return without(plain_columns(table.replace_schema_metadata(metadata), "the dataset"))


def _contents(parts: Sequence[tuple[Any, str]]) -> Iterator[Content]:
    first = 0
    for dataset, image in parts:
        pictures = dataset.select_columns([image]).with_format("arrow")
        for start in range(0, len(dataset), ROWS):
            for chunk in pictures[start : min(start + ROWS, len(dataset))].column(image).chunks:
                yield from pictures_of(chunk, None, first=first)
                first += len(chunk)
