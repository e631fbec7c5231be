"""Features once: one pass of a backbone over pictures, kept, so that everything after it costs seconds."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.nn.backbone import Backbone, Pass
from equipoise.nn.digest import digest_of
from equipoise.nn.embedding import vector_store
from equipoise.nn.feature_store import FeatureStore, Layout, Part, building, pictures_digest, stored
from equipoise.nn.folded import folded, near
from equipoise.nn.passes import HELD, affordable, home, placed, slices
from equipoise.nn.pixels import pixels

__all__ = [
    "Elsewhere",
    "Pace",
    "Pictures",
    "TooLargeError",
    "as_kept",
    "computed",
    "features",
    "kept_features",
    "usual_batch_size",
]

AHEAD = 2  # batches that are read while one is computed
LARGEST = (
    32 << 20
)  # bytes of a tensor on a CPU: larger ones come fresh from the system each time, which is slow
KEPT_S = 10.0  # between two notes of how far it is


class TooLargeError(InputError):
    """Features that float16 does not hold."""


class Pictures(Protocol):
    """Pictures by position, and what tells them from others, such as `data.ImageTable`."""

    @property
    def digests(self) -> NDArray[np.uint64]:
        """Content of each."""

    def __len__(self) -> int:
        """How many."""

    def batch(self, positions: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Some of them, uint8, shape (b, height, width, channels)."""


class Pace(NamedTuple):
    """How far a pass is.

    Args:
        done: Pictures, those of an earlier start included.
        total: Of so many.
        rate: Pictures a second.
        remaining: Seconds that are left at this rate.
        waiting: For another process, which is computing the same.
    """

    done: int
    total: int
    rate: float
    remaining: float
    waiting: bool = False

    def __str__(self) -> str:
        if self.waiting:
            return f"waiting for another process, which computes these {self.total:,} pictures"
        left = f"{self.remaining:.0f} s" if self.remaining < 120 else f"{self.remaining / 60:.0f} minutes"
        return f"{self.done:,} of {self.total:,} pictures, {self.rate:.0f} a second, {left} left"


class Elsewhere(Protocol):
    """Rows that other processes or machines compute."""

    @property
    def batch_size(self) -> int | None:
        """Pictures that go together where rows come in order, so that what came is gone on with; None: in any order."""

    def __call__(
        self, table: Any, layout: Layout, folder: Path | None, first: int, /
    ) -> Iterator[tuple[slice, Mapping[str, NDArray[Any]]]]:
        """Every row from `first` on once, in any order: where, and "features" of the layout's type, with "logits" where
        it has outputs. The folder is for what is to be gone on with; None keeps nothing."""

    def clear(self, folder: Path | None, /) -> None:
        """Remove what was kept: it is in the store."""


