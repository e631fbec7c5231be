"""Datasets that give samples: PyTorch's map-style and iterable ones, what a DataLoader holds, lists of samples.

A sample holds picture and label together, so both are read in one pass: the columns are known when all pictures are.
torch is never imported here.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from equipoise.data.array_pairs import LABEL_NAMES, named
from equipoise.data.arrays import Layout
from equipoise.data.columns import columns_of
from equipoise.data.parquet_file import with_names
from equipoise.data.picture_values import content_of
from equipoise.data.sample import Sample, sample_of
from equipoise.data.source import Source, without
from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.pictures.decode import Content

__all__ = ["samples"]

END = object()
WRAPPED = 8  # datasets in one another that are asked for the names of classes


def samples(
    dataset: Any,
    *,
    groups: Sequence[str] | None = None,
    layout: Layout | None = None,
    notes: tuple[str, ...] = (),
) -> Source:
    """All samples of a dataset, in its order: 0…len(dataset)−1, or as it is iterated.

    Args:
        dataset: Of samples as `sample_of` takes them.
        groups: Names of values in a tuple, and columns that must be one value a sample.
        layout: "NHWC" or "NCHW": channels last or first. Needed only where shapes do not tell.
        notes: What was decided before.

    Raises:
        InputError: if it has no length, or its first sample is none.
        DataError: if it is empty.
    """
    reading = _Reading(dataset, groups, layout)
    first = reading.first()
    source = Source(
        f"dataset {type(dataset).__name__}",
        reading.paths,
        reading.contents,
        _columns([first], None, reading.name),
        None,
        label="label" if "label" in first.columns else None,
        notes=notes,
    )
    return replace(source, later=lambda: reading.read(source))


class _Paths(Sequence[str]):
    """What to call samples; how many there are may be known only when all were read."""

    def __init__(self, known: int) -> None:
        self.known = known

    def __len__(self) -> int:
        return self.known

    def __getitem__(self, row: Any) -> Any:
        return f"#{row}"


class _Reading:
    """One pass over a dataset."""

    def __init__(self, dataset: Any, groups: Sequence[str] | None, layout: Layout | None) -> None:
        self.dataset, self.groups, self.layout = dataset, groups, layout
        self.name = f"the dataset ({type(dataset).__name__})"
        self.iterable = is_iterable(dataset)
        self.paths = _Paths(0 if self.iterable else _length(dataset, self.name))
        self.columns: list[Sample] = []
        self.begun: list[Any] = []  # the sample that an iterable was asked for to look at
        self.rest: Iterator[Any] = iter(())
        self.notes: dict[str, None] = {}

    def first(self) -> Sample:
        if self.iterable:
            with _named(0, self.name, self.paths):
                self.rest = iter(self.dataset)
                given = next(self.rest, END)
            if given is END:
                raise DataError(f"Expected samples in {self.name}; got none. Can it be iterated only once?")
            self.begun = [given]
        else:
            with _named(0, self.name, self.paths):
                given = self.dataset[0]
        sample = sample_of(given, "sample 0", self.groups)
        self.look = _digest(content_of(sample.image, where="sample 0", layout=self.layout))
        return sample

    def contents(self) -> Iterator[Content]:
        self.columns = []
        for row, given in enumerate(self._given()):
            sample = sample_of(given, f"sample {row}", self.groups)
            content = content_of(sample.image, where=f"sample {row}", layout=self.layout)
            if row == 0 and _digest(content) != self.look:
                self.notes[
                    f"{type(self.dataset).__name__} gives other pixels each time it is asked (random transforms?): "
                    "what was read is one draw."
                ] = None
            if sample.left_out:
                listed = ", ".join(sample.left_out)
                self.notes[f"Left out, since they are not one value a sample: {listed}."] = None
            self.columns.append(replace(sample, image=None))
            if self.iterable:
                self.paths.known = row + 1
            yield content

    def _given(self) -> Iterator[Any]:
        if self.iterable:
            yield from self.begun
            self.begun = []
            while True:
                with _named(self.paths.known, self.name, None):
                    given = next(self.rest, END)
                if given is END:
                    return
                yield given
        for row in range(len(self.paths)):
            with _named(row, self.name, self.paths):
                given = self.dataset[row]
            yield given
        if not isinstance(self.dataset, list | tuple):
            with contextlib.suppress(Exception):  # as it should be
                sample_of(self.dataset[len(self.paths)], "", self.groups)
                self.notes[
                    f"{type(self.dataset).__name__} says that its length is {len(self.paths)}, and has a sample "
                    f"{len(self.paths)}: its length is too short and samples are missing here, or it makes samples at "
                    "any position."
                ] = None

    def read(self, source: Source) -> Source:
        """The source with all columns."""
        attributes = _columns(self.columns, _class_names(self.dataset), self.name)
        return replace(source, attributes=attributes, notes=(*source.notes, *self.notes), later=None)


def is_iterable(dataset: Any) -> bool:
    """Whether a dataset is only to be iterated; PyTorch's iterable ones inherit what they do not have."""
    streams = any(
        kind.__name__ in ("IterableDataset", "Iterator", "Generator") for kind in type(dataset).__mro__
    )
    return streams or not hasattr(dataset, "__getitem__")


