"""Sets of pictures drawn by plan, several at a time, and kept: the same plan gives the same pictures."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equipoise.data.blocks import digest_images
from equipoise.data.cache import appearing, cache_folder, place, remove, seal, sound
from equipoise.data.drawing import any_heads, draw, load_styles
from equipoise.data.table import ImageTable
from equipoise.errors import InputError
from equipoise.files import reserve
from equipoise.processors import available
from equipoise.seeds import child_seed

__all__ = ["DRAWING", "check_drawn", "choices", "drawn"]

DRAWING = 4  # goes up when the same arguments give other pictures
CHUNK = 250  # images a process draws at a time


def check_drawn(images: int, size: int, workers: int | None) -> None:
    """Whether a set of that size can be drawn.

    Raises:
        InputError: if not.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}. None takes one a core.")
    if images < 20:
        raise InputError(f"The embedded set needs at least 20 images; got {images}. Ask for more.")
    if not 16 <= size <= 512:
        raise InputError(f"size must be 16…512 pixels a side; got {size}. 64 is usual.")


def choices(rng: np.random.Generator, shares: Mapping[str, float], count: int) -> NDArray[Any]:
    """Values drawn by their shares, shape (count,)."""
    return rng.choice(list(shares), count, p=np.array(list(shares.values())) / sum(shares.values())).astype(
        object
    )


def drawn(
    key: Mapping[str, Any],
    plan: Callable[[], dict[str, Any]],
    *,
    name: str,
    classes: Mapping[str, int] | None = None,
    cache: str | os.PathLike[str] | None,
    workers: int | None,
) -> ImageTable:
    """The pictures of a plan, from the cache if they lie there.

    Args:
        key: All that the plan follows from, with `size` and `seed`.
        plan: Gives every drawing parameter of every image, shape (images,), and `truth`, its class id; it may give
            `noisy_label` and `bad_picture`, whether its label is wrong and whether it shows nothing.
        name: Of the set; the start of its paths, and its folder in the cache.
        classes: Class name → id, if they have names.
        cache: Folder to keep the drawn set in; None takes the user's cache folder.
        workers: Processes that draw; None takes one a core.
    """
    key = {"drawing": DRAWING, **key}
    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=10).hexdigest()
    folder = cache_folder(cache) / name / digest
    if folder.is_dir():
        if sound(folder):
            return _read(folder, classes)
        remove(folder)  # damaged: draw it again
    with appearing(folder.parent) as building:
        _draw_all(plan(), key["size"], key["seed"], building, name, workers or available())
        seal(building)
        place(building, folder)
    return _read(folder, classes)


def _draw_all(plan: dict[str, Any], size: int, seed: int, building: Path, name: str, workers: int) -> None:
    images = len(plan["truth"])
    pixels = np.lib.format.open_memmap(building / "images.npy", "w+", np.uint8, (images, size, size, 3))
    reserve(building / "images.npy")
    starts = range(0, images, CHUNK)
    parts = [{key: values[start : start + CHUNK] for key, values in plan.items()} for start in starts]
    seeds = [child_seed(seed, name, "chunk", start) for start in starts]
    chunk = partial(_draw_chunk, size=size)
    digests = []
    with contextlib.ExitStack() as stack:
        blocks: Iterable[NDArray[np.uint8]]
        if workers == 1 or len(parts) == 1:
            blocks = map(chunk, parts, seeds)
        else:
            # Forked where that is safe: a script needs no `if __name__ == "__main__"`, and styles are read once.
            context = get_context("fork" if sys.platform == "linux" else None)
            load_styles()
            pool = ProcessPoolExecutor(min(workers, len(parts)), context, initializer=_leave_interrupts)
            stack.callback(pool.shutdown, cancel_futures=True)
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
            blocks = pool.map(chunk, parts, seeds)
        for start, block in zip(starts, blocks, strict=True):
            pixels[start : start + len(block)] = block
            digests.append(digest_images(block))
    pixels.flush()
    np.save(building / "digests.npy", np.concatenate(digests))
    columns = {key: pa.array(values.tolist()) for key, values in plan.items() if key != "truth"}
    columns["path"] = pa.array([f"{name}/{row:06d}" for row in range(images)])
    wrong = plan.get("noisy_label", False)
    columns["label"] = pa.array(np.where(wrong, 1 - plan["truth"], plan["truth"]))
    pq.write_table(pa.table(columns), building / "table.parquet")


def _draw_chunk(plan: dict[str, Any], seed: int, *, size: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    rows = range(len(plan["truth"]))
    heads = any_heads(max(4, len(rows) // 12), size, rng)
    return np.stack(
        [draw({name: values[row] for name, values in plan.items()}, heads, size, rng) for row in rows]
    )


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that asked for pictures; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read(folder: Path, classes: Mapping[str, int] | None) -> ImageTable:
    pixels = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    table = pq.read_table(folder / "table.parquet")
    return ImageTable(
        (pixels,),
        np.arange(len(pixels), dtype=np.int64),
        table.column("label").to_numpy().astype(np.int64),
        table.drop_columns(["label"]),
        np.load(folder / "digests.npy", allow_pickle=False),
        classes=dict(classes or {}),
    )
