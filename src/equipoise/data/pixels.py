"""Decode once: the pictures of a source as a memory-mapped block of uint8, kept in the cache.

The cache has two floors. `index/` maps what the source's files look like from outside (names, sizes, times of
change, a sample of their contents) to a fingerprint of all they hold, so that a second start decodes nothing.
`pixels/<fingerprint>/` holds the pixels, so that a copied or touched source is decoded again but kept once;
what is not as it was written, or does not belong to the source, is built again. A source in memory has no outside:
it is decoded each time, and kept once. Labels and attributes are
not cached: they are read from the source each time, so an edited label counts at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from equipoise.data.cache import appearing, cache_folder, changes_of, place, remove, seal, sound
from equipoise.data.source import Source
from equipoise.data.table import digest_images
from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.files import open_regular, read_bytes, write_json
from equipoise.pictures.decode import MAX_BYTES, Content, Unreadable, decoded, encoded
from equipoise.pictures.depth import DARK, SCALED
from equipoise.pictures.memory import Budget

__all__ = ["Pixels", "Progress", "pixels_of"]

VERSION = 3  # of the cache and of what pictures/decode.py decides: raise it when either changes
BLOCK = 64  # pictures a task, fewer where they are large
BLOCK_BYTES = 16 << 20
PROBES = 16  # pictures checked against their digest when a cache is opened
SAMPLES = 64  # places of a source whose content is looked at when it is opened
SAMPLE_BYTES = 4096
READING = Budget(MAX_BYTES)  # bytes of files, of all workers together

Progress = Callable[[int, int], None]
"""Called with the number of pictures done and of all."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Decoded pictures of a source.

    Args:
        images: Memory-mapped, shape (k, size, size, channels).
        digests: Of each image, shape (k,).
        kept: Which pictures of the source these are, shape (k,).
        rejected: The others, with the reason.
        remarks: What was done to how many of them beyond shape and size.
    """

    images: NDArray[np.uint8]
    digests: NDArray[np.uint64]
    kept: NDArray[np.int64]
    rejected: tuple[tuple[int, str], ...]
    remarks: tuple[tuple[str, int], ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The remarks in words; pictures of 16 bits that are dark are worth a word only if all are."""
        counts = Counter(dict(self.remarks))
        dark = {text: counts.pop(text) for text in DARK if text in counts}
        if dark:
            count, most = sum(dark.values()), max((1 << DARK[text]) - 1 for text in dark)
            text = SCALED
            if SCALED not in counts:
                text += (
                    f", and none of their values is above {most:,} of 65,535: they are nearly black. If another value "
                    "is white, write it into the files: chunk sBIT of PNG (12 = up to 4,095), tag SMaxSampleValue of "
                    "TIFF, maxval of PGM"
                )
            counts[text] += count
        return tuple(
            f"{count} of {len(self.kept)} pictures: {text}." for text, count in sorted(counts.items())
        )


