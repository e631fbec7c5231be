"""UTKFace: everything stands in the file name, `age_gender_race_date.jpg` or `….jpg.chip.jpg`."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa

from equipoise.data.source import Source, left_out_note, pictures_below
from equipoise.data.table import Rejected
from equipoise.errors import DataError

__all__ = ["NAME", "utkface"]

NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_(\d+)\.jpe?g(\.chip\.jpg)?", re.IGNORECASE)
GENDERS = ("male", "female")
RACES = ("White", "Black", "Asian", "Indian", "other")


def utkface(path: Path, *, allow_outside: bool = False) -> Source:
    """All pictures are faces (label 1), with age (years), gender and race. Malformed names are rejected.

    Raises:
        DataError: if no name is well-formed, or a link leads out of the folder.
    """
    pictures: list[str] = []
    rejected: list[Rejected] = []
    found: list[tuple[str, ...]] = []
    left_out: Counter[str] = Counter()
    for picture in pictures_below(path, left_out, allow_outside=allow_outside):
        match = NAME.fullmatch(os.path.basename(picture))
        if match:
            pictures.append(picture)
            found.append(match.groups())
        else:
            rejected.append(Rejected(picture, "the name is not age_gender_race_date.jpg"))
    if not pictures:
        raise DataError(
            f"Expected pictures named age_gender_race_date.jpg in {path}; got {len(rejected)} pictures, "
            "none so. Check the path or the `format`."
        )
    attributes = pa.table(
        {
            "age": pa.array([int(row[0]) for row in found], pa.int64()),
            "gender": [GENDERS[int(row[1])] for row in found],
            "race": [RACES[int(row[2])] for row in found],
        }
    )
    notes = left_out_note(left_out)
    return Source.of_files("utkface", pictures, attributes, label=1, rejected=tuple(rejected), notes=notes)
