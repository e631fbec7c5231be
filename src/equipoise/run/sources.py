"""From what the user names to the tables that a run trains and tests on."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data import FORMATS, ImageTable, Split, read, split
from equipoise.errors import InputError
from equipoise.run.identity import Setting
from equipoise.run.progress import decoding

__all__ = [
    "PLANTED",
    "PLANTED_GROUPS",
    "Reading",
    "Source",
    "Sources",
    "check_attributes",
    "describe",
    "embedded",
    "read_one",
    "read_source",
    "relabelled",
    "told",
]

Source = str | os.PathLike[str] | ImageTable | None
PLANTED = "planted"
NAMES = ("positives", "negatives", "data", "test_positives", "test_negatives", "test_data")
PLANTED_GROUPS = ("hidden",)
MAX_LEAK = 0.01  # largest share of test images that may stand in the training data too


@dataclass(frozen=True)
class Reading:
    """How sources are read; see `equipoise.data.read`. `positive_class` is its `positive`."""

    format: str | None = None
    image_size: int = 64
    channels: int = 3
    label_column: str | None = None
    positive_class: str | None = None
    path_column: str | None = None
    channel_order: str | None = None
    max_rejected: float = 0.01
    cache: str | os.PathLike[str] | None = None
    workers: int | None = None

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        cache = None if self.cache is None else os.fspath(self.cache)
        values: dict[str, Setting] = {**asdict(self), "cache": cache}
        return values


def read_one(source: Source, label: int | None, reading: Reading, *, progress: bool = True) -> ImageTable:
    """One source; a `label` is that of all its images, None takes those of the source itself.

    Raises:
        InputError: if an option does not fit.
        DataError: if the source cannot be read.
    """
    if isinstance(source, ImageTable):
        return source if label is None else relabelled(source, label)
    if source is None:
        raise InputError("Expected a source; got None. Give a path or a table.")
    if reading.format is not None and reading.format.lower().replace("_", "-") not in FORMATS:
        near = difflib.get_close_matches(reading.format, FORMATS, n=1, cutoff=0.0)[0]
        raise InputError(
            f"--format must be one of {', '.join(FORMATS)}; got {reading.format!r}. Did you mean {near!r}?"
        )
    options: dict[str, Any] = asdict(reading)
    positive = options.pop("positive_class")
    column = options.pop("label_column")
    if label is None:
        options |= {"positive": positive, "label_column": column}
    with decoding(os.fspath(source), shown=progress) as bar:
        return read(source, label=label, progress=bar, **options)


def relabelled(table: ImageTable, label: int | NDArray[np.int64]) -> ImageTable:
    """The same images with other labels: one for all, or one an image."""
    return replace(table, labels=np.full(len(table), label, np.int64))


def read_source(
    positives: Source,
    negatives: Source,
    both: Source,
    reading: Reading,
    *,
    flags: tuple[str, str, str] = ("--positives", "--negatives", "--data"),
    progress: bool = True,
) -> ImageTable | None:
    """One table out of two sources, or out of one that holds both classes; None if nothing was given.

    Raises:
        InputError: if only one of the two was given, or one class is missing.
        DataError: if a source cannot be read.
    """
    pair = [source is not None for source in (positives, negatives)]
    if both is not None and any(pair):
        raise InputError(
            f"Expected {flags[0]} and {flags[1]}, or {flags[2]} alone; got both. "
            f"{flags[2]} is for one source that holds both classes."
        )
    if any(pair) and not all(pair):
        given, missing = flags[:2] if pair[0] else flags[1::-1]
        raise InputError(
            f"Expected {missing} beside {given}; got {given} alone. Give {missing}, or {flags[2]} in place of the "
            "two for one source that holds both classes."
        )
    if both is not None:
        table = read_one(both, None, reading, progress=progress)
    elif all(pair):
        table = ImageTable.concat(
            [
                read_one(positives, 1, reading, progress=progress),
                read_one(negatives, 0, reading, progress=progress),
            ]
        )
    else:
        return None
    labels, counts = np.unique(table.labels, return_counts=True)
    if labels.tolist() != [0, 1]:
        found = ", ".join(f"{count} of class {label}" for label, count in zip(labels, counts, strict=True))
        raise InputError(
            f"Expected images of class 1 (positives) and class 0 (negatives), and no others, in "
            f"{describe(both)}; got {found or 'no images'}. Name the class to be found with --positive-class, "
            f"another --label-column, or give {flags[0]} and {flags[1]} apart."
        )
    return table


def embedded(images: int, reading: Reading, seed: int) -> ImageTable:
    """The embedded set."""
    from equipoise.data import planted  # brings in what draws, which no other source needs

    table: ImageTable = planted(
        images, size=reading.image_size, seed=seed, cache=reading.cache, workers=reading.workers
    )
    return table


@dataclass(frozen=True)
class Sources:
    """Everything that a run is to be trained and tested on.

    Args:
        positives: Images of the class to be found; `negatives` without it; `data` holds both in place of the two.
        test_positives: Test images; `test_negatives` and `test_data` likewise.
        test_share: Share held out when there are no test data.
        validation_share: Share of all data held out for validation curves.
        images: Images of the embedded set, which is drawn when no source is given.
    """

    positives: Source = None
    negatives: Source = None
    data: Source = None
    test_positives: Source = None
    test_negatives: Source = None
    test_data: Source = None
    test_share: float = 0.2
    validation_share: float = 0.0
    images: int = 20000

    @property
    def given(self) -> dict[str, str]:
        """What the user gave, by the name of the argument; empty for the embedded set."""
        found = {name: getattr(self, name) for name in NAMES}
        return {name: describe(source) for name, source in found.items() if source is not None}

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        shares = {"test_share": self.test_share, "validation_share": self.validation_share}
        return {**self.given, **shares, "images": None if self.given else self.images}

    def split(
        self,
        reading: Reading,
        *,
        seed: int,
        first: bool = False,
        stratify: Sequence[str] = (),
        progress: bool = True,
    ) -> Split:
        """Train, validation and test: from the test data given, or by holding out a share.

        Args:
            reading: How sources are read.
            seed: Decides the split, and the embedded set.
            first: The first images of each class are for training, the last ones for testing (the 2023 lab).
            stratify: Columns to be balanced between the sides; those that are not there are left out.
            progress: Show bars on a terminal.

        Raises:
            InputError: if a share is out of range, sizes differ, or test pictures stand in the training data.
            DataError: if a source cannot be read.
        """
        self._check_shares()
        train = read_source(self.positives, self.negatives, self.data, reading, progress=progress)
        test = read_source(
            *(self.test_positives, self.test_negatives, self.test_data, reading),
            flags=("--test-positives", "--test-negatives", "--test-data"),
            progress=progress,
        )
        if train is None and test is not None:
            raise InputError(
                "Expected training data beside the test data; got test data alone. Give --positives and --negatives."
            )
        train = embedded(self.images, reading, seed) if train is None else train
        shares = (1 - self.validation_share, self.validation_share, 0.0)
        columns = [name for name in stratify if name in train.attributes.column_names]
        if test is not None:
            _same_shape(train, test)
            _no_leak(train, test)
            if not self.validation_share:
                return Split(train, train.take([]), test)
            part = split(train, fractions=shares, seed=seed, stratify=columns)
            return Split(part.train, part.validation, test)
        if not 0 < self.test_share < shares[0]:
            raise InputError(
                "Without test data a share is held out: --test-share must be above 0 and leave images to train on; "
                f"got {self.test_share} beside --validation-share {self.validation_share}. Try 0.2 and 0."
            )
        if first:
            return _first(train, self.test_share, self.validation_share)
        fractions = (shares[0] - self.test_share, self.validation_share, self.test_share)
        return split(train, fractions=fractions, seed=seed, stratify=columns)

    def _check_shares(self) -> None:
        for name in ("test_share", "validation_share"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise InputError(
                    f"--{name.replace('_', '-')} must be a share in [0, 1); got {share}. 0.2 holds out one in five."
                )


def _first(table: ImageTable, test_share: float, validation_share: float) -> Split:
    sides = np.full(len(table), 0)
    for label in (0, 1):
        rows = np.flatnonzero(table.labels == label)
        sides[rows[round(len(rows) * (1 - test_share - validation_share)) :]] = 1
        sides[rows[round(len(rows) * (1 - test_share)) :]] = 2
    return Split(*(table.take(np.flatnonzero(sides == side)) for side in range(3)))


def _same_shape(train: ImageTable, test: ImageTable) -> None:
    shapes = [(table.image_size, table.channels) for table in (train, test)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"Expected training and test images of one size; got {shapes[0]} and {shapes[1]} (pixels a side, "
            "channels). Read both the same way."
        )


def _no_leak(train: ImageTable, test: ImageTable) -> None:
    leaked = np.isin(test.digests, train.digests)
    if leaked.mean() > MAX_LEAK:
        row = int(np.flatnonzero(leaked)[0])
        paths = test.attributes.column_names
        where = f", for example {test.column('path')[row]}" if "path" in paths else ""
        raise InputError(
            f"Expected test images that no model was trained on; {int(leaked.sum())} of {len(test)} stand in the "
            f"training data too{where}. Take them out of one of the two, or leave the test data out: then a share "
            "is held out without leaks."
        )


def check_attributes(
    table: ImageTable, attributes: Sequence[str], *, what: str = "test data", flag: str = "--groups"
) -> None:
    """Make sure that the table has the columns that were asked for.

    Raises:
        InputError: with the nearest names, if one is not there.
    """
    known = table.attributes.column_names
    for name in attributes:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
            columns = f"its columns are {', '.join(known)}" if known else "it has no columns"
            raise InputError(
                f"Expected a column {name!r} for {flag} in the {what}; {columns}."
                + (
                    f" Nearest: {', '.join(near)}."
                    if near
                    else " Give sources that have attributes, such as a CSV."
                )
            )


def describe(source: Source) -> str:
    """What the user gave, for people."""
    if isinstance(source, ImageTable):
        return f"a table of {len(source)} images"
    return PLANTED if source is None else os.fspath(source)


def told(tables: Mapping[str, ImageTable], say: Callable[[str], None]) -> None:
    """Say what was read: counts, what readers decided, and how many pictures are unreadable."""
    for name, table in tables.items():
        classes = len(np.unique(table.labels))
        if classes > 2:
            say(f"{name}: {len(table):,} images of {classes} classes")
        elif classes:
            say(f"{name}: {len(table.positives):,} positives, {len(table.negatives):,} negatives")
    for note in dict.fromkeys(note for table in tables.values() for note in table.notes):
        say(note)
    rejected = {item for table in tables.values() for item in table.rejected}
    if rejected:
        say(f"{len(rejected)} pictures could not be read; rejected.csv lists them.")