def features(
    backbone: Backbone,
    table: Pictures,
    *,
    cache: str | os.PathLike[str] | None = None,
    device: torch.device | None = None,
    batch_size: int | None = None,
    dtype: Literal["float16", "float32"] = "float16",
    told: Callable[[Pace], None] = lambda pace: None,
    elsewhere: Elsewhere | None = None,
) -> FeatureStore:
    """Features and logits of all pictures of a table, by one pass in evaluation mode; a second start reads them.

    Pictures are read ahead in a thread while the network works. What was computed before a start ended early is kept:
    the next start goes on there and gets the same bits. Where the labels are other ones, features stay the same.

    Args:
        backbone: It is left where and as it was.
        table: Pictures read as the backbone takes them.
        cache: Folder to keep them in, below `features/`; None keeps nothing. They are found again by the pictures and
            their order, the backbone's digest, framing and type.
        device: Where to run; None runs where the network is.
        batch_size: Pictures at a time; None takes what fits into memory, 512 at most; on a CPU, what keeps the largest
            tensor below 32 MiB.
        dtype: Of features. float16 has three digits and reaches 65,504.
        told: Called after each batch; once before, if another process is computing the same.
        elsewhere: Where rows are computed in place of this process; they are the same but for rounding, and are found
            again as if they had been computed here.

    Raises:
        InputError: if pictures are not as the backbone takes them, there are none, or features are not finite;
            `TooLargeError` if they are too large for their type.
        DataError: if they cannot be kept.

    Example:
        >>> from equipoise.data import ImageTable
        >>> table = ImageTable.from_arrays(np.zeros((5, 8, 8, 3), np.uint8), [0, 1, 0, 1, 0])
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4), torch.nn.Linear(4, 2))
        >>> store = features(Backbone.of(network, size=8), table)
        >>> store.features.shape, store.logits.shape
        ((5, 4), (5, 2))
    """
    if not len(table):
        raise InputError("Expected at least one picture; got none. Check where they come from.")
    if batch_size is not None and batch_size < 1:
        raise InputError(
            f"batch_size must be at least 1; got {batch_size}. Leave it out to let memory decide."
        )
    backbone.check_pictures(table)
    layout = _layout(backbone, table, dtype)

    def fill(part: Part) -> None:
        if elsewhere is None:
            _fill(part, backbone, table, device, batch_size, told)
        else:
            _gather(part, elsewhere, table, layout, told)

    if cache is None:
        logits = None if layout.outputs is None else vector_store(layout.rows, layout.outputs)
        part = Part(vector_store(layout.rows, layout.dimensions, dtype), logits)
        fill(part)
        return FeatureStore(part.features, part.logits, layout)
    folder = _folder(cache, layout, backbone, device)
    if (found := stored(folder, layout)) is not None:
        return found
    with building(folder, layout, lambda: told(Pace(0, len(table), 0.0, 0.0, True))) as begun:
        if isinstance(begun, FeatureStore):
            return begun
        fill(begun)
    done = stored(folder, layout)
    if done is None:
        raise InputError(f"Expected features in {folder}; they were taken away. Start again.")
    return done


def kept_features(
    backbone: Backbone,
    table: Pictures,
    *,
    cache: str | os.PathLike[str],
    device: torch.device | None = None,
    dtype: Literal["float16", "float32"] = "float16",
) -> FeatureStore | None:
    """What `features` would read, if an earlier start has made it."""
    layout = _layout(backbone, table, dtype)
    return stored(_folder(cache, layout, backbone, device), layout)


def computed(
    backbone: Backbone, table: Pictures, places: Iterable[slice], device: torch.device | None = None
) -> Generator[tuple[slice, Pass], None, None]:
    """What the network makes of some rows, batch by batch in order; the next are read meanwhile."""
    with placed(backbone.network, device) as where:
        quick = _quick(backbone)
        for place, some in _ahead(table, places):
            yield place, quick(pixels(_sent(some, where)))


def _sent(pictures: NDArray[np.uint8], where: torch.device) -> torch.Tensor:
    """On the device, or to a GPU on the way: from pinned memory the copy waits for nothing that runs there."""
    found = torch.from_numpy(pictures)
    return found.pin_memory().to(where, non_blocking=True) if where.type == "cuda" else found.to(where)


def as_kept(values: torch.Tensor, dtype: Any, name: str) -> NDArray[Any]:
    """Features in the type that they are kept in.

    Args:
        values: Single precision.
        dtype: float16 or float32.
        name: Of the backbone.

    Raises:
        TooLargeError: if it does not hold them.
    """
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        kept: NDArray[Any] = values.cpu().numpy().astype(dtype)
    if not np.isfinite(kept).all():
        raise TooLargeError(
            f"Features of {name} are larger than float16 holds, 65,504; got {float(values.abs().max()):.3g}. "
            "Keep them with dtype 'float32'."
        )
    return kept


def _fill(
    part: Part,
    backbone: Backbone,
    table: Pictures,
    device: torch.device | None,
    batch_size: int | None,
    told: Callable[[Pace], None],
) -> None:
    """Compute the rows that are missing."""
    if part.batch_size is None or batch_size not in (None, part.batch_size):
        part.batch_size, part.done = batch_size or usual_batch_size(backbone, table, device), 0
    first = part.done
    rest = (slice(one.start + first, one.stop + first) for one in slices(len(table) - first, part.batch_size))
    with _noting(part, told) as note, closing(computed(backbone, table, rest, device)) as batches:
        for place, found in batches:
            part.features[place] = as_kept(found.features, part.features.dtype, backbone.name)
            if part.logits is not None and found.logits is not None:
                part.logits[place] = found.logits.cpu().numpy()
            part.done = place.stop
            note(part.done)


