"""Ordinary files in a tar archive that others wrote: found by its headers, read in place, never unpacked to disk."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from equipoise.data.text_file import regular
from equipoise.errors import DataError

__all__ = ["Member", "members"]

MOST_HEADER = 1 << 20  # bytes of a long name or of extended headers
PIECE = 1 << 20
BLOCK = tarfile.BLOCKSIZE


class Member(NamedTuple):
    """A file in an archive: its name, and where its bytes are."""

    name: str
    start: int
    size: int


def members(path: Path, left_out: Counter[str]) -> Iterator[Member]:
    """The ordinary files of an archive, in its order.

    Args:
        path: The archive, not compressed.
        left_out: Counts links, devices and the like, which are never followed.

    Raises:
        DataError: if it is no tar archive, is damaged, ends too early, or goes on after its end.
    """
    try:
        with open(regular(path), "rb") as file, tarfile.open(fileobj=_Bounded(file), mode="r:") as archive:  # type: ignore[call-overload]
            size, before = path.stat().st_size, 0
            while (member := archive.next()) is not None:
                archive.members.clear()  # it keeps all of them otherwise
                if not before < archive.offset <= size or member.size < 0:
                    raise tarfile.ReadError(
                        f"{member.name!r} of {member.size:,} bytes ends outside of the file"
                    )
                before = archive.offset
                if member.isreg() and not member.issparse():
                    yield Member(member.name, member.offset_data, member.size)
                elif not member.isdir():
                    left_out["links and special files"] += 1
            _check_end(file, archive.offset)
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        packed = " (a compressed archive: unpack it with gunzip, unxz or zstd)" if _packed(path) else ""
        raise DataError(
            f"Expected a whole tar archive at {path}; got: {error}{packed}. Write or download it again."
        ) from error


class _Bounded:
    """A file of which only headers are read."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes, more than {MOST_HEADER:,}")
        data: bytes = self.file.read(size)
        return data


def _check_end(file: Any, place: int) -> None:
    """An archive ends with blocks of zeros; Python's reader takes a damaged header for the end as well."""
    file.seek(place)
    if file.read(BLOCK) != bytes(BLOCK):
        raise tarfile.ReadError(
            f"no end of the archive at byte {place:,}, but a damaged header or the file's end"
        )
    while piece := file.read(PIECE):
        if piece.count(0) < len(piece):
            raise tarfile.ReadError("bytes after the end of the archive; archives cannot be joined by cat")


def _packed(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
