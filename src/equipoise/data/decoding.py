"""Many pictures decoded by threads, in the order of their source, a few blocks in memory at a time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from equipoise.data.blocks import digest_images
from equipoise.data.source import Source
from equipoise.errors import DataError, EquipoiseError
from equipoise.pictures.decode import MAX_BYTES, Content, Unreadable, decoded, encoded
from equipoise.pictures.framing import Framing
from equipoise.pictures.memory import Budget
from equipoise.processors import available

__all__ = ["READING", "Made", "Making", "file_bytes", "made", "processors", "quiet"]

BLOCK = 64  # pictures a task, fewer where they are large
BLOCK_BYTES = 16 << 20
READING = Budget(MAX_BYTES)  # bytes of files, of all workers together


@dataclass(frozen=True)
class Making:
    """What is made of pictures.

    Args:
        framing: How they become squares.
        channels: 3 for RGB, 1 for grey.
        keep: "pixels", "bytes" (of their files), or "nothing": digests alone.
    """

    framing: Framing
    channels: int
    keep: str = "pixels"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a picture's pixels."""
        return self.framing.size, self.framing.size, self.channels


class Made(NamedTuple):
    """Pictures of a block, one after another.

    Args:
        images: Those that can be decoded, if pixels are kept; shape (k, size, size, channels).
        files: The bytes of each picture's file, empty if it cannot be decoded; if bytes are kept.
        digests: Of the pixels of those that can be decoded, shape (k,).
        contents: A digest of each picture before it was decoded.
        reasons: Of each picture why it cannot be decoded; None if it can.
        remarks: What was done to pictures.
    """

    images: NDArray[np.uint8]
    files: Sequence[bytes]
    digests: NDArray[np.uint64]
    contents: Sequence[bytes]
    reasons: Sequence[str | None]
    remarks: Sequence[str]


def made(source: Source, making: Making, workers: int) -> Generator[Made, None, None]:
    """Blocks in the order of the source, whatever the number of workers.

    Raises:
        DataError: if the source cannot be read to its end.
    """
    most = max(1, min(BLOCK, BLOCK_BYTES // int(np.prod(making.shape))))
    with quiet(), ThreadPoolExecutor(workers, "equipoise-decode") as pool:
        running: deque[Future[Made]] = deque()
        try:
            for task in _tasks(_read(source), most, files=making.keep == "bytes"):
                running.append(pool.submit(_made, task, making))
                if len(running) > 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _read(source: Source) -> Iterator[Content]:
    try:
        yield from source.contents()
    except (OSError, ValueError) as error:  # pyarrow and h5py: a broken block inside a file
        if isinstance(error, EquipoiseError):
            raise
        files = ", ".join(map(str, (source.files or [source.format])[:3]))
        raise DataError(f"Expected to read {files} to the end; got: {error}. Is the file whole?") from error


def _tasks(contents: Iterator[Content], most: int = BLOCK, *, files: bool = False) -> Iterator[list[Content]]:
    """At most so many pictures, and not many bytes; those of files count where they will be held."""
    task: list[Content] = []
    held = 0
    for content in contents:
        task.append(content)
        held += _memory_bytes(content) + (file_bytes(content) if files else 0)
        if len(task) == most or held > BLOCK_BYTES:
            yield task
            task, held = [], 0
    if task:
        yield task


def _memory_bytes(content: Content) -> int:
    if isinstance(content, Image.Image):
        return content.width * content.height * len(content.getbands())
    return 0 if isinstance(content, Path) else len(content) if isinstance(content, bytes) else content.nbytes


def _made(task: Sequence[Content], making: Making) -> Made:
    pixels = making.keep == "pixels"
    images = np.empty((len(task) if pixels else 1, *making.shape), np.uint8)
    files: list[bytes] = []
    digests: list[NDArray[np.uint64]] = []
    contents: list[bytes] = []
    reasons: list[str | None] = []
    remarks: list[str] = []
    for content in task:
        digest, said = b"?", set[str]()
        data: Any = b""
        place = len(digests) if pixels else 0
        try:
            with READING.share(file_bytes(content)):
                data = encoded(content)
                digest = b"?" if isinstance(data, Image.Image) else _content_digest(data)
                images[place] = decoded(data, framing=making.framing, channels=making.channels, note=said.add)
                if isinstance(
                    data, Image.Image
                ):  # what it is depends on more than its pixels: profiles, turns
                    digest = _content_digest(images[place])
        except Unreadable as reason:
            reasons.append(str(reason))
            data = b""
        else:
            reasons.append(None)
            remarks += said
            digests.append(digest_images(images[place : place + 1]))
        contents.append(digest)
        if making.keep == "bytes":
            files.append(data)
    found = np.concatenate([*digests, np.zeros(0, np.uint64)])
    return Made(images[: len(digests) if pixels else 0], files, found, contents, reasons, remarks)


def file_bytes(content: Content) -> int:
    """What reading it will hold; what is in memory already counts no more."""
    try:
        return min(os.stat(content).st_size, MAX_BYTES) if isinstance(content, Path) else 0
    except (OSError, ValueError):  # which reading it will say
        return 0


def _content_digest(content: bytes | NDArray[np.uint8]) -> bytes:
    if isinstance(content, bytes):
        return hashlib.blake2b(content, digest_size=16).digest()
    shape = repr(content.shape).encode()
    return hashlib.blake2b(np.ascontiguousarray(content).data, digest_size=16, key=shape).digest()


def processors() -> int:
    """Threads that decode if nothing else is said."""
    return min(available(), 32)


class _Quiet:
    """Filters of warnings for as long as somebody wants them: one list of filters serves all threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted = 0
        self.filters: list[Any] = []

    def begin(self) -> None:
        with self.lock:
            self.wanted += 1
            if self.wanted > 1:
                return
            warnings.filterwarnings(
                "ignore", category=Image.DecompressionBombWarning
            )  # refused by `decoded` anyway
            warnings.filterwarnings("ignore", module=r"PIL\..*")
            self.filters = list(warnings.filters[:2])

    def end(self) -> None:
        with self.lock:
            self.wanted -= 1
            for found in () if self.wanted else self.filters:
                with contextlib.suppress(ValueError):  # somebody else has put other filters in their place
                    warnings.filters.remove(found)  # type: ignore[attr-defined]


_QUIET = _Quiet()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings of Pillow's in the block, in any thread: odd metadata is no news, pixels are what counts."""
    _QUIET.begin()
    try:
        yield
    finally:
        _QUIET.end()
