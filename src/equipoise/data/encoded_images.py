"""`EncodedImages`: pictures that stay as they are stored and are decoded by threads when rows of them are asked for."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from equipoise.data.arrays import UInt8Images
from equipoise.data.blocks import digest_images
from equipoise.data.decoding import READING, file_bytes, processors, quiet
from equipoise.data.places import Places
from equipoise.errors import DataError
from equipoise.pictures.decode import decoded, encoded
from equipoise.pictures.framing import Framing
from equipoise.pictures.unreadable import Unreadable

__all__ = ["EncodedImages"]

AT_ONCE = 8  # pictures a task, fewer where there are few


class EncodedImages:
    """A block of pictures that takes no memory: shape (k, size, size, channels) of uint8, decoded row by row.

    Every picture is checked against the digest that it had when the source was read.

    Args:
        places: Where the pictures of the source lie.
        rows: Which of them these are, shape (k,).
        digests: Of their pixels, shape (k,).
        framing: How they become squares.
        channels: 3 for RGB, 1 for grey.
        workers: Threads that decode; one a processor if None. Nothing but the time depends on it.
    """

    dtype: np.dtype[np.uint8] = np.dtype(np.uint8)

    def __init__(
        self,
        places: Places,
        rows: NDArray[np.int64],
        digests: NDArray[np.uint64],
        *,
        framing: Framing,
        channels: int,
        workers: int | None = None,
    ) -> None:
        self.places, self.rows, self.digests = places, rows, digests
        self.framing, self.channels, self.workers = framing, channels, workers
        self.shape: tuple[int, ...] = (len(rows), framing.size, framing.size, channels)

    def __len__(self) -> int:
        return len(self.rows)

    def gathered(self, rows: NDArray[np.int64]) -> UInt8Images:
        """Some pictures, shape (b, size, size, channels), in the order asked for; one asked for twice is decoded once.

        Raises:
            DataError: if a picture is not there any more, or is another one than when the source was read.
        """
        asked, again = np.unique(rows, return_inverse=True)
        out = np.empty((len(asked), *self.shape[1:]), np.uint8)
        workers = self.workers or processors()
        each = max(1, min(AT_ONCE, -(-len(asked) // workers)))
        tasks = [slice(start, min(start + each, len(asked))) for start in range(0, len(asked), each)]
        with quiet():
            if workers == 1 or len(tasks) == 1:
                for task in tasks:
                    self._fill(out, asked, task)
            else:
                pool = _pool(os.getpid(), workers)
                running = [pool.submit(self._fill, out, asked, task) for task in tasks]
                try:
                    for future in running:
                        future.result()
                finally:
                    for future in running:
                        future.cancel()
        whole: UInt8Images = out if np.array_equal(asked, rows) else out[again.reshape(-1)]
        return whole

    def _fill(self, out: UInt8Images, rows: NDArray[np.int64], task: slice) -> None:
        for place in range(task.start, task.stop):
            out[place] = self._decoded(int(rows[place]))

    def _decoded(self, row: int) -> UInt8Images:
        place = int(self.rows[row])
        try:
            content = self.places.content(place)
            with READING.share(file_bytes(content)):
                pixels = decoded(encoded(content), framing=self.framing, channels=self.channels)
        except Unreadable as reason:
            raise self._changed(place, str(reason)) from reason
        if digest_images(pixels[None])[0] != self.digests[row]:
            raise self._changed(place, "other pixels")
        return pixels

    def _changed(self, place: int, what: str) -> DataError:
        return DataError(
            f"Expected picture {place} of the source, {self.places.name(place)}, as it was when it was read; got: "
            f"{what}. It is decoded whenever it is needed: leave the pictures where they are, and start again."
        )


@functools.lru_cache(maxsize=2)
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """Threads of this process: those of a process that was forked stay behind."""
    return ThreadPoolExecutor(workers, f"equipoise-decode-{process}")
