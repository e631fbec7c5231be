"""Blocks of pixels that tables are made of: in memory, memory-mapped, or still encoded. Who takes rows cannot tell."""

from __future__ import annotations

import hashlib
import mmap
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.data.arrays import UInt8Images

__all__ = ["Block", "Encoded", "as_shared", "digest_images", "gathered", "read_only_map", "shared"]

Rows = NDArray[np.int64]


class Encoded(Protocol):
    """Pictures that are decoded when rows of them are asked for; see `encoded_images`."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.uint8]

    def __len__(self) -> int: ...

    def gathered(self, rows: Rows) -> UInt8Images:
        """Some pictures, in the order asked for."""
        ...


Block = UInt8Images | Encoded


def digest_images(images: UInt8Images) -> NDArray[np.uint64]:
    """A 64-bit digest (BLAKE2b) of each image's shape and pixels, shape (n,)."""
    key = repr(images.shape[1:]).encode()
    digests = [
        hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8, key=key).digest() for image in images
    ]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def gathered(block: Block, rows: Rows, out: UInt8Images | None = None) -> UInt8Images:
    """Rows of a block, in the order asked for; in `out` if that is given."""
    if not isinstance(block, np.ndarray) or not block.flags.c_contiguous:
        # np.take would first copy the whole of a block that is not contiguous
        picked = block[rows] if isinstance(block, np.ndarray) else block.gathered(rows)
        if out is None:
            return picked
        out[...] = picked
        return out
    return np.take(np.asarray(block), rows, axis=0, out=out, mode="clip")


def read_only_map(block: Block) -> mmap.mmap | None:
    """The map below a block, if its pages can be dropped without losing anything."""
    root: Any = block
    while isinstance(root, np.ndarray) and isinstance(root.base, np.ndarray):
        root = root.base
    if not (isinstance(root, np.memmap) and root.mode == "r" and hasattr(mmap, "MADV_DONTNEED")):
        return None
    return root.base if isinstance(root.base, mmap.mmap) else None


def shared(block: Block) -> Any:
    """What travels to another process: of a memory-mapped block the place of its file, not its pixels."""
    if not isinstance(block, np.ndarray):
        return block
    if not (isinstance(block, np.memmap) and isinstance(block.base, mmap.mmap) and block.mode == "r"):
        return np.asarray(block)
    return {"filename": block.filename, "offset": block.offset, "shape": block.shape}


def as_shared(given: Any) -> Block:
    """The block that `shared` was made of."""
    if not isinstance(given, dict):
        block: Block = given
        return block
    return np.memmap(given["filename"], np.uint8, "r", given["offset"], given["shape"])
