"""`Source`: what a reader found, columns at hand, pictures not yet read. One file a reader."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.data.table import PATH, Rejected
from equipoise.errors import DataError, InputError
from equipoise.files import regular

__all__ = [
    "PICTURE_ENDINGS",
    "Content",
    "Source",
    "class_ids",
    "left_out_note",
    "pictures_below",
    "printable",
    "read_csv",
    "without",
]

Content = Path | bytes | NDArray[np.uint8]
"""A picture before it is decoded: a file, an encoded file's bytes, or pixels (height, width, channels)."""

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp"}) | (
    frozenset({".avif", ".heic", ".heif", ".hif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"})
)
POSITIVE_NAMES = frozenset({"positive", "positives", "pos", "face", "faces", "true", "yes"})
NEGATIVE_NAMES = frozenset({"negative", "negatives", "neg", "background", "false", "no"}) | frozenset(
    f"{no}face{s}" for no in ("non", "non-", "non_", "not_", "no_", "no") for s in ("", "s")
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
            source.
        label: The class id of every picture, or the column that holds it; None where the layout does not say.
        rejected: What cannot be a picture of this source, for example for its name.
        notes: What the reader decided, in words.
    """

    format: str
    paths: Sequence[str]
    contents: Callable[[], Iterator[Content]]
    attributes: pa.Table
    files: Sequence[Path | str]
    label: int | str | None = None
    rejected: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = ()

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
        return cls(
            format,
            [str(picture) for picture in pictures],
            functools.partial(map, Path, pictures),
            attributes,
            [*pictures, *columns_from],
            label,
            rejected,
            notes,
        )

    def labels(
        self, *, label: int | None, label_column: str | None, positive: str | None
    ) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Class ids, and in words where they come from.

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
            return np.full(n, label, np.int64), ()
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
            return np.full(n, found, np.int64), ()
        if found not in self.attributes.column_names:
            known = ", ".join(self.attributes.column_names) or "(no columns)"
            raise InputError(
                f"Expected label_column to be one of {known}; got {found!r}. Choose one of these."
            )
        return class_ids(self.attributes.column(found).to_pylist(), column=found, positive=positive)


def _meaning(name: str) -> bool | None:
    """Whether a class name says that it is the positive class; None if it says nothing."""
    folded = name.strip().lower()
    return True if folded in POSITIVE_NAMES else False if folded in NEGATIVE_NAMES else None


def class_ids(
    values: Sequence[Any], *, column: str, positive: str | None = None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class ids of a column, and a note that says how they came about.

    Whole numbers are ids as they stand (1 = positive, 0 = negative), −1 beside 1 counts as 0, booleans as 0
    and 1. Names that say it (positive/negative, face/nonface, yes/no) are taken at their word; other names
    are numbered in alphabetical order, so of two the second is positive. `positive` names the one class that
    is 1; all others are 0.

    Raises:
        InputError: if `positive` does not occur.
        DataError: if a value is missing, negative or not whole.

    Example:
        >>> class_ids(["dog", "cat", "dog"], column="animal")
        (array([1, 0, 1]), ('Labels from animal: cat = 0, dog = 1',))
    """
    missing = next((row for row, value in enumerate(values) if value is None or value != value), None)
    if missing is not None:
        raise DataError(
            f"Expected a label in every row; got none in row {missing} of {column!r}. "
            "Fill it in or drop the row."
        )
    names = [str(value) for value in values]
    known = sorted(set(names))
    if positive is not None:
        if str(positive) not in known:
            raise InputError(
                f"positive must be a value of {column!r} ({', '.join(known[:10])}); got {positive!r}. "
                "Choose one of these."
            )
        ids = np.array([name == str(positive) for name in names], np.int64)
        return ids, (f"Labels from {column}: {positive} = 1, all others = 0",)
    numbers = _numbers(known)
    if numbers is None:
        said = {name: _meaning(name) for name in known}
        told = [name for name in known if said[name] is not None]
        if len(told) == len(known) or (
            told and len(known) == 2
        ):  # faces beside others: the others are negatives
            positives = {name for name in told if said[name]} or set(known) - set(told)
            numbers = {name: int(name in positives) for name in known}
        else:
            numbers = {name: index for index, name in enumerate(known)}
    if set(numbers.values()) == {-1, 1}:
        numbers = {name: int(number == 1) for name, number in numbers.items()}
    wrong = next((name for name, number in numbers.items() if number < 0), None)
    if wrong is not None:
        raise DataError(
            f"Labels must be class ids ≥ 0 (1 = positive), or −1 and 1; got {wrong} in {column!r}. "
            "Name another label_column, or the positive class."
        )
    listed = ", ".join(f"{name} = {numbers[name]}" for name in known[:10]) + (
        ", …" if len(known) > 10 else ""
    )
    return np.array([numbers[name] for name in names], np.int64), (f"Labels from {column}: {listed}",)


def _numbers(names: Sequence[str]) -> dict[str, int] | None:
    """Whole numbers that names stand for, booleans included; None if one stands for none."""
    numbers: dict[str, int] = {}
    for name in names:
        try:
            value = float({"True": "1", "False": "0"}.get(name, name))
        except ValueError:
            return None
        if not value.is_integer():
            return None
        numbers[name] = int(value)
    return numbers


def pictures_below(folder: Path, left_out: Counter[str] | None = None) -> list[Path]:
    """All picture files below a folder, sorted; hidden files and folders and other endings are left out.

    Args:
        folder: Where to look.
        left_out: Counts what is left out, by its ending.

    Raises:
        DataError: if the folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise DataError(
            f"Expected to list {folder}; got: {error.strerror} ({error.filename}). Check its permissions."
        ) from error

    seen = {os.path.realpath(folder)}

    def new(place: str) -> bool:  # links are followed, but not in circles
        before = len(seen)
        seen.add(os.path.realpath(place))
        return len(seen) > before

    found: list[str] = []
    skipped = Counter() if left_out is None else left_out
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        skipped["hidden"] += sum(name.startswith(".") for name in (*folders, *names))
        folders[:] = [name for name in folders if not name.startswith(".") and new(os.path.join(place, name))]
        for name in names:
            ending = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if ending in PICTURE_ENDINGS:
                found.append(os.path.join(place, name))
            else:
                skipped[ending or "without an ending"] += 1
    return list(map(Path, sorted(found)))


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


def read_csv(path: Path, *, text: Sequence[str] = (), delimiter: str = ",") -> pa.Table:
    """A CSV file with a header; empty cells are null, columns named in `text` stay text.

    Raises:
        DataError: if it cannot be read.
    """
    from pyarrow import csv

    try:
        return csv.read_csv(
            regular(path),
            parse_options=csv.ParseOptions(delimiter=delimiter),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(text, pa.string()), null_values=[""], strings_can_be_null=True
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"Expected a CSV file with a header line at {path}; got: {str(error)[:200]!r}. "
            "Check the file, and that it is UTF-8."
        ) from error


def printable(text: str) -> str:
    """A file name that is not valid Unicode, made so."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def without(columns: pa.Table, *names: str) -> pa.Table:
    """Columns less some, where they are there, and less `path`, which the table fills in itself."""
    return columns.select([name for name in columns.column_names if name not in {PATH, *names}])
