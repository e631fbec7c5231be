"""Image folders: one folder a class, or a flat folder whose label the caller gives."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pyarrow as pa

from equipoise.data.source import Source, left_out_note, pictures_below, printable
from equipoise.errors import DataError

__all__ = ["image_folder"]


def image_folder(path: Path) -> Source:
    """Pictures below a folder, however deep; the attribute `folder` is the first folder below `path`.

    With two folders or more and no picture beside them, the folder is the class. `source.class_ids` says
    which class is positive.

    Raises:
        DataError: if there is no picture.
    """
    left_out: Counter[str] = Counter()
    pictures = pictures_below(path, left_out)
    if not pictures:
        raise DataError(
            f"Expected pictures in {path}; got none (by their file endings). "
            "Check the path, or force a format."
        )
    start = len(os.path.join(path, ""))
    places = [str(picture)[start:].partition(os.sep) for picture in pictures]
    folders = [printable(first) if rest else None for first, _, rest in places]
    if not any(folders):
        return Source.of_files("folder", pictures, pa.table({}), notes=left_out_note(left_out))
    classes = None not in folders and len(set(folders)) > 1
    return Source.of_files(
        "folder",
        pictures,
        pa.table({"folder": folders}),
        label="folder" if classes else None,
        notes=left_out_note(left_out),
    )
