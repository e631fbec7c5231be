"""Texts of any length in HDF5, taken from the file's bytes.

HDF5 keeps such texts in heaps, and an element says how long its text is and where it lies. The HDF5 library
believes both: in a damaged file it takes gigabytes, or never comes back. Here every number is held against the
file's size first.

Source: The HDF Group, HDF5 File Format Specification 3.0, sections III.E (global heap) and VIII.A.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from equipoise.files import open_regular

__all__ = ["heap_texts"]

ELEMENT = struct.Struct("<IQI")  # length, address of the heap, number of the object in it
HEAP = struct.Struct("<4sB3xQ")  # signature, version, size
OBJECT = struct.Struct("<HH4xQ")  # number, references, size
UNSET = 0, (1 << 64) - 1
DEFLATE, SHUFFLE = 1, 2
Heap = dict[int, tuple[int, int]]


def heap_texts(item: Any, most: int) -> list[bytes]:
    """The texts of a data set of texts of any length, a row each.

    Args:
        item: An h5py.Dataset, checked to lie within its file.
        most: Bytes that all texts may have.

    Raises:
        ValueError: if the file is damaged, or the texts are stored in a way that is not read here.
    """
    if item.file.id.get_create_plist().get_sizes() != (8, 8) or item.file.userblock_size:
        raise ValueError("addresses of another size or begin than HDF5's usual ones")
    heaps: dict[int, Heap] = {}
    texts: list[bytes] = []
    with open_regular(item.file.filename) as file:
        for length, address, number in ELEMENT.iter_unpack(_elements(item, file)):
            if not length or address in UNSET:
                texts.append(b"")
                continue
            if address not in heaps:
                heaps[address] = dict(_objects(file, address, item.file.id.get_filesize()))
            start, size = heaps[address].get(number, (0, -1))
            most -= length
            if length > size or most < 0:
                raise ValueError(f"a text of {length:,} bytes where there are {max(size, 0):,}")
            file.seek(start)
            texts.append(file.read(length).split(b"\0", 1)[0])
    return texts


def _elements(item: Any, file: Any) -> bytes:
    """The elements as stored: `ELEMENT` each."""
    count, size = item.size, ELEMENT.size
    if item.chunks is None:
        place = item.id.get_offset()
        if place is None:
            raise ValueError("texts stored in a header")
        file.seek(place)
        return _of_length(file.read(count * size), count * size)
    if item.ndim != 1:
        raise ValueError("texts in chunks of more than one dimension")
    out = bytearray(count * size)
    found: list[Any] = []
    item.id.chunk_iter(found.append)
    whole = item.chunks[0] * size
    for chunk in found:
        file.seek(chunk.byte_offset)
        content = _of_length(_unpacked(file.read(chunk.size), item, whole, chunk.filter_mask), whole)
        begin = chunk.chunk_offset[0] * size
        out[begin : begin + whole] = content[: max(0, len(out) - begin)]
    return bytes(out[: count * size])


def _unpacked(content: bytes, item: Any, whole: int, skipped: int) -> bytes:
    made = item.id.get_create_plist()
    for index in reversed(range(made.get_nfilters())):
        kind = made.get_filter(index)[0]
        if skipped >> index & 1:
            continue
        if kind == DEFLATE:
            content = zlib.decompressobj().decompress(content, whole)
        elif kind == SHUFFLE:
            planes = np.frombuffer(_of_length(content, whole), np.uint8).reshape(ELEMENT.size, -1)
            content = planes.T.tobytes()
        else:
            raise ValueError(f"texts packed by filter {kind}")
    return content


def _of_length(content: bytes, length: int) -> bytes:
    if len(content) != length:
        raise ValueError(f"{len(content):,} bytes where {length:,} were said to be")
    return content


def _objects(file: Any, address: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Number, begin and size of what lies in a heap."""
    if address > end - HEAP.size:
        raise ValueError("a heap that lies outside the file")
    file.seek(address)
    signature, version, size = HEAP.unpack(file.read(HEAP.size))
    if signature != b"GCOL" or version != 1 or not HEAP.size <= size <= end - address:
        raise ValueError("a heap that is none")
    place, last = address + HEAP.size, address + size - OBJECT.size
    while place <= last:
        file.seek(place)
        number, _, held = OBJECT.unpack(file.read(OBJECT.size))
        place += OBJECT.size
        if not number:  # what is free, to the end
            return
        if held > address + size - place:
            raise ValueError("a text that reaches beyond its heap")
        yield number, (place, held)
        place += -(-held // 8) * 8