@contextmanager
def _noting(part: Part, told: Callable[[Pace], None]) -> Iterator[Callable[[int], None]]:
    """Gives what is called with the number of rows that are there: it is told, and now and then kept how far it is."""
    first, total, began = part.done, len(part.features), time.perf_counter()
    noted = began

    def note(count: int) -> None:
        nonlocal noted
        now = time.perf_counter()
        rate = (count - first) / max(now - began, 1e-9)
        told(Pace(count, total, rate, (total - count) / rate))
        if part.done > first and now - noted > KEPT_S:
            part.keep()
            noted = now

    try:
        yield note
    except BaseException:  # an interruption too: what is there is kept
        if part.done > first:
            part.keep()
        raise


def _gather(
    part: Part,
    elsewhere: Elsewhere,
    table: Pictures,
    layout: Layout,
    told: Callable[[Pace], None],
) -> None:
    """Take the rows that are missing from elsewhere; what came is kept there until all are here."""
    count = part.done
    with _noting(part, told) as note:
        for place, columns in elsewhere(table, layout, part.folder, part.done):
            part.features[place] = columns["features"]
            if part.logits is not None:
                part.logits[place] = columns["logits"]
            count += place.stop - place.start
            if elsewhere.batch_size is not None:
                part.batch_size, part.done = elsewhere.batch_size, place.stop
            note(count)
    part.batch_size, part.done = part.batch_size or layout.rows, layout.rows
    part.keep()
    elsewhere.clear(part.folder)


def _quick(backbone: Backbone) -> Backbone:
    """The same with normalisation folded into convolutions, where features stay the same but for rounding."""
    example = backbone.example()
    devices = [example.device] if example.device.type == "cuda" else []
    with torch.random.fork_rng(
        devices=devices
    ):  # a network may draw, and shall draw the same as without this
        seen = backbone.preprocessing.normalised(example).to(home(backbone.network)[1])
        quick = folded(backbone.network, seen)
        if quick is backbone.network:
            return backbone
        found = replace(backbone, network=quick)
        return found if near(backbone(example).features, found(example).features) else backbone


def _ahead(table: Pictures, places: Iterable[slice]) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Batches in order, the next ones being read meanwhile."""
    reader = ThreadPoolExecutor(1, "pictures")
    waiting: deque[tuple[slice, Future[NDArray[np.uint8]]]] = deque()
    try:
        for place in places:
            waiting.append((place, reader.submit(table.batch, np.arange(place.start, place.stop))))
            if len(waiting) > AHEAD:
                first, read = waiting.popleft()
                yield first, read.result()
        while waiting:
            first, read = waiting.popleft()
            yield first, read.result()
    finally:
        reader.shutdown(cancel_futures=True)


def usual_batch_size(backbone: Backbone, table: Pictures, device: torch.device | None) -> int:
    """Pictures at a time that `features` takes where none is said."""
    where = device or home(backbone.network)[0]
    options = {"memory": HELD * LARGEST} if where.type == "cpu" else {}
    return affordable(backbone.network, table, device=device, **options)


def _layout(backbone: Backbone, table: Pictures, dtype: str) -> Layout:
    size = len(table), backbone.dimensions, backbone.outputs
    return Layout(*size, dtype, backbone.digest, pictures_digest(table.digests))


def _folder(
    cache: str | os.PathLike[str], layout: Layout, backbone: Backbone, device: torch.device | None
) -> Path:
    return Path(cache).expanduser() / "features" / _key(layout, backbone, device)


def _key(layout: Layout, backbone: Backbone, device: torch.device | None) -> str:
    where = "cpu" if device is None else device.type
    return digest_of([*map(str, layout.settings().values()), backbone.framing.settings(), where])
