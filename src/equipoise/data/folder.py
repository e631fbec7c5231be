"""Image folders: one folder a class, in folders of a split or not, or flat; and what a metadata file says of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from equipoise.data import folder_metadata
from equipoise.data.side import side_folder
from equipoise.data.source import Source, files_below, is_picture, left_out_note, printable
from equipoise.errors import DataError

__all__ = ["image_folder"]

DEPTH = 3  # folders deep that folders of a split are looked for


def image_folder(path: Path, *, allow_outside: bool = False) -> Source:
    """Pictures below a folder, however deep; the attribute `folder` is the first folder below `path`.

    With two folders or more and no picture beside them, the folder is the class. `source.class_ids` says
    which class is positive. Folders of a split (train, test, val, …) are no classes: their name becomes the
    attribute `split`, and the class is the folder inside them, or around them.

    A file metadata.csv, .jsonl or .parquet is read as Hugging Face's imagefolder reads it: see `folder_metadata`.

    Raises:
        DataError: if there is no picture, classes stand beside folders of a split, a link leads out of the
            folder, or a metadata file cannot be read.
    """
    left_out: Counter[str] = Counter()
    found = files_below(
        path,
        lambda name: is_picture(name) or name in folder_metadata.NAMES,
        left_out,
        allow_outside=allow_outside,
    )
    listings = [Path(file) for file in found if os.path.basename(file) in folder_metadata.NAMES]
    pictures = [file for file in found if os.path.basename(file) not in folder_metadata.NAMES]
    if not pictures:
        raise DataError(
            f"Expected pictures in {path}; got none (by their file endings). "
            "Check the path, or force a format."
        )
    start = len(os.path.join(path, ""))
    below = [os.path.dirname(picture)[start:] for picture in pictures]
    parts = {folder: tuple(map(printable, folder.split(os.sep))) if folder else () for folder in set(below)}
    folders = [parts[folder] for folder in below]
    layout = _layout(folders, path)
    columns: dict[str, Sequence[str | None]] = {"folder": layout.classes} if any(layout.classes) else {}
    notes = left_out_note(left_out)
    if layout.sides is not None:
        columns["split"] = layout.sides
        names = ", ".join(dict.fromkeys(layout.sides))
        notes = (
            *notes,
            f"Folders of a split are kept as the column split ({names}), not as classes; "
            "`split_column` split keeps the sides apart",
        )
    classes = None not in layout.classes and len(set(layout.classes)) > 1
    label = "folder" if classes else None
    source = Source.of_files("folder", pictures, pa.table(columns), label=label, notes=notes)
    return (
        folder_metadata.described(source, listings, path, allow_outside=allow_outside) if listings else source
    )


@dataclass(frozen=True)
class _Layout:
    """Class folder and split folder of each picture; None for those that lie in none."""

    classes: list[str | None]
    sides: list[str] | None = None


def _layout(folders: Sequence[tuple[str, ...]], path: Path) -> _Layout:
    """Which level of folders is a split, and which is the class."""
    for level in range(min(DEPTH, min(map(len, folders)))):
        names = [parts[level] for parts in folders]
        if all(side_folder(name) for name in names):
            outer = [parts[level - 1] if level else None for parts in folders]
            inner = [parts[level + 1] if len(parts) > level + 1 else None for parts in folders]
            return _Layout(outer if len(set(outer)) > 1 else inner, names)
    first = [parts[0] if parts else None for parts in folders]
    _refuse_mixture(first, folders, path)
    return _Layout(first)


def _refuse_mixture(first: Sequence[str | None], folders: Sequence[tuple[str, ...]], path: Path) -> None:
    """One class may be called train, as in traffic; other names of sides beside folders are no classes."""
    sides = sorted({name for name in first if name and side_folder(name)})
    others = sorted({name for name in first if name and not side_folder(name)})
    inner = {parts[1] for parts in folders if len(parts) > 1 and parts[0] in sides}
    if not others or not sides or ([name.lower() for name in sides] == ["train"] and len(inner) < 2):
        return
    raise DataError(
        f"Expected folders that are classes, or folders of a split (train, test, …) that hold them, in {path}; got "
        f"both: {', '.join(sides)} beside {', '.join(others[:5])}. Give one of these folders, or a table of paths."
    )
