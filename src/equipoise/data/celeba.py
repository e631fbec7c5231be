"""CelebA: `img_align_celeba/NNNNNN.jpg`, 40 attributes, the official partition; as text files or as CSV."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from equipoise.data.source import Source, read_csv
from equipoise.errors import DataError
from equipoise.files import read_bytes, read_text

__all__ = ["celeba"]

ATTRIBUTES = "list_attr_celeba"
PARTITION = "list_eval_partition"
IMAGE = "image_id"
SIDES = ("train", "validation", "test")


def celeba(path: Path) -> Source:
    """All pictures are faces (label 1). Attributes are 0 and 1 (the files' −1 and 1); `partition` is train,
    validation or test. An attribute such as Smiling becomes the label through `label_column`.

    Args:
        path: The folder with `list_attr_celeba.txt` or `.csv` (or with `Anno/` and `Eval/`), or that file
            itself.

    Raises:
        DataError: if a file is not in the official layout.
    """
    root = path if path.is_dir() else path.parent
    listing = path if path.is_file() else _find(root, ATTRIBUTES)
    if listing is None:
        raise DataError(f"Expected {ATTRIBUTES}.txt or .csv in {path}; got neither. Check the path.")
    root = root.parent if root.name == "Anno" else root
    names, columns = _attributes(listing)
    files = [listing]
    partition = _find(root, PARTITION)
    if partition is not None:
        files.append(partition)
        sides = _partition(partition)
        columns["partition"] = pa.array([sides.get(name) for name in names], pa.string())
    pictures = root / "img_align_celeba"
    if (pictures / "img_align_celeba").is_dir():  # as one mirror packs it
        pictures /= "img_align_celeba"
    return Source.of_files(
        "celeba",
        [f"{pictures}{os.sep}{name}" for name in names],
        pa.table(columns),
        label=1,
        columns_from=files,
    )


def _find(root: Path, stem: str) -> Path | None:
    places = [
        root / folder / f"{stem}{ending}" for ending in (".txt", ".csv") for folder in ("", "Anno", "Eval")
    ]
    return next((place for place in places if place.is_file()), None)


def _attributes(listing: Path) -> tuple[list[str], dict[str, pa.Array]]:
    table = read_csv(listing) if listing.suffix == ".csv" else _text_table(listing)
    if IMAGE not in table.column_names:
        raise DataError(
            f"Expected a column {IMAGE} in {listing}; got {', '.join(table.column_names)}. Check the file."
        )
    flags: dict[str, pa.Array] = {}
    for name in table.column_names:
        if name == IMAGE:
            continue
        values = np.asarray(table.column(name))
        if values.dtype.kind != "i" or not np.isin(values, (-1, 0, 1)).all():
            raise DataError(
                f"Expected values of −1 and 1 in {name} of {listing}; got others. Check the file."
            )
        flags[name] = pa.array((values == 1).astype(np.int8))
    return table.column(IMAGE).to_pylist(), flags


def _text_table(listing: Path) -> pa.Table:
    """The text variant: a count, a line of names, then a name and its values, in columns of spaces."""
    from pyarrow import csv

    try:
        count, _, rest = read_bytes(listing).replace(b"\r\n", b"\n").partition(b"\n")
        header, _, body = rest.partition(b"\n")
        body = body.replace(b"  ", b" ").replace(b" \n", b"\n")
        table = csv.read_csv(
            pa.BufferReader(body),
            read_options=csv.ReadOptions(column_names=[IMAGE, *header.decode().split()]),
            parse_options=csv.ParseOptions(delimiter=" "),
        )
        if int(count) != len(table):
            raise ValueError(f"a count of {int(count)} before {len(table)} rows")
    except (OSError, ValueError) as error:  # Arrow's and Unicode's errors are ValueErrors
        raise DataError(
            f"Expected {listing} to hold a count, a line of names, then a name and values of −1 or 1 a picture; "
            f"got: {error}. Download it again."
        ) from error
    return table


def _partition(listing: Path) -> dict[str, str]:
    if listing.suffix == ".csv":
        table = read_csv(listing)
        pairs = list(zip(*(table.column(index).to_pylist() for index in (0, 1)), strict=True))
    else:
        pairs = [tuple(line.split()) for line in _lines(listing)]
    try:
        return {str(name): SIDES[int(side)] for name, side in pairs}
    except (ValueError, TypeError, IndexError) as error:
        raise DataError(
            f"Expected a name and 0, 1 or 2 in each line of {listing}; got: {error}. Download it again."
        ) from error


def _lines(listing: Path) -> list[str]:
    try:
        return [line for line in read_text(listing).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Expected a text file at {listing}; got: {error}. Check the file.") from error
