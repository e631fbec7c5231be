"""PPB 2017 (Pilot Parliaments Benchmark): `PPB-2017-metadata.csv`, and pictures in `imgs/`."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa

from equipoise.data.source import Source
from equipoise.errors import DataError
from equipoise.files import regular

__all__ = ["LISTING", "ppb"]

LISTING = "PPB-2017-metadata.csv"
COLUMNS = ("index", "file name", "gender", "numeric", "skin", "country")


def ppb(path: Path) -> Source:
    """All pictures are faces (label 1), with gender, skin (lighter or darker) and country.

    Args:
        path: The folder with the metadata file, or that file.

    Raises:
        DataError: if the file is missing or a row is malformed.
    """
    listing = path / LISTING if path.is_dir() else path
    try:
        with open(
            regular(listing), encoding="utf-8-sig", newline=None
        ) as file:  # \r, \n and \r\n all end a row
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Expected {LISTING} at {listing}; got: {error}. Check the path.") from error
    if rows and not rows[0][0].isdigit():
        rows = rows[1:]  # a header
    wrong = next((row for row in rows if len(row) < len(COLUMNS)), None)
    if wrong is not None or not rows:
        raise DataError(
            f"Expected rows of {', '.join(COLUMNS)} in {listing}; got {wrong or 'no row'}. Check the file."
        )
    attributes = pa.table(
        {
            "gender": [row[2].lower() for row in rows],
            "skin": [row[4].lower() for row in rows],
            "country": [row[5] for row in rows],
        }
    )
    pictures = [listing.parent / "imgs" / row[1] for row in rows]
    return Source.of_files("ppb", pictures, attributes, label=1, columns_from=[listing])
