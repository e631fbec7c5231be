"""Decode once: the pictures of a source as a memory-mapped block of uint8, kept in the cache, where they fit.

Where they need more of the disk than they may (`cache_limit`), all are decoded once to know what cannot be, and the
digests of the pixels, which are kept; the pictures themselves stay encoded. So equal pictures have equal digests in
both ways, and a table has one fingerprint.

The cache has two floors. `index/` maps what the source's files look like from outside (names, sizes, times of
change, a sample of their contents) to a fingerprint of all they hold, so that a second start decodes nothing.
`pixels/<fingerprint>/` holds the pixels (or the bytes of files that cannot be read one by one again, or neither), so
that a copied or touched source is decoded again but kept once; what is not as it was written, or does not belong to the
source, is built again. A source in memory has no outside: it is decoded each time, and kept once. Labels and attributes
are not cached: they are read from the source each time, so an edited label counts at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data.blocks import Block, digest_images
from equipoise.data.cache import appearing, cache_folder, changes_of, place, remove, seal, sound
from equipoise.data.cache_limit import allowed_bytes, in_words
from equipoise.data.decoding import Made, Making, made, processors
from equipoise.data.encoded_images import EncodedImages
from equipoise.data.places import Pieces
from equipoise.data.source import Source
from equipoise.errors import DataError, InputError
from equipoise.files import open_regular, read_bytes, write_json
from equipoise.pictures.decode import MAX_PIXELS
from equipoise.pictures.depth import DARK, SCALED
from equipoise.pictures.framing import Framing

__all__ = ["Pixels", "Progress", "pixels_of"]

VERSION = 3  # of the cache and of what pictures/decode.py decides: raise it when either changes
PROBES = 16  # pictures checked against their digest when a cache is opened
SAMPLES = 64  # places of a source whose content is looked at when it is opened
SAMPLE_BYTES = 4096
PIXELS, FILES, ENDS = "images.u8", "files.bin", "ends.npy"

Progress = Callable[[int, int], None]
"""Called with the number of pictures done and of all."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Decoded pictures of a source.

    Args:
        images: Memory-mapped or encoded, shape (k, size, size, channels).
        digests: Of each image, shape (k,).
        kept: Which pictures of the source these are, shape (k,).
        rejected: The others, with the reason.
        remarks: What was done to how many of them beyond shape and size.
        staying: Why they stay encoded, in words; empty if pixels are kept.
    """

    images: Block
    digests: NDArray[np.uint64]
    kept: NDArray[np.int64]
    rejected: tuple[tuple[int, str], ...]
    remarks: tuple[tuple[str, int], ...] = ()
    staying: str = ""

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
        said = (f"{count} of {len(self.kept)} pictures: {text}." for text, count in sorted(counts.items()))
        return (*said, *filter(None, [self.staying]))


def pixels_of(
    source: Source,
    *,
    framing: Framing,
    channels: int,
    cache: str | os.PathLike[str] | None = None,
    cache_limit: str | float | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Pixels:
    """Decode the pictures of a source, or find them in the cache.

    Args:
        source: What a reader found.
        framing: How pictures become squares.
        channels: 3 for RGB, 1 for grey.
        cache: The cache's folder; see `cache_folder`.
        cache_limit: What the pictures may take of the disk; see `check_limit`. Pixels that are there already are taken
            whatever it is.
        workers: Threads that decode; one a processor by default. The result does not depend on it.
        progress: Called after every block.

    Raises:
        InputError: if a setting is out of range, or the pictures can only be kept, and not within the limit.
        DataError: if the cache cannot be written.
    """
    if channels not in (1, 3) or (workers is not None and workers < 1) or framing.size**2 > MAX_PIXELS:
        raise InputError(
            f"Expected channels 1 or 3, workers ≥ 1, at most {MAX_PIXELS:,} pixels an image; got channels={channels}, "
            f"workers={workers}, image_size={framing.size}. Change the setting."
        )
    folder = cache_folder(cache)
    making, staying = _making(source, Making(framing, channels), cache_limit, folder)
    if source.files is not None:
        outside = _outside(source, source.files, making)
        index = folder / "index" / f"{outside}.json"
        found = _indexed(index)
        pixels = _open(folder / "pixels" / found, making, source, workers) if found else None
        if pixels is not None and (isinstance(pixels.images, np.ndarray) or staying):
            return replace(pixels, staying="" if isinstance(pixels.images, np.ndarray) else staying)
    fingerprint = _build(source, folder / "pixels", making, workers, progress, cache_limit)
    if source.files is not None:
        write_json(index, {"pixels": fingerprint, "check": _check(outside, fingerprint)})
    opened = _open(folder / "pixels" / fingerprint, making, source, workers)
    if opened is None:
        raise DataError(
            f"Expected the pictures just written to {folder / 'pixels' / fingerprint}; got something else. "
            "Something changes the cache: choose another folder with the option cache."
        )
    return replace(opened, staying=staying)


def _making(source: Source, making: Making, limit: str | float | None, folder: Path) -> tuple[Making, str]:
    """What is kept of the pictures, and in words why it is not their pixels."""
    needed, allowed = len(source.paths) * int(np.prod(making.shape)), allowed_bytes(limit, folder)
    if needed <= allowed:
        return making, ""
    they = f"{in_words(needed)} as pixels, more than the {in_words(allowed)} of the disk that they may (`cache_limit`)"
    if source.places is None and not source.encoded:
        if limit is None:
            return making, ""
        raise InputError(
            f"Expected pictures that can be read again, or fewer; those of the source ({source.format}) would take "
            f"{they}. Raise it, take a smaller image_size, or give the pictures as files."
        )
    kept = "" if source.places is not None else ", and the bytes of their files are kept"
    return (
        replace(making, keep="bytes" if source.places is None else "nothing"),
        f"Pictures stay encoded and are decoded when they are needed{kept}: they would take {they}.",
    )


def _key(making: Making, *more: str) -> bytes:
    """What pictures become, as text; the usual framing is as it was before it had a name."""
    framed = () if making.framing.usual else (making.framing,)
    return repr((VERSION, *more, making.shape, *framed)).encode()


def _outside(source: Source, files: Sequence[Path | str], making: Making) -> str:
    """Digest of what can be told without decoding a picture."""
    digest = hashlib.blake2b(_key(making, source.format), digest_size=16)
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


def _open(entry: Path, making: Making, source: Source, workers: int | None) -> Pixels | None:
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
        if not np.array_equal(rows, np.arange(len(source.paths))) or np.any(np.diff(kept) < 1):
            return None
        if digests.shape != kept.shape:
            return None
        kept = kept.astype(np.int64)
        images: Block | None
        if (entry / PIXELS).exists():
            images = _mapped(entry / PIXELS, digests, making.shape)
        else:
            images = _encoded(entry, source, kept, digests, making, workers)
        return None if images is None else Pixels(images, digests, kept, rejected, remarks)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _mapped(file: Path, digests: NDArray[np.uint64], shape: tuple[int, int, int]) -> NDArray[np.uint8] | None:
    """The pixels in a file; None if they are not those of the digests, as far as a few tell."""
    if file.stat().st_size != len(digests) * np.prod(shape):
        return None
    images: NDArray[np.uint8] = np.zeros((0, *shape), np.uint8)
    if len(digests):
        images = np.memmap(file, np.uint8, "r", shape=(len(digests), *shape))
    probes = np.unique(np.linspace(0, max(len(digests) - 1, 0), PROBES).astype(int))[: len(digests)]
    return images if np.array_equal(digest_images(images[probes]), digests[probes]) else None


def _encoded(
    entry: Path,
    source: Source,
    kept: NDArray[np.int64],
    digests: NDArray[np.uint64],
    making: Making,
    workers: int | None,
) -> EncodedImages | None:
    """Pictures where they are, or in the bytes that the cache keeps; every one is checked when it is decoded."""
    how: dict[str, Any] = {"framing": making.framing, "channels": making.channels, "workers": workers}
    if source.places is not None:
        return EncodedImages(source.places(), kept, digests, **how)
    ends = np.load(entry / ENDS, allow_pickle=False)
    if ends.shape != (len(source.paths) + 1,) or (entry / FILES).stat().st_size != ends[-1]:
        return None
    pieces = zip([0] * len(source.paths), ends[:-1].tolist(), np.diff(ends).tolist(), strict=True)
    return EncodedImages(Pieces([entry / FILES], pieces), kept, digests, **how)


class _Contents:
    """What is written of a source's pictures while they are decoded."""

    def __init__(self, building: Path, making: Making, most: int) -> None:
        key = _key(making) if making.keep == "pixels" else _key(making, making.keep)
        self.contents = hashlib.blake2b(key, digest_size=16)
        self.building, self.making, self.most = building, making, most
        self.digests: list[NDArray[np.uint64]] = []
        self.kept: list[int] = []
        self.rejected: list[tuple[int, str]] = []
        self.remarks: Counter[str] = Counter()
        self.ends = [0]

    @property
    def done(self) -> int:
        """Pictures seen."""
        return len(self.kept) + len(self.rejected)

    def add(self, block: Made, file: Any) -> None:
        """Take a block; `file` takes what is kept of its pictures."""
        if self.making.keep == "pixels":
            file.write(block.images.data)
        for data in block.files:
            file.write(data)
            self.ends.append(self.ends[-1] + len(data))
        if self.ends[-1] > self.most:
            raise DataError(
                f"Expected pictures that may stay encoded within {in_words(self.most)} of the disk (`cache_limit`): "
                "their source cannot be read picture by picture, and a copy of their bytes takes more. Raise the "
                "limit, or give them as files or tar shards, which are read where they lie."
            )
        self.digests.append(block.digests)
        self.remarks.update(block.remarks)
        for content, reason in zip(block.contents, block.reasons, strict=True):
            self.contents.update(content)
            if reason is None:
                self.kept.append(self.done)
            else:
                self.rejected.append((self.done, reason))

    def finish(self) -> str:
        """Write the rest; the fingerprint of all."""
        np.save(self.building / "digests.npy", np.concatenate([*self.digests, np.zeros(0, np.uint64)]))
        np.save(self.building / "kept.npy", np.asarray(self.kept, np.int64))
        if self.making.keep == "bytes":
            np.save(self.building / ENDS, np.asarray(self.ends, np.int64))
        write_json(self.building / "rejected.json", self.rejected)
        write_json(self.building / "remarks.json", sorted(self.remarks.items()))
        seal(self.building)
        return self.contents.hexdigest()


def _build(
    source: Source,
    parent: Path,
    making: Making,
    workers: int | None,
    progress: Progress | None,
    limit: str | float | None,
) -> str:
    """Decode everything into a new folder of the cache; returns its name, a fingerprint of the contents."""
    most = allowed_bytes(limit, parent)
    names = {"pixels": PIXELS, "bytes": FILES}
    with appearing(parent) as building:
        found = _Contents(building, making, most)
        with contextlib.ExitStack() as stack:
            name = names.get(making.keep)
            file = stack.enter_context(open(building / name, "wb")) if name else None
            for block in stack.enter_context(
                contextlib.closing(made(source, making, workers or processors()))
            ):
                found.add(block, file)
                if progress is not None:
                    progress(found.done, len(source.paths))
        if found.done != len(source.paths):
            raise DataError(
                f"Expected {len(source.paths)} pictures in the source ({source.format}); got {found.done}. "
                "Did its files change meanwhile? Start again."
            )
        target = parent / found.finish()
        if target.exists() and _open(target, making, source, workers) is None:
            remove(target)
        place(building, target)
    return target.name
