"""`ImageTable`: images, labels and attributes. Every source yields one, every trainer takes one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.groups import Groups

__all__ = ["ImageTable", "Rejected", "digest_images"]

UInt8Images = NDArray[np.uint8]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Rejected:
    """A picture that could not be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class ImageTable:
    """N uint8 images with labels and attribute columns; subsets are views, nothing is copied.

    Args:
        parts: Blocks of images, each with shape (n_i, height, width, channels), in memory or memory-mapped.
        rows: Row of each image in the concatenation of `parts`, shape (n,).
        labels: 1 = positive, 0 = negative (any class ids ≥ 0 are allowed), shape (n,).
        attributes: n rows; any column can serve as groups. By convention `path` tells where an image is from.
        digests: A 64-bit content digest an image, shape (n,): equal digests are equal pixels.
        rejected: Pictures of the source that could not be read.
    """

    parts: tuple[UInt8Images, ...]
    rows: Rows
    labels: NDArray[np.int64]
    attributes: pa.Table
    digests: NDArray[np.uint64]
    rejected: tuple[Rejected, ...] = field(default=())
    # TO THE DATA ROOM: validate shapes here, at the one public door.

    @classmethod
    def from_arrays(
        cls, images: Any, labels: Any, attributes: Mapping[str, Sequence[Any]] | pa.Table | None = None
    ) -> ImageTable:
        """A table from NumPy or torch arrays: uint8 0…255 or float in [0, 1]; (n, h, w, c) or (n, c, h, w)."""
        raise NotImplementedError

    def __len__(self) -> int:
        return int(self.rows.shape[0])

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

    def batch(self, positions: NDArray[np.integer[Any]]) -> UInt8Images:
        """Copies of some images, shape (b, height, width, channels), in the order asked for."""
        raise NotImplementedError

    def take(self, positions: NDArray[np.integer[Any]]) -> ImageTable:
        """A view on some rows, in the order asked for."""
        raise NotImplementedError

    @staticmethod
    def concat(tables: Sequence[ImageTable]) -> ImageTable:
        """Tables one after another; an attribute that one lacks becomes null there."""
        raise NotImplementedError

    def groups(self, *attributes: str) -> Groups:
        """Groups of one attribute column, or the intersections of several."""
        raise NotImplementedError

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of pixels, labels, attributes and order: equal content, equal fingerprint."""
        raise NotImplementedError


def digest_images(images: UInt8Images) -> NDArray[np.uint64]:
    """A 64-bit digest (BLAKE2b) of each image's shape and pixels."""
    digests = [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8).digest() for image in images]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


_ = InputError
