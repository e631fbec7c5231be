"""`Source`: what a reader found, columns at hand, pictures not yet read. One file a reader."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.data.below import check_below, is_below, leads_out
from equipoise.data.classes import Classes, class_ids
from equipoise.data.columns import values_of
from equipoise.data.places import Files, Places
from equipoise.data.table import PATH, Rejected
from equipoise.errors import DataError, InputError
from equipoise.groups import text_of
from equipoise.pictures.decode import Content

__all__ = [
    "PICTURE_ENDINGS",
    "Source",
    "files_below",
    "is_picture",
    "left_out_note",
    "pictures_below",
    "printable",
    "without",
]

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp"}) | (
    frozenset({".avif", ".heic", ".heif", ".hif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"})
)


@dataclass(frozen=True, eq=False)
class Source:
    """Pictures and what is known about them.

    Args:
        format: Name of the layout, for example "celeba".
        paths: What to call each picture, one a picture.
        contents: Opens the pictures, one after another, in the order of `paths`.
        attributes: A row a picture, or no column at all.
        files: All files that pictures or columns come from: as long as they stay the same, so does the
            source. None for a source in memory, of which nothing tells that from outside.
        label: The class id of every picture, or the column that holds it; None where the layout does not say.
        rejected: What cannot be a picture of this source, for example for its name.
        notes: What the reader decided, in words.
        later: The source once all its pictures were read, where each comes with its label: until then, `attributes`
            are those of the first picture alone. None where all is known.
        places: Gives any picture again, by its row; None where the source is only read from its begin to its end.
        encoded: All contents are bytes of files, or files.
    """

    format: str
    paths: Sequence[str]
    contents: Callable[[], Iterator[Content]]
    attributes: pa.Table
    files: Sequence[Path | str] | None
    label: int | str | None = None
    rejected: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = ()
    later: Callable[[], Source] | None = None
    places: Callable[[], Places] | None = None
    encoded: bool = False

    @classmethod
    def of_files(
        cls,
        format: str,
        pictures: Sequence[Path | str],
        attributes: pa.Table,
        *,
        label: int | str | None = None,
        columns_from: Sequence[Path] = (),
        rejected: tuple[Rejected, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Source:
        """A source whose pictures are files."""
        names = list(map(str, pictures))  # a `Path` takes several times the memory
        return cls(
            format,
            names,
            functools.partial(map, Path, names),
            attributes,
            [*names, *columns_from],
            label,
            rejected,
            notes,
            places=functools.partial(Files, names),
            encoded=True,
        )

    def labels(
        self, *, label: int | None, label_column: str | None, positive: str | None
    ) -> tuple[NDArray[np.int64], Classes]:
        """Class ids, and the classes by name.

        Raises:
            InputError: if the options contradict each other or name a column or class that is not there.
            DataError: if nothing says what the labels are, or a label is missing.
        """
        n = len(self.paths)
        if label is not None:
            if label_column is not None or positive is not None:
                raise InputError(
                    f"label={label} sets the label of every picture; got label_column={label_column!r} and "
                    f"positive={positive!r} as well. Give label, or the others."
                )
            if label < 0:
                raise InputError(f"label must be a class id ≥ 0 (1 = positive); got {label}. Choose 0 or 1.")
            return np.full(n, label, np.int64), Classes()
        found = label_column if label_column is not None else self.label
        if found is None:
            raise DataError(
                f"Expected labels; got a source ({self.format}) that does not say what its {n} pictures "
                "show. Say label=1 (positives) or label=0 (negatives), or name a label_column."
            )
        if isinstance(found, int):
            if positive is not None:
                raise InputError(
                    f"positive={positive!r} needs a column of classes; got a source ({self.format}) without "
                    "one. Name the label_column as well."
                )
            return np.full(n, found, np.int64), Classes()
        if found not in self.attributes.column_names:
            known = ", ".join(self.attributes.column_names) or "(no columns)"
            raise InputError(
                f"Expected label_column to be one of {known}; got {found!r}. Choose one of these."
            )
        column = self.attributes.column(found)
        return class_ids(values_of(column), column=found, positive=positive, order=_order(column))


def _order(column: pa.ChunkedArray) -> tuple[str, ...]:
    """The classes that a column itself puts into an order: names of a schema, ordered categories."""
    if not (pa.types.is_dictionary(column.type) and column.type.ordered and column.num_chunks):
        return ()
    values = column.unify_dictionaries().chunk(0).dictionary.to_pylist()
    return tuple(text for value in values if (text := text_of(value)) is not None)


def pictures_below(
    folder: Path, left_out: Counter[str] | None = None, *, allow_outside: bool = False
) -> list[str]:
    """All picture files below a folder, sorted; hidden files and folders and other endings are left out.

    Args:
        folder: Where to look; links in it are followed.
        left_out: Counts what is left out, by its ending.
        allow_outside: Links may lead out of the folder.

    Raises:
        DataError: if the folder cannot be listed, or a link leads out of it.
    """
    return files_below(folder, is_picture, left_out, allow_outside=allow_outside)


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its ending."""
    return os.path.splitext(name)[1].lower() in PICTURE_ENDINGS


def files_below(
    folder: Path,
    wanted: Callable[[str], bool],
    left_out: Counter[str] | None = None,
    *,
    allow_outside: bool = False,
) -> list[str]:
    """All files below a folder whose name is wanted, sorted; see `pictures_below`."""

    def refuse(error: OSError) -> None:
        raise DataError(
            f"Expected to list {folder}; got: {error.strerror} ({error.filename}). Check its permissions."
        ) from error

    seen = {os.path.realpath(folder)}

    def followed(place: str) -> bool:  # links are followed, but not in circles
        real = os.path.realpath(place)
        if not allow_outside and os.path.islink(place) and not is_below(real, folder):
            raise leads_out(place, real, folder)
        before = len(seen)
        seen.add(real)
        return len(seen) > before

    found: list[str] = []
    skipped = Counter() if left_out is None else left_out
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        skipped["hidden"] += sum(name.startswith(".") for name in (*folders, *names))
        folders[:] = [
            name for name in folders if not name.startswith(".") and followed(os.path.join(place, name))
        ]
        for name in names:
            if name.startswith("."):
                continue
            if wanted(name):
                found.append(os.path.join(place, name))
            else:
                skipped[os.path.splitext(name)[1].lower() or "without an ending"] += 1
    if not allow_outside:
        check_below(found, folder)
    return sorted(found)


def left_out_note(left_out: Mapping[str, int]) -> tuple[str, ...]:
    """In words, what `pictures_below` has counted.

    Example:
        >>> left_out_note({".txt": 2, "hidden": 1})
        ('3 files are no pictures by their names and were left out: 2 .txt, 1 hidden.',)
    """
    count = sum(left_out.values())
    if not count:
        return ()
    kinds = sorted((item for item in left_out.items() if item[1]), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{number} {printable(kind)}" for kind, number in kinds[:10])
    what = (
        "file is no picture by its name and was"
        if count == 1
        else "files are no pictures by their names and were"
    )
    return (f"{count} {what} left out: {listed}{', …' if len(kinds) > 10 else ''}.",)


def printable(text: str) -> str:
    """A file name that is not valid Unicode, made so."""
    return text if text.isascii() else text.encode(errors="surrogateescape").decode(errors="replace")


def without(columns: pa.Table, *names: str) -> pa.Table:
    """Columns less some, where they are there, and less `path`, which the table fills in itself."""
    return columns.select([name for name in columns.column_names if name not in {PATH, *names}])
