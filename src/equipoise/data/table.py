"""`ImageTable`: images, labels and attributes. Every source yields one, every trainer takes one."""

from __future__ import annotations

import hashlib
import mmap
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.data.arrays import Layout, UInt8Images, channels_last, class_ids, stored
from equipoise.data.blocks import Block, as_shared, digest_images, gathered, read_only_map, shared
from equipoise.data.classes import names_by_id, one_meaning
from equipoise.data.columns import array_of, columns_of, indexed, joined, text_bytes, values_of
from equipoise.errors import InputError
from equipoise.groups import Groups
from equipoise.notebook import short, table_html
from equipoise.pictures.framing import Framing

__all__ = ["ImageTable", "Rejected"]

Rows = NDArray[np.int64]

PATH, LABEL = "path", "label"
MOST_CLASSES = 12  # told one by one
AHEAD = 2  # batches that are decoded before they are needed
RELEASE_ROWS = 16  # read from memory-mapped parts before their pages are given back: a fault may map 2 MiB


@dataclass(frozen=True)
class Rejected:
    """A picture that could not be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class ImageTable:
    """N uint8 images with labels and attribute columns; subsets are views, nothing is copied.

    Args:
        parts: Blocks of images, each with shape (n_i, size, size, channels), in memory, memory-mapped, or encoded and
            decoded when they are asked for (`EncodedImages`).
        rows: Row of each image in the concatenation of `parts`, shape (n,).
        labels: 1 = positive, 0 = negative (any class ids ≥ 0 are allowed), shape (n,).
        attributes: n rows; any column can serve as groups. By convention `path` tells where an image is from.
        digests: A 64-bit content digest an image, shape (n,): equal digests are equal pixels.
        rejected: Pictures of the source that could not be read.
        notes: What the reader decided on its own, in words, for example the channel order.
        classes: Names of classes that the reader made labels of, each with its class id.
        framing: How the pictures became squares; None where that is not known, as of arrays.

    Raises:
        InputError: if shapes do not fit together.

    Example:
        >>> images = np.zeros((3, 8, 8, 3), np.uint8)
        >>> table = ImageTable.from_arrays(images, [1, 0, 1], {"hat": ["red", "blue", "red"]})
        >>> table
        ImageTable(3 images 8×8×3, 2 positives, 1 negatives, attributes: hat)
        >>> table.take([2, 0]).groups("hat").names
        ('red',)
    """

    parts: tuple[Block, ...]
    rows: Rows
    labels: NDArray[np.int64]
    attributes: pa.Table
    digests: NDArray[np.uint64]
    rejected: tuple[Rejected, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    classes: Mapping[str, int] = field(default_factory=dict)
    framing: Framing | None = None

    def __post_init__(self) -> None:
        if not self.parts:
            raise InputError("An ImageTable needs at least one block of images; got none. Use from_arrays.")
        shapes = {part.shape[1:] for part in self.parts}
        shape = self.parts[0].shape
        if len(shapes) > 1 or len(shape) != 4 or shape[1] != shape[2] or shape[3] not in (1, 3):
            raise InputError(
                "All images must be square, of one size, with 1 or 3 channels last; got "
                f"{sorted(map(str, shapes))}. Read all sources with the same image_size and channels."
            )
        if any(part.dtype != np.uint8 for part in self.parts):
            raise InputError(
                f"Images must be uint8; got {[str(part.dtype) for part in self.parts]}. "
                "Use ImageTable.from_arrays, which converts."
            )
        counts = {
            "rows": self.rows.shape,
            "labels": self.labels.shape,
            "attributes": (self.attributes.num_rows,) if self.attributes.num_columns else self.rows.shape,
            "digests": self.digests.shape,
        }
        if len(set(counts.values())) > 1 or self.rows.ndim != 1:
            raise InputError(f"Every column needs one value an image; got {counts}. Check their lengths.")
        if self.rows.size and not 0 <= self.rows.min() <= self.rows.max() < self._starts[-1]:
            raise InputError(
                f"Rows must be 0…{self._starts[-1] - 1}; got {self.rows.min()}…{self.rows.max()}. Check them."
            )

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        labels: Any,
        attributes: Mapping[str, Sequence[Any]] | pa.Table | None = None,
        *,
        layout: Layout | None = None,
    ) -> ImageTable:
        """A table from NumPy or torch arrays.

        Images that are uint8 already are not copied: leave them as they are afterwards.

        Args:
            images: uint8 0…255, or float in [0, 1]; (n, size, size, channels), (n, channels, size, size) or,
                for grey images, (n, size, size).
            labels: A whole number ≥ 0 an image, 1 = positive; (n,) or (n, 1). Booleans will do.
            attributes: Columns with one value an image.
            layout: Needed only where the shape does not tell channels-first from channels-last.

        Raises:
            InputError: if a shape, a type or a range is not as said, or a value is NaN.
        """
        pixels = stored(channels_last(array_of(images), layout))
        ids = class_ids(labels, len(pixels))
        columns = columns_of(attributes, len(pixels))
        rows = np.arange(len(pixels), dtype=np.int64)
        return cls((pixels,), rows, ids, columns, digest_images(pixels))

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    def __repr__(self) -> str:
        size, names = self.image_size, ", ".join(self.attributes.column_names)
        return (
            f"ImageTable({len(self)} images {size}×{size}×{self.channels}, {self._classes_in_words()}, "
            f"attributes: {names or 'none'})"
        )

    def _repr_html_(self) -> str:
        names, counts = self.class_names, np.bincount(self.labels)
        rows = [[names[label], str(label), f"{count:,}"] for label, count in enumerate(counts.tolist())]
        size, columns = self.image_size, ", ".join(map(short, self.attributes.column_names))
        title = f"{len(self):,} images {size}×{size}×{self.channels}, attributes: {columns or 'none'}"
        return table_html(title, ["class", "label", "images"], rows)

    def _classes_in_words(self) -> str:
        """How many images of each class; numbers that add up to all."""
        ids, counts = np.unique(self.labels, return_counts=True)
        if self.two_classes:
            return f"{len(self.positives)} positives, {len(self.negatives)} negatives"
        if len(ids) > MOST_CLASSES:
            return f"{len(ids)} classes of {counts.min()} to {counts.max()} images"
        names = self.class_names
        return ", ".join(
            f"{n} of class {names[i]}" for i, n in zip(ids.tolist(), counts.tolist(), strict=True)
        )

    @property
    def two_classes(self) -> bool:
        """Whether the table is of positives (label 1) and negatives (label 0), or of one of the two."""
        return len(self.class_names) == 2

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class by its id, K of them, also of classes without images; at least two.

        What a reader did not name is "negative" and "positive" where there are two classes, else its number. Several
        names of one class are told together.

        Example:
            >>> ImageTable.from_arrays(np.zeros((2, 8, 8, 3), np.uint8), [0, 2]).class_names
            ('0', '1', '2')
        """
        return names_by_id(self.classes, int(self.labels.max(initial=1)))

    @property
    def image_size(self) -> int:
        """Pixels a side."""
        return int(self.parts[0].shape[1])

    @property
    def channels(self) -> int:
        """3 for colour, 1 for grey."""
        return int(self.parts[0].shape[3])

    @property
    def positives(self) -> Rows:
        """Positions of the images with label 1."""
        return np.flatnonzero(self.labels == 1).astype(np.int64)

    @property
    def negatives(self) -> Rows:
        """Positions of the images with label 0."""
        return np.flatnonzero(self.labels == 0).astype(np.int64)

    def batch(self, positions: NDArray[np.integer[Any]] | Sequence[int]) -> UInt8Images:
        """Copies of some images, shape (b, size, size, channels), in the order asked for.

        Pages of memory-mapped parts are given back after every few rows, so that the memory of the process
        does not grow with what it has read. The system keeps them cached while it has room.

        Raises:
            InputError: if a position is outside the table.
        """
        rows = self.rows[self._positions(positions)]
        out = np.empty((len(rows), *self.parts[0].shape[1:]), np.uint8)
        step = RELEASE_ROWS if self._maps else max(1, len(rows))
        for start in range(0, len(rows), step):
            self._fill(out[start : start + step], rows[start : start + step])
            for found in self._maps:
                found.madvise(mmap.MADV_DONTNEED)
        return out

    def batches(self, places: Iterable[NDArray[np.integer[Any]] | Sequence[int]]) -> Iterator[UInt8Images]:
        """The pictures of some batches, one after another, as `batch` gives them; encoded ones are decoded ahead.

        Args:
            places: Positions of each batch. If pictures are encoded, they are asked for `AHEAD` batches before they are
                needed.

        Raises:
            InputError: if a position is outside the table.
        """
        if all(isinstance(part, np.ndarray) for part in self.parts):
            yield from map(self.batch, places)
            return
        with ThreadPoolExecutor(1, "equipoise-batches") as thread:
            waiting: deque[Future[UInt8Images]] = deque()
            try:
                for positions in places:
                    waiting.append(thread.submit(self.batch, positions))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _fill(self, out: UInt8Images, rows: Rows) -> None:
        if len(self.parts) == 1:
            gathered(self.parts[0], rows, out)
            return
        part_of = np.searchsorted(self._starts, rows, side="right") - 1
        for index in np.unique(part_of):
            where = np.flatnonzero(part_of == index)
            out[where] = gathered(self.parts[index], rows[where] - self._starts[index])

    def take(self, positions: NDArray[Any] | Sequence[int]) -> ImageTable:
        """A view on some rows, in the order asked for; also takes a mask with one boolean a row.

        Raises:
            InputError: if a position is outside the table.
        """
        where = self._positions(positions)
        return replace(
            self,
            rows=self.rows[where],
            labels=self.labels[where],
            attributes=self.attributes.take(pa.array(where))
            if self.attributes.num_columns
            else self.attributes,
            digests=self.digests[where],
        )

    @staticmethod
    def concat(tables: Sequence[ImageTable]) -> ImageTable:
        """Tables one after another; an attribute that one lacks becomes null there.

        A column whose type differs between tables becomes text. No pixel is copied.

        Raises:
            InputError: if there is no table, image sizes or known framings differ, or a class has another id in another
                table.
        """
        if not tables:
            raise InputError("Tables to be joined must be at least one; got none. Give the tables.")
        framings = {table.framing for table in tables if table.framing is not None}
        if len(framings) > 1:
            raise InputError(
                f"Tables to be joined must have one framing; got {' and '.join(sorted(map(str, framings)))}. Read all "
                "sources the same way."
            )
        parts: list[Block] = []
        start: dict[int, int] = {}  # id of a part → its first row
        end = 0
        rows: list[Rows] = []
        for table in tables:
            shift = np.empty(len(table.parts), np.int64)
            for index, part in enumerate(table.parts):
                if id(part) not in start:
                    start[id(part)] = end
                    parts.append(part)
                    end += len(part)
                shift[index] = start[id(part)] - table._starts[index]
            rows.append(table.rows + shift[np.searchsorted(table._starts, table.rows, side="right") - 1])
        return ImageTable(
            tuple(parts),
            np.concatenate(rows),
            np.concatenate([table.labels for table in tables]),
            joined([indexed(table.attributes, len(table)) for table in tables]),
            np.concatenate([table.digests for table in tables]),
            tuple(dict.fromkeys(item for table in tables for item in table.rejected)),
            tuple(dict.fromkeys(note for table in tables for note in table.notes)),
            one_meaning([table.classes for table in tables]),
            next(iter(framings), None),
        )

    def column(self, attribute: str) -> list[Any]:
        """Values of an attribute, one a row; None where missing. "label" is the class, by name, where no attribute is.

        Raises:
            InputError: if there is no such attribute.
        """
        if attribute not in self.attributes.column_names:
            if attribute == LABEL:
                return [self.class_names[label] for label in self.labels.tolist()]
            known = ", ".join(self.attributes.column_names) or "none"
            raise InputError(
                f"Expected an attribute of the table ({known}); got {attribute!r}. Choose one of these."
            )
        return values_of(self.attributes.column(attribute))

    def groups(self, *attributes: str) -> Groups:
        """Groups of one attribute column, or the intersections of several.

        Raises:
            InputError: if no attribute is named or the table does not have it.
        """
        if not attributes:
            raise InputError("Groups need at least one attribute; got none. Name a column of the table.")
        return reduce(Groups.cross, [Groups.from_column(self.column(a), attribute=a) for a in attributes])

    @property
    def columns(self) -> tuple[str, ...]:
        """What `column` and `groups` take."""
        return tuple(dict.fromkeys((*self.attributes.column_names, LABEL)))

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of pixels, labels, attributes and order: equal content, equal fingerprint.

        Neither where the images lie (the column `path`) nor the order of the columns is content.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{len(self)} {self.image_size} {self.channels}".encode())
        digest.update(np.ascontiguousarray(self.digests, dtype="<u8").data)
        digest.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        for name in sorted(set(self.attributes.column_names) - {PATH}):
            digest.update(f"\x1f{name}\x1f".encode())
            digest.update(text_bytes(self.attributes.column(name)))
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """For other processes: memory-mapped parts travel as the place of their file, not as pixels."""
        fields = ("rows", "labels", "attributes", "digests", "rejected", "notes", "classes", "framing")
        return {name: getattr(self, name) for name in fields} | {"parts": tuple(map(shared, self.parts))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["parts"] = tuple(map(as_shared, state["parts"]))

    @cached_property
    def _starts(self) -> Rows:
        """First row of each part, and the number of rows after the last."""
        return np.cumsum([0, *(len(part) for part in self.parts)], dtype=np.int64)

    @cached_property
    def _maps(self) -> list[mmap.mmap]:
        maps = {id(found): found for part in self.parts if (found := read_only_map(part)) is not None}
        return list(maps.values())

    def _positions(self, positions: NDArray[Any] | Sequence[int]) -> Rows:
        where = np.asarray(positions)
        if where.dtype == np.bool_ and where.shape == self.rows.shape:
            return np.flatnonzero(where).astype(np.int64)
        if where.size == 0:
            return np.zeros(0, np.int64)
        if where.ndim != 1 or not np.issubdtype(where.dtype, np.integer):
            raise InputError(
                f"Positions must be a vector of whole numbers, or a mask of {len(self)} booleans; got shape "
                f"{where.shape} of {where.dtype}. Use np.flatnonzero or np.arange."
            )
        if where.min() < 0 or where.max() >= len(self):
            raise InputError(
                f"Positions must be 0…{len(self) - 1}; got {where.min()}…{where.max()}. Check them."
            )
        return where.astype(np.int64, copy=False)
