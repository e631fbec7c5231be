"""From what the user names to the tables that a run trains and tests on."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.data import FORMATS, ImageTable, Split, read, split
from equipoise.data.read import labels_of
from equipoise.data.spelling import doubts
from equipoise.data.table import PATH
from equipoise.errors import InputError
from equipoise.run.identity import Setting
from equipoise.run.progress import decoding
from equipoise.run.reading import Reading
from equipoise.run.scores import shared_paths
from equipoise.run.sides import (
    both_classes,
    check_attributes,
    check_class,
    first_sides,
    given_sides,
)
from equipoise.run.slice_column import with_slices
from equipoise.run.unused import check_unused
from equipoise.sharing import shared_path

__all__ = [
    "PLANTED",
    "PLANTED_GROUPS",
    "Reading",
    "Source",
    "Sources",
    "check_attributes",
    "describe",
    "embedded",
    "first_look",
    "read_one",
    "read_source",
    "relabelled",
    "told",
]

Source = str | os.PathLike[str] | ImageTable | None
PLANTED = "planted"
NAMES = ("positives", "negatives", "data", "test_positives", "test_negatives", "test_data")
PLANTED_GROUPS = ("hidden",)
MOST_IMAGES = 10**8


def read_one(source: Source, label: int | None, reading: Reading, *, progress: bool = True) -> ImageTable:
    """One source; a `label` is that of all its images, None takes those of the source itself.

    Raises:
        InputError: if an option does not fit.
        DataError: if the source cannot be read.
    """
    if isinstance(source, ImageTable):
        return _joined(source if label is None else relabelled(source, label), reading)
    if source is None:
        raise InputError("Expected a source; got None. Give a path or a table.")
    if reading.format is not None and reading.format.lower().replace("_", "-") not in FORMATS:
        near = difflib.get_close_matches(reading.format, FORMATS, n=1, cutoff=0.0)[0]
        raise InputError(
            f"`format` must be one of {', '.join(FORMATS)}; got {reading.format!r}. Did you mean {near!r}?"
        )
    options: dict[str, Any] = {**vars(reading), "allow_outside": bool(reading.allow_outside)}
    for name in ("split_column", "together", "image_size", "resize", "crop", "squash", "transform", "slices"):
        options.pop(name)
    options["framing"] = reading.framing
    positive = options.pop("positive_class")
    column = options.pop("label_column")
    if label is None:
        options |= {"positive": positive, "label_column": column}
    with decoding(os.fspath(source), shown=progress) as bar:
        table = _without_places(read(source, label=label, progress=bar, **options), os.fspath(source))
    return _joined(table, reading)


def _joined(table: ImageTable, reading: Reading) -> ImageTable:
    return table if reading.slices is None else with_slices(table, reading.slices)


def first_look(source: Source, reading: Reading) -> ImageTable | None:
    """A source with its labels and blank pictures, which takes no time: what does not fit a model is told by it before
    pictures are decoded. None of a table, and where only one side of a split is wanted.

    Raises: as `read_one` does.
    """
    if source is None or isinstance(source, ImageTable) or reading.split_column is not None:
        return None
    labels, classes = labels_of(
        source,
        format=reading.format,
        label_column=reading.label_column,
        positive=reading.positive_class,
        path_column=reading.path_column,
        channel_order=reading.channel_order,
        allow_outside=bool(reading.allow_outside),
    )
    blank = np.zeros((1, reading.framing.size, reading.framing.size, reading.channels), np.uint8)
    images = np.broadcast_to(blank, (len(labels), *blank.shape[1:]))
    rows, digests = np.arange(len(labels), dtype=np.int64), np.zeros(len(labels), np.uint64)
    table = ImageTable((images,), rows, labels, pa.table({}), digests, classes=classes)
    return replace(table, framing=reading.framing)


def _without_places(table: ImageTable, source: str) -> ImageTable:
    """The same with paths from the source on, if it was given as an absolute path: what others may see."""
    if PATH not in table.attributes.column_names:
        return table
    place = table.attributes.column_names.index(PATH)
    paths = shared_paths(table.attributes.column(PATH), source)
    return replace(
        table,
        attributes=table.attributes.set_column(place, PATH, paths),
        rejected=tuple(replace(item, path=shared_path(item.path, source)) for item in table.rejected),
    )


def relabelled(table: ImageTable, label: int | NDArray[np.int64]) -> ImageTable:
    """The same images with other labels: one for all, or one an image."""
    return replace(table, labels=np.full(len(table), label, np.int64), classes={})


def read_source(
    positives: Source,
    negatives: Source,
    both: Source,
    reading: Reading,
    *,
    names: tuple[str, str, str] = ("`positives`", "`negatives`", "`data`"),
    many: bool = False,
    alone: bool = False,
    progress: bool = True,
) -> ImageTable | None:
    """One table out of two sources, or out of one that holds all classes; None if nothing was given.

    Args:
        many: More than two classes will do. They stay what they are if one of them is the positive class; else, and of
            two, the others are negatives.
        alone: Positives will do.

    Raises:
        InputError: if only one of the two was given, or one class is missing.
        DataError: if a source cannot be read.
    """
    pair = [source is not None for source in (positives, negatives)]
    if both is not None and any(pair):
        raise InputError(
            f"Expected {names[0]} and {names[1]}, or {names[2]} alone; got both. "
            f"{names[2]} is for one source that holds all classes."
        )
    if any(pair) and not all(pair) and not (alone and pair[0]):
        given, missing = names[:2] if pair[0] else names[1::-1]
        raise InputError(
            f"Expected {missing} beside {given}; got {given} alone. Give {missing}, or {names[2]} in place of the "
            "two for one source that holds all classes."
        )
    if both is not None:
        table = _all_classes(both, reading, many=many, progress=progress)
        if not table.two_classes and many:
            return table
    elif any(pair):
        labelled = [
            (source, label) for source, label in ((positives, 1), (negatives, 0)) if source is not None
        ]
        table = ImageTable.concat(
            [read_one(source, label, reading, progress=progress) for source, label in labelled]
        )
    else:
        return None
    labels, counts = np.unique(table.labels, return_counts=True)
    if labels.tolist() != [0, 1] and not (alone and labels.tolist() == [1]):
        found = ", ".join(f"{count} of class {label}" for label, count in zip(labels, counts, strict=True))
        raise InputError(
            f"Expected images of class 1 (positives) and class 0 (negatives), and no others, in "
            f"{describe(both)}; got {found or 'no images'}. Name the class to be found with `positive_class`, "
            f"another `label_column`, or give {names[0]} and {names[1]} apart."
        )
    return table


def _all_classes(source: Source, reading: Reading, *, many: bool, progress: bool) -> ImageTable:
    if many:
        table = read_one(source, None, replace(reading, positive_class=None), progress=progress)
        if not table.two_classes and reading.positive_class is not None:
            check_class(table, reading.positive_class)
        if not table.two_classes or reading.positive_class is None:
            return table
    return read_one(source, None, reading, progress=progress)


def embedded(images: int, reading: Reading, seed: int) -> ImageTable:
    """The embedded set.

    Raises:
        InputError: if it cannot have so many images.
    """
    if not 1 <= images <= MOST_IMAGES:
        raise InputError(f"`images` must be 1…{MOST_IMAGES:,}; got {images}. The default is 20,000.")
    check_unused("the embedded set", reading, "slices", why="has no images that slices were found in")
    if reading.framed:
        raise InputError(
            "Expected pictures to `resize`, `crop` or `squash`; got the embedded set, which is drawn as a square. "
            "Leave these out, or give data."
        )
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
        validation_share: Share of all data held out for validation curves, and for a second stage.
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

    def whole(
        self, reading: Reading, *, many: bool = False, alone: bool = False, progress: bool = True
    ) -> ImageTable | None:
        """All images of all classes, nothing held out; None without sources.

        With `many` these may be more than two, and with `alone` positives will do; see `read_source`.

        Raises:
            InputError: if only one of two sources was given, or a class is missing.
            DataError: if a source cannot be read.
        """
        return read_source(
            *(self.positives, self.negatives, self.data, reading), many=many, alone=alone, progress=progress
        )

    def check_untested(self, job: str) -> None:
        """Make sure that a job that holds nothing out was not asked for a test.

        Raises:
            InputError: if it was.
        """
        names = ("test_positives", "test_negatives", "test_data", "test_share", "validation_share")
        check_unused(job, self, *names, why="takes all images given")

    def split(
        self,
        reading: Reading,
        *,
        seed: int,
        first: bool = False,
        stratify: Sequence[str] = (),
        many: bool = False,
        progress: bool = True,
    ) -> Split:
        """Train, validation and test: from the test data given, or by holding out a share.

        Args:
            reading: How sources are read.
            seed: Decides the split, and the embedded set.
            first: The first images of each class are for training, the last ones for testing (the 2023 lab).
            stratify: Columns to be balanced between the sides; those that are not there are left out.
            many: Images of more than two classes will do, see `read_source`.
            progress: Show bars on a terminal.

        Raises:
            InputError: if a share is out of range, sizes differ, or test pictures stand in the training data.
            DataError: if a source cannot be read.
        """
        self._check_shares()
        train = self.whole(reading, many=many, progress=progress)
        test = self._test(reading, train, progress)
        if train is None and test is not None:
            raise InputError(
                "Expected training data beside the test data; got test data alone. Give `positives` and `negatives`."
            )
        train = embedded(self.images, reading, seed) if train is None else train
        for name, setting in ((reading.split_column, "split_column"), (reading.together, "together")):
            check_attributes(train, [name] if name is not None else [], what="data", setting=setting)
        shares = (1 - self.validation_share, self.validation_share, 0.0)
        columns = [name for name in stratify if name in train.attributes.column_names]
        how: dict[str, Any] = {"seed": seed, "stratify": columns, "together": reading.together}
        if test is not None or reading.split_column is not None:
            sides = given_sides(train, test, split_column=reading.split_column, together=reading.together)
            if len(sides.validation) or not self.validation_share:
                return sides
            part = split(sides.train, fractions=shares, **how)
            return Split(part.train, part.validation, sides.test)
        if not 0 < self.test_share < shares[0]:
            raise InputError(
                "Without test data a share is held out: `test_share` must be above 0 and leave images to train on; "
                f"got {self.test_share} beside `validation_share` {self.validation_share}. Try 0.2 and 0."
            )
        if first:
            if reading.together is not None:
                raise InputError(
                    "Expected `together` with a split by chance; the recipe takes the first images of each class to "
                    "train on. Choose another recipe, or give a `split_column`."
                )
            return first_sides(train, self.test_share, self.validation_share)
        fractions = (shares[0] - self.test_share, self.validation_share, self.test_share)
        found = split(train, fractions=fractions, **how)
        if reading.together is not None:
            both_classes(found, f"with rows of one {reading.together!r} together")
        return found

    def _test(self, reading: Reading, train: ImageTable | None, progress: bool) -> ImageTable | None:
        """The test images given; of the classes that are trained on, where these are more than two."""
        if train is not None and not train.two_classes and self.test_data is not None:
            return read_one(self.test_data, None, replace(reading, positive_class=None), progress=progress)
        return read_source(
            *(self.test_positives, self.test_negatives, self.test_data, reading),
            names=("`test_positives`", "`test_negatives`", "`test_data`"),
            progress=progress,
        )

    def _check_shares(self) -> None:
        for name in ("test_share", "validation_share"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise InputError(
                    f"`{name}` must be a share in [0, 1); got {share}. 0.2 holds out one in five."
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
    for doubt in doubts(list(tables.values())):
        say(doubt)
    rejected = {item for table in tables.values() for item in table.rejected}
    if rejected:
        say(f"{len(rejected)} pictures could not be read; rejected.csv lists them.")
