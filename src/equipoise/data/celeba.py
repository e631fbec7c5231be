"""CelebA: `img_align_celeba/NNNNNN.jpg`, 40 attributes, the official partition; as text files or as CSV."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from equipoise.data.below import check_below
from equipoise.data.columns import named
from equipoise.data.delimited import read_delimited
from equipoise.data.source import Source
from equipoise.data.text_file import decoded_text
from equipoise.errors import DataError

__all__ = ["celeba"]

ATTRIBUTES = "list_attr_celeba"
PARTITION = "list_eval_partition"
IMAGE = "image_id"
SIDES = {"0": "train", "1": "validation", "2": "test"}


def celeba(path: Path, *, allow_outside: bool = False) -> Source:
    """All pictures are faces (label 1). Attributes are 0 and 1 (the files' −1 and 1); `partition` is train,
    validation or test. An attribute such as Smiling becomes the label through `label_column`.

    Args:
        path: The folder with `list_attr_celeba.txt` or `.csv` (or with `Anno/` and `Eval/`), or that file
            itself.

    Raises:
        DataError: if a file is not in the official layout, or a picture lies elsewhere.
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
    places = [f"{pictures}{os.sep}{name}" for name in names]
    if not allow_outside:
        check_below(places, root)
    return Source.of_files(
        "celeba",
        places,
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
    table = read_delimited(listing)[0] if listing.suffix == ".csv" else _text_table(listing)
    if IMAGE not in table.column_names or table.column(IMAGE).null_count:
        raise DataError(
            f"Expected a column {IMAGE} with a name in every row of {listing}; got {', '.join(table.column_names)}. "
            "Check the file."
        )
    flags: dict[str, pa.Array] = {}
    for name in table.column_names:
        if name == IMAGE:
            continue
        values = pc.utf8_trim_whitespace(table.column(name))
        if values.null_count or not pc.all(pc.is_in(values, pa.array(["-1", "0", "1"]))).as_py():
            raise DataError(
                f"Expected values of −1 and 1 in {name} of {listing}; got others. Check the file."
            )
        flags[name] = pc.equal(values, "1").combine_chunks().cast(pa.int8())
    return table.column(IMAGE).to_pylist(), flags


def _text_table(listing: Path) -> pa.Table:
    """The text variant: a count, a line of names, then a name and its values, in columns of spaces."""
    from pyarrow import csv

    count, _, rest = decoded_text(listing).replace("\r\n", "\n").partition("\n")
    header, _, body = rest.partition("\n")
    names, _ = named([IMAGE, *header.split()], listing)
    body = body.replace("  ", " ").replace(" \n", "\n")
    try:
        table = csv.read_csv(
            pa.BufferReader(body.encode()),
            read_options=csv.ReadOptions(column_names=names),
            parse_options=csv.ParseOptions(delimiter=" "),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
        if int(count) != len(table):
            raise ValueError(f"a count of {int(count)} before {len(table)} rows")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"Expected {listing} to hold a count, a line of names, then a name and values of −1 or 1 a picture; "
            f"got: {error}. Download it again."
        ) from error
    return table


def _partition(listing: Path) -> dict[str, str]:
    """Name of a picture → its side."""
    if listing.suffix == ".csv":
        columns = read_delimited(listing)[0].columns
        rows: list[tuple[str, ...]] = list(zip(*(column.to_pylist() for column in columns), strict=True))
    else:
        rows = [tuple(line.split()) for line in decoded_text(listing).splitlines() if line.strip()]
    sides: dict[str, str] = {}
    for row in rows:
        side = SIDES.get((row[1] or "").strip()) if len(row) == 2 else None
        if side is None:
            raise DataError(
                f"Expected a name and 0, 1 or 2 in each line of {listing}; got: {' '.join(map(str, row))[:80]}. "
                "Download it again."
            )
        sides[str(row[0])] = side
    return sides