def _length(dataset: Any, name: str) -> int:
    try:
        n = len(dataset)
    except Exception as error:
        raise InputError(
            f"Expected a length and samples by position, or samples to iterate, of {name}; got: {error}. Define "
            "__len__, or make it an IterableDataset."
        ) from error
    if n < 1:
        raise DataError(f"Expected samples in {name}; got none. Check how it was made.")
    return n


@contextlib.contextmanager
def _named(row: int, name: str, paths: Sequence[str] | None) -> Iterator[None]:
    """Errors of other people's code, with the sample that it was asked for."""
    try:
        yield
    except EquipoiseError:
        raise
    except IndexError as error:
        length = "" if paths is None else f"its {len(paths):,} samples, as its length says, "
        raise DataError(
            f"Expected {length or 'to go on '}in {name}; got an IndexError at sample {row}: {error}. Its length does "
            "not fit what it holds, or the sample itself fails; correct it."
        ) from error
    except Exception as error:
        raise DataError(
            f"Expected sample {row} of {name}; got {type(error).__name__}: {error}. Correct the dataset, or leave that "
            "sample out."
        ) from error


def _columns(read: Sequence[Sample], names: list[str] | None, where: str) -> pa.Table:
    keys = dict.fromkeys(key for sample in read for key in sample.columns)
    table = columns_of({key: [sample.columns.get(key) for sample in read] for key in keys}, len(read))
    if names is not None and "label" in keys:
        place = table.column_names.index("label")
        label = table.column("label")
        label = label.cast(pa.int8()) if pa.types.is_boolean(label.type) else label
        label = with_names(label, names, "label", f"{where} ({len(names)} classes)")
        table = table.set_column(place, "label", label)
    return without(table) if keys else table


def _class_names(dataset: Any) -> list[str] | None:
    """Names of classes by number, as torchvision's datasets and Hugging Face's features have them."""
    for _ in range(WRAPPED):
        features = getattr(dataset, "features", None)
        by_column = features if isinstance(features, Mapping) else {}
        feature = by_column.get(named(list(by_column), LABEL_NAMES))
        found = getattr(feature, "names", None) or getattr(dataset, "classes", None)
        if (
            isinstance(found, list | tuple)
            and len(set(found)) == len(found)
            and all(isinstance(n, str) for n in found)
        ):
            return list(found)
        parts = getattr(dataset, "datasets", None)  # of a ConcatDataset
        if isinstance(parts, list | tuple) and parts:
            several = [_class_names(part) for part in parts]
            return several[0] if all(names == several[0] for names in several) else None
        dataset = getattr(dataset, "dataset", None)  # of a Subset
    return None


def _digest(content: Content) -> bytes:
    data = (
        content.tobytes() if isinstance(content, Image.Image | np.ndarray) else bytes(str(content), "utf-8")
    )
    return hashlib.blake2b(data, digest_size=16).digest()