def pixels_of(
    source: Source,
    *,
    image_size: int,
    channels: int,
    cache: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Pixels:
    """Decode the pictures of a source, or find them in the cache.

    Args:
        source: What a reader found.
        image_size: Pixels a side.
        channels: 3 for RGB, 1 for grey.
        cache: The cache's folder; see `cache_folder`.
        workers: Threads that decode; one a processor by default. The result does not depend on it.
        progress: Called after every block.

    Raises:
        InputError: if a setting is out of range.
        DataError: if the cache cannot be written.
    """
    if image_size < 4 or channels not in (1, 3) or (workers is not None and workers < 1):
        raise InputError(
            "Expected image_size ≥ 4, channels 1 or 3, workers ≥ 1; got "
            f"image_size={image_size}, channels={channels}, workers={workers}. Change the setting."
        )
    folder = cache_folder(cache)
    shape = (image_size, image_size, channels)
    if source.files is not None:
        outside = _outside(source, source.files, shape)
        index = folder / "index" / f"{outside}.json"
        found = _indexed(index)
        if found and (pixels := _open(folder / "pixels" / found, shape, len(source.paths))) is not None:
            return pixels
    fingerprint = _build(source, folder / "pixels", shape, workers or _processors(), progress)
    if source.files is not None:
        write_json(index, {"pixels": fingerprint, "check": _check(outside, fingerprint)})
    opened = _open(folder / "pixels" / fingerprint, shape, len(source.paths))
    if opened is None:
        raise DataError(
            f"Expected the pictures just written to {folder / 'pixels' / fingerprint}; got something else. "
            "Something changes the cache: choose another folder with the option cache."
        )
    return opened


def _outside(source: Source, files: Sequence[Path | str], shape: tuple[int, int, int]) -> str:
    """Digest of what can be told without decoding a picture."""
    digest = hashlib.blake2b(repr((VERSION, source.format, shape)).encode(), digest_size=16)
    for path in source.paths:
        digest.update(f"{path}\0".encode(errors="surrogateescape"))
    for file in files:
        try:
            seen = f"{file}\0{changes_of(file)}\0"
        except (OSError, ValueError):
            seen = f"{file}\0missing\0"
        digest.update(seen.encode(errors="surrogateescape"))
    for piece in _samples(files):
        digest.update(piece)
    return digest.hexdigest()


def _samples(files: Sequence[Path | str]) -> Iterator[bytes]:
    """Pieces of some files, from the first to the last: none of one that cannot be read, as decoding will say."""
    count = max(2, SAMPLES // max(1, len(files)))
    for row in dict.fromkeys(np.linspace(0, max(0, len(files) - 1), SAMPLES).astype(int)):
        yield from _pieces(files[row], count) if files else ()


def _pieces(path: Path | str, count: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError), open_regular(path) as file:
        last = max(0, os.fstat(file.fileno()).st_size - SAMPLE_BYTES)
        for place in np.unique(np.linspace(0, last, count).astype(int)):
            file.seek(place)
            yield file.read(SAMPLE_BYTES)


def _check(outside: str, fingerprint: str) -> str:
    return hashlib.blake2b(f"{outside} {fingerprint}".encode(), digest_size=16).hexdigest()


def _indexed(index: Path) -> str | None:
    try:
        content = json.loads(read_bytes(index))
        found, check = content["pixels"], content["check"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) and check == _check(index.stem, found) else None


def _open(entry: Path, shape: tuple[int, int, int], pictures: int) -> Pixels | None:
    """What a folder of the cache holds; None if it is not there, not whole or not sound."""
    try:
        if not sound(entry):
            return None
        digests = np.load(entry / "digests.npy", allow_pickle=False)
        kept = np.load(entry / "kept.npy", allow_pickle=False)
        rejected = tuple(
            (int(row), str(reason)) for row, reason in json.loads(read_bytes(entry / "rejected.json"))
        )
        remarks = tuple(
            (str(text), int(count)) for text, count in json.loads(read_bytes(entry / "remarks.json"))
        )
        rows = np.sort(np.concatenate([kept, [row for row, _ in rejected]]))
        size = (entry / "images.u8").stat().st_size
        if not np.array_equal(rows, np.arange(pictures)) or np.any(np.diff(kept) < 1):
            return None
        if digests.shape != kept.shape or size != len(digests) * np.prod(shape):
            return None
        if not len(digests):
            images: NDArray[np.uint8] = np.zeros((0, *shape), np.uint8)
        else:
            images = np.memmap(entry / "images.u8", np.uint8, "r", shape=(len(digests), *shape))
        probes = np.unique(np.linspace(0, max(len(digests) - 1, 0), PROBES).astype(int))[: len(digests)]
        if not np.array_equal(digest_images(images[probes]), digests[probes]):
            return None
        return Pixels(images, digests, kept.astype(np.int64), rejected, remarks)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _build(
    source: Source, parent: Path, shape: tuple[int, int, int], workers: int, progress: Progress | None
) -> str:
    """Decode everything into a new folder of the cache; returns its name, a fingerprint of the contents."""
    contents = hashlib.blake2b(repr((VERSION, shape)).encode(), digest_size=16)
    digests: list[NDArray[np.uint64]] = []
    kept: list[int] = []
    rejected: list[tuple[int, str]] = []
    remarks: Counter[str] = Counter()
    done = 0
    with appearing(parent) as building:
        with open(building / "images.u8", "wb") as file, contextlib.ExitStack() as stack:
            for block in stack.enter_context(contextlib.closing(_blocks(source, shape, workers))):
                file.write(block.images.data)
                digests.append(block.digests)
                remarks.update(block.remarks)
                for content, reason in zip(block.contents, block.reasons, strict=True):
                    contents.update(content)
                    if reason is None:
                        kept.append(done)
                    else:
                        rejected.append((done, reason))
                    done += 1
                if progress is not None:
                    progress(done, len(source.paths))
        if done != len(source.paths):
            raise DataError(
                f"Expected {len(source.paths)} pictures in the source ({source.format}); got {done}. "
                "Did its files change meanwhile? Start again."
            )
        np.save(building / "digests.npy", np.concatenate([*digests, np.zeros(0, np.uint64)]))
        np.save(building / "kept.npy", np.asarray(kept, np.int64))
        write_json(building / "rejected.json", rejected)
        write_json(building / "remarks.json", sorted(remarks.items()))
        seal(building)
        target = parent / contents.hexdigest()
        if target.exists() and _open(target, shape, done) is None:
            remove(target)
        place(building, target)
    return target.name


def _tasks(contents: Iterator[Content]) -> Iterator[list[Content]]:
    task: list[Content] = []
    held = 0
    for content in contents:
        task.append(content)
        held += _memory_bytes(content)
        if len(task) == BLOCK or held > BLOCK_BYTES:
            yield task
            task, held = [], 0
    if task:
        yield task


def _memory_bytes(content: Content) -> int:
    if isinstance(content, Image.Image):
        return content.width * content.height * len(content.getbands())
    return 0 if isinstance(content, Path) else len(content) if isinstance(content, bytes) else content.nbytes


def _read(source: Source) -> Iterator[Content]:
    try:
        yield from source.contents()
    except (OSError, ValueError) as error:  # pyarrow and h5py: a broken block inside a file
        if isinstance(error, EquipoiseError):
            raise
        files = ", ".join(map(str, (source.files or [source.format])[:3]))
        raise DataError(f"Expected to read {files} to the end; got: {error}. Is the file whole?") from error


class _Block(NamedTuple):
    images: NDArray[np.uint8]
    digests: NDArray[np.uint64]
    contents: Sequence[bytes]  # a digest a picture
    reasons: Sequence[str | None]
    remarks: Sequence[str]


def _blocks(source: Source, shape: tuple[int, int, int], workers: int) -> Generator[_Block, None, None]:
    """Blocks in the order of the source; only a few are in memory at a time."""
    with warnings.catch_warnings(), ThreadPoolExecutor(workers, "equipoise-decode") as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused by `decoded` anyway
        warnings.filterwarnings("ignore", module=r"PIL\..*")  # odd metadata; pixels are what counts
        running: deque[Future[_Block]] = deque()
        try:
            for task in _tasks(_read(source)):
                running.append(pool.submit(_decode, task, shape))
                if len(running) > 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _decode(task: Sequence[Content], shape: tuple[int, int, int]) -> _Block:
    images = np.empty((len(task), *shape), np.uint8)
    contents: list[bytes] = []
    reasons: list[str | None] = []
    remarks: list[str] = []
    count = 0
    for content in task:
        digest, said = b"?", set[str]()
        try:
            with READING.share(_file_bytes(content)):
                data: Any = encoded(content)
                digest = b"?" if isinstance(data, Image.Image) else _content_digest(data)
                images[count] = decoded(data, size=shape[0], channels=shape[2], note=said.add)
                if isinstance(
                    data, Image.Image
                ):  # what it is depends on more than its pixels: profiles, turns
                    digest = _content_digest(images[count])
        except Unreadable as reason:
            reasons.append(str(reason))
        else:
            reasons.append(None)
            remarks += said
            count += 1
        contents.append(digest)
    images = images[:count]
    return _Block(images, digest_images(images), contents, reasons, remarks)


def _file_bytes(content: Content) -> int:
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


def _processors() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, 32)
