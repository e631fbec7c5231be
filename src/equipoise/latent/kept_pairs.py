"""A table of pairs in a folder: images memory-mapped, written a batch at a time."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.errors import DataError, InputError
from equipoise.files import regular, reserve

__all__ = ["check_new", "read_pairs", "release", "room", "write"]


def read_pairs(folder: str | os.PathLike[str]) -> ImageTable:
    """The table that `pairs` kept in a folder, images memory-mapped.

    Raises:
        DataError: if it is not there or cannot be read.
    """
    where = Path(folder)
    try:
        # mapped: a header that says more than there is takes no memory
        images = np.load(regular(where / "images.npy"), mmap_mode="r", allow_pickle=False)
        digests = np.load(regular(where / "digests.npy"), mmap_mode="r", allow_pickle=False)
        if (images.dtype, images.ndim, digests.dtype, digests.ndim) != (np.uint8, 4, np.uint64, 1):
            raise ValueError(f"arrays of {images.dtype} {images.shape} and {digests.dtype} {digests.shape}")
        columns = pq.read_table(regular(where / "table.parquet"))
        labels = np.array(columns.column("label").cast(pa.int64()).to_pylist(), np.int64)
        rows = np.arange(len(images), dtype=np.int64)
        return ImageTable((images,), rows, labels, columns.drop_columns(["label"]), np.array(digests))
    except Exception as error:  # parsers of foreign formats tell what is damaged in many ways
        raise DataError(
            f"Expected pairs in {where} (images.npy, digests.npy, table.parquet); got: {error}. "
            "Make them again with pairs(folder=...)."
        ) from error


def room(building: Path | None, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Room for the images, (pairs, sides, height, width, channels); a file has the first two axes as one."""
    if building is None:
        return np.empty(shape, np.uint8)
    flat = (shape[0] * shape[1], *shape[2:])
    images = np.lib.format.open_memmap(building / "images.npy", "w+", np.uint8, flat).reshape(shape)
    reserve(building / "images.npy")
    return images


def release(images: NDArray[np.uint8]) -> None:
    """Give pages of a memory-mapped file back: they are the system's to write."""
    root: Any = images
    while isinstance(root.base, np.ndarray):
        root = root.base
    if isinstance(root.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        root.base.madvise(mmap.MADV_DONTNEED)


def write(
    building: Path,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    digests: NDArray[np.uint64],
    columns: pa.Table,
) -> None:
    """All that is beside the images, which lie there already."""
    if isinstance(images, np.memmap):
        images.flush()
    np.save(building / "digests.npy", digests.ravel())
    pq.write_table(columns.append_column("label", pa.array(labels.ravel())), building / "table.parquet")


def check_new(folder: Path) -> None:
    """Refuse a folder that holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"Pairs need a new folder; got {folder}, which holds something. Choose another.")
