"""`FeatureStore`: features and logits of pictures, kept on the disk as far as they are computed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import DataError
from equipoise.failures import ADVICE, refused
from equipoise.files import alone, read_bytes, reserve, write_json

__all__ = ["FeatureStore", "Layout", "Part", "building", "pictures_digest", "stored"]

FORMAT = "equipoise-features-1"
FEATURES, LOGITS, PROGRESS, STORE = "features.npy", "logits.npy", "progress.json", "store.json"


def pictures_digest(digests: NDArray[np.uint64]) -> str:
    """What tells pictures in an order from others.

    Args:
        digests: Content of each.
    """
    return hashlib.blake2b(np.ascontiguousarray(digests, "<u8").tobytes(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Layout:
    """What a store holds, and of what.

    Args:
        rows: Pictures.
        dimensions: Of a feature vector.
        outputs: Logits a picture; None without.
        dtype: Of features, float16 or float32; logits are float32.
        backbone: Its digest.
        pictures: Digest of the pictures and their order.
    """

    rows: int
    dimensions: int
    outputs: int | None
    dtype: str
    backbone: str
    pictures: str

    def settings(self) -> dict[str, Any]:
        """As plain values."""
        return {"format": FORMAT, **vars(self)}


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """What a backbone made of pictures, one row a picture, in the table's order.

    Args:
        features: Shape (n, d), float16 or float32; on the disk unless they are few and not kept.
        logits: Shape (n, k), float32; None of a backbone without a last layer.
        layout: What they are and of what.
        folder: Where they are kept; None if they are not.
    """

    features: NDArray[Any]
    logits: NDArray[np.float32] | None
    layout: Layout
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.features)

    def vectors(self, rows: ArrayLike | None = None) -> NDArray[np.float32]:
        """Features of some pictures, or of all, in single precision and in memory, shape (n, d)."""
        found = self.features if rows is None else self.features[np.asarray(rows)]
        return np.asarray(found, np.float32)


@dataclass(eq=False)
class Part:
    """A store that is being filled.

    Args:
        features: Room for all.
        logits: Likewise.
        folder: Where they lie; None in memory.
        batch_size: Pictures that went together, which decides the last bits; None before the first.
        done: Rows that are filled.
    """

    features: NDArray[Any]
    logits: NDArray[np.float32] | None
    folder: Path | None = None
    batch_size: int | None = None
    done: int = 0

    def keep(self) -> None:
        """Write down how far it is, after what was written."""
        if self.folder is None:
            return
        for values in (self.features, self.logits):
            if isinstance(values, np.memmap):
                values.flush()
        write_json(self.folder / PROGRESS, {"batch_size": self.batch_size, "done": self.done})


def stored(folder: Path, layout: Layout) -> FeatureStore | None:
    """A finished store, if one is there and is what it is to be; nothing of it is read yet."""
    try:
        if json.loads(read_bytes(folder / STORE)) != layout.settings():
            return None
        features, logits = _opened(folder, layout, "r")
    except (OSError, ValueError, RecursionError):
        return None
    return FeatureStore(features, logits, layout, folder)


@contextmanager
def building(
    folder: Path, layout: Layout, waiting: Callable[[], None] = lambda: None
) -> Iterator[Part | FeatureStore]:
    """A part that becomes the store when the block ends; what is left of it after a failure is gone on with next time.

    Only one process fills a part; another waits, and gets the finished store.

    Raises:
        DataError: if the folder cannot be written or the disk is full.
    """
    place = folder.with_name(f"{folder.name}.part")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with alone(place, waiting):
            if (found := stored(folder, layout)) is not None:
                yield found
                return
            place.mkdir(exist_ok=True)  # another process may have moved it
            part = _gone_on_with(place, layout) or _begun(place, layout)
            yield part
            part.keep()
            write_json(place / STORE, layout.settings())
            (place / PROGRESS).unlink()
            if folder.exists():  # broken, or it would have been found
                shutil.rmtree(folder)
            os.replace(place, folder)
    except OSError as error:
        if isinstance(error, DataError):
            raise
        what = refused(error)
        advice = ADVICE[what] if what else "Change its permissions, or choose another folder."
        raise DataError(
            f"Expected to keep features in {folder}; got: {error.strerror or error}. {advice} What is computed is "
            "gone on with next time."
        ) from error


def _gone_on_with(place: Path, layout: Layout) -> Part | None:
    try:
        noted = json.loads(read_bytes(place / PROGRESS))
        size, done = noted["batch_size"], noted["done"]
        if not (isinstance(size, int) and isinstance(done, int) and size > 0 and 0 <= done <= layout.rows):
            return None
        if done % size and done != layout.rows:
            return None
        return Part(*_opened(place, layout, "r+"), place, size, done)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _begun(place: Path, layout: Layout) -> Part:
    for name in (PROGRESS, STORE):
        (place / name).unlink(missing_ok=True)
    shapes = [(FEATURES, np.dtype(layout.dtype), layout.dimensions)]
    if layout.outputs is not None:
        shapes.append((LOGITS, np.dtype(np.float32), layout.outputs))
    found: list[Any] = []
    for name, dtype, width in shapes:
        found.append(open_memmap(place / name, "w+", dtype, (layout.rows, width)))
        reserve(place / name)
    return Part(found[0], found[1] if len(found) > 1 else None, place)


def _opened(folder: Path, layout: Layout, mode: Any) -> tuple[Any, Any]:
    """The arrays of a folder, if they are as the layout says.

    Raises:
        ValueError: if they are not.
    """
    wanted = [(FEATURES, layout.dimensions, np.dtype(layout.dtype))]
    if layout.outputs is not None:
        wanted.append((LOGITS, layout.outputs, np.dtype(np.float32)))
    found: list[Any] = []
    for name, width, dtype in wanted:
        values = np.load(folder / name, mmap_mode=mode, allow_pickle=False)
        if values.shape != (layout.rows, width) or values.dtype != dtype:
            raise ValueError(f"{name} of shape {values.shape}, {values.dtype}")
        found.append(values)
    return found[0], found[1] if len(found) > 1 else None
