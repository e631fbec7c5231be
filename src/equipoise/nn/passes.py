"""One way to run a network over pictures: where it shall run, in evaluation mode, as many at a time as memory takes.

Afterwards the network is where and as it was, whatever happened on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from equipoise.errors import InputError
from equipoise.failures import refused
from equipoise.nn.modes import evaluating
from equipoise.nn.pixels import pixels

__all__ = ["HELD", "ManyPictures", "PictureTable", "affordable", "home", "placed", "run_over", "slices"]

MOST = 512  # pictures at a time
MEMORY = 1 << 30  # bytes that pictures may take on their way through a network, about
HELD = 4  # tensors as large as the largest that are held at a time: in, out, a shortcut, room to work in
TRIED = 2  # pictures that are sent ahead to see how large tensors become


class PictureTable(Protocol):
    """Pictures by position, such as `data.ImageTable`."""

    def __len__(self) -> int:
        """How many."""

    def batch(self, positions: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Some of them, uint8, shape (b, height, width, channels)."""


ManyPictures: TypeAlias = PictureTable | Callable[[], Iterable[NDArray[np.uint8]]] | NDArray[np.uint8]
"""A table, an array (n, height, width, channels) of uint8, or a function that gives an iterator over such arrays."""


def home(network: Any) -> tuple[torch.device, torch.dtype]:
    """Where a network's weights are, and of what float type; what has none gets float32 on the CPU."""
    if isinstance(network, nn.Module):
        for values in chain(network.parameters(), network.buffers()):
            if values.is_floating_point():
                return values.device, values.dtype
    return torch.device("cpu"), torch.float32


@contextmanager
def placed(network: Any, device: torch.device | None = None) -> Iterator[torch.device]:
    """Inside, on a device and in evaluation mode; afterwards, after an exception too, where and as it was.

    Args:
        network: A module; anything else that can be called is left alone.
        device: None leaves it where it is.
    """
    modules = [network] if isinstance(network, nn.Module) else []
    before = next((values.device for m in modules for values in chain(m.parameters(), m.buffers())), None)
    try:
        for module in modules if device is not None else []:
            module.to(device)
        with evaluating(*modules):
            yield device or before or torch.device("cpu")
    finally:
        for module in modules if device is not None and before is not None else []:
            module.to(before)


def slices(count: int, size: int) -> Iterator[slice]:
    """0 … count in parts of `size`, the last one perhaps smaller."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def run_over(
    network: nn.Module,
    pictures: ManyPictures,
    keep: Callable[[slice, Any], None],
    *,
    call: Callable[[Tensor], Any] | None = None,
    rows: ArrayLike | None = None,
    device: torch.device | None = None,
    batch_size: int | None = None,
) -> None:
    """Run a network over pictures, batch by batch, without gradients.

    Args:
        network: Runs in evaluation mode, and is left where and as it was.
        pictures: What it sees, as floats in [0, 1], shape (batch, channels, height, width).
        keep: Called with the place of each batch and what the network gave; it copies what it keeps.
        call: What is done with images on the network's device; None calls the network.
        rows: Of a table: only these positions, in this order.
        device: Where to run; None runs where the network is.
        batch_size: Pictures at a time; None takes 512, or what fits into about 1 GiB, pictures and activations: two
            pictures are sent ahead to see how large these become.

    Raises:
        InputError: if pictures or a size are not as said.
    """
    if batch_size is not None and batch_size < 1:
        raise InputError(
            f"batch_size must be at least 1; got {batch_size}. Leave it out to let memory decide."
        )
    run = call or network
    with placed(network, device) as where, torch.inference_mode():

        def images(part: NDArray[np.uint8]) -> Tensor:
            return pixels(torch.from_numpy(part).to(where))

        def size_for(some: NDArray[np.uint8]) -> int:
            return batch_size or _affordable(network, run, images(some[:TRIED]), MOST)

        for place, part in _batches(pictures, rows, size_for):
            keep(place, run(images(part)))


def affordable(
    network: nn.Module,
    pictures: PictureTable,
    *,
    device: torch.device | None = None,
    most: int = MOST,
    memory: int | None = None,
) -> int:
    """How many pictures of a table may go through a network at a time, at least 1; as `run_over` takes them.

    Args:
        memory: Bytes that pictures may take on their way, about; None is 1 GiB. The largest tensor may take
            a quarter of them.
    """
    if not len(pictures):
        return most
    with placed(network, device) as where, torch.no_grad():
        some = _checked(pictures.batch(np.arange(min(TRIED, len(pictures)))))
        return _affordable(network, network, pixels(torch.from_numpy(some).to(where)), most, memory)


def _batches(
    pictures: Any, rows: ArrayLike | None, size_for: Callable[[NDArray[np.uint8]], int]
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Batches and their places among all that are asked for."""
    if hasattr(pictures, "batch"):
        positions = np.arange(len(pictures)) if rows is None else np.asarray(rows, np.int64)
        size = size_for(_checked(pictures.batch(positions[:TRIED]))) if len(positions) else MOST
        for place in slices(len(positions), size):
            yield place, _checked(pictures.batch(positions[place]))
        return
    if rows is not None:
        raise InputError("rows are positions of a table; got other pictures. Choose the pictures yourself.")
    done, known = 0, {}
    for block in pictures() if callable(pictures) else (pictures,):
        shape = _checked(block).shape[1:]
        if len(block) and shape not in known:
            known[shape] = size_for(block)
        for place in slices(len(block), known.get(shape, MOST)):
            yield slice(done + place.start, done + place.stop), block[place]
        done += len(block)


def _checked(block: Any) -> NDArray[np.uint8]:
    if not isinstance(block, np.ndarray) or block.dtype != np.uint8 or block.ndim != 4:
        got = f"{block.dtype} {block.shape}" if isinstance(block, np.ndarray) else type(block).__name__
        raise InputError(
            f"Pictures must be uint8 arrays (n, height, width, channels); got {got}. "
            "Give 0…255 with channels last."
        )
    return block


def _affordable(
    network: nn.Module, run: Callable[[Tensor], Any], images: Tensor, most: int, memory: int | None = None
) -> int:
    """How many such pictures at a time."""
    if any(
        getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod")
        for module in network.modules()
    ):
        run = torch.numel  # what is compiled would be compiled anew for two pictures
    seen = _Largest(images)
    devices = [images.device] if images.device.type == "cuda" else []
    # a network may draw, and shall draw the same as without this
    with torch.random.fork_rng(devices=devices):
        try:
            with seen:
                run(images)
        except Exception as error:  # what a network cannot take is told of the real batch
            if refused(error):
                raise
    return int(max(1, min(most, (memory or MEMORY) * len(images) // (HELD * seen.bytes))))


class _Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the largest tensor that is made: weights, as they are or seen in another shape, are not."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = images.numel() * images.element_size()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        given = {_storage(values) for values in tree_leaves((args, kwargs)) if isinstance(values, Tensor)}
        for values in tree_leaves(found):
            if isinstance(values, Tensor) and _storage(values) not in given:
                self.bytes = max(self.bytes, values.numel() * values.element_size())
        return found


def _storage(values: Tensor) -> int:
    return values.untyped_storage().data_ptr()
