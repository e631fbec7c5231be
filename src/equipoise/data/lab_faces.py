"""The labs' test faces: folders LF, LM, DF, DM (light or dark skin, female or male) of PNG files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa

from equipoise.data.below import check_below
from equipoise.data.source import Source, left_out_note, pictures_below
from equipoise.errors import DataError

__all__ = ["FOLDERS", "lab_faces"]

FOLDERS = {
    "LF": ("light", "female"),
    "LM": ("light", "male"),
    "DF": ("dark", "female"),
    "DM": ("dark", "male"),
}


def lab_faces(path: Path, *, allow_outside: bool = False) -> Source:
    """All pictures are faces (label 1), with skin and gender.

    Raises:
        DataError: if none of the folders holds a picture, or a link leads out of them.
    """
    left_out: Counter[str] = Counter()
    found = [
        (picture, name)
        for name in FOLDERS
        for picture in pictures_below(path / name, left_out, allow_outside=allow_outside)
    ]
    if not allow_outside:
        check_below([picture for picture, _ in found], path)
    if not found:
        raise DataError(
            f"Expected pictures in the folders LF, LM, DF, DM of {path}; got none. Check the path."
        )
    attributes = pa.table(
        {
            "skin": [FOLDERS[name][0] for _, name in found],
            "gender": [FOLDERS[name][1] for _, name in found],
        }
    )
    pictures = [picture for picture, _ in found]
    return Source.of_files("lab-faces", pictures, attributes, label=1, notes=left_out_note(left_out))
