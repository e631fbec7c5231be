"""Where the pictures of a source lie, so that any of them can be read again: files, or pieces of larger files.

Both hold a few bytes a picture and travel to other processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.pictures.decode import MAX_BYTES, Content
from equipoise.pictures.unreadable import Unreadable

__all__ = ["Files", "Pieces", "Places"]


class Places(Protocol):
    """Pictures by their row in a source."""

    def __len__(self) -> int: ...

    def content(self, row: int) -> Content:
        """A picture before it is decoded.

        Raises:
            Unreadable: if it is not there any more.
        """
        ...

    def name(self, row: int) -> str:
        """What to call a picture in a message."""
        ...


class Files:
    """A file a picture."""

    def __init__(self, files: Sequence[Path | str]) -> None:
        names = [os.fsencode(file) for file in files]
        self.names = b"".join(names)
        self.ends = np.cumsum([0, *map(len, names)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def content(self, row: int) -> Content:
        """The file's path."""
        return Path(self.name(row))

    def name(self, row: int) -> str:
        """The file's path."""
        return os.fsdecode(self.names[self.ends[row] : self.ends[row + 1]])


class Pieces:
    """Bytes of larger files.

    Args:
        files: The files.
        pieces: Of each picture which file, the first byte and the number of bytes.
    """

    def __init__(self, files: Sequence[Path | str], pieces: Iterator[tuple[int, int, int]]) -> None:
        self.files = tuple(map(str, files))
        self.pieces: NDArray[np.int64] = np.fromiter(pieces, np.dtype((np.int64, 3)))

    def __len__(self) -> int:
        return len(self.pieces)

    def content(self, row: int) -> Content:
        """Its bytes; of more than any picture has, enough to be refused."""
        file, start, size = self.pieces[row].tolist()
        try:
            with open(self.files[file], "rb") as opened:
                opened.seek(start)
                return opened.read(min(size, MAX_BYTES + 1))
        except OSError as error:
            raise Unreadable(f"{self.files[file]} cannot be read: {error.strerror or error}") from None

    def name(self, row: int) -> str:
        """Its file and place in it."""
        file, start, _ = self.pieces[row].tolist()
        return f"{self.files[file]} from byte {start:,}"
