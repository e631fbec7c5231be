"""What tells one network, or anything else that a user brings, from another: a digest of what it is made of."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

__all__ = ["architecture_digest", "digest_of"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_DEPTH = 6  # of objects in objects


def digest_of(thing: Any) -> str:
    """Digest of a network (architecture, weights, buffers, which weights learn), or of any other object.

    Equal things have equal digests in every process. Of an object that is no network all that it holds counts:
    networks, arrays, numbers; of a function its name, its code and what it closes over. Of code that they call in turn
    only names are seen.
    """
    digest = hashlib.blake2b(digest_size=16)
    for piece in _pieces(thing, _DEPTH):
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()


def architecture_digest(network: nn.Module) -> str:
    """Digest of a network without its numbers: the same before and after training."""
    digest = hashlib.blake2b(digest_size=16)
    for name, module in network.named_modules():
        digest.update(f"{name}\x1f{_described(module)}\x1e".encode())
    return digest.hexdigest()


def _pieces(thing: Any, depth: int) -> Iterator[bytes | memoryview]:
    if isinstance(thing, nn.Module):
        for name, module in thing.named_modules():
            yield f"{name}\x1f{type(module).__qualname__} {_described(module)}".encode()
            if not type(module).__module__.startswith("torch."):
                yield from _code(getattr(type(module), "forward", None))
        named: Iterator[tuple[str, Tensor]]
        for named in (thing.named_parameters(), thing.named_buffers()):
            for name, tensor in named:
                yield f"{name} {tensor.requires_grad}".encode()
                yield from _pieces(tensor, depth)
    elif isinstance(thing, Tensor):
        if is_lazy(thing):
            yield b"not made yet"
            return
        flat = thing.detach().cpu().contiguous()
        yield f"{flat.dtype} {tuple(flat.shape)}".encode()
        yield flat.reshape(-1).view(torch.uint8).numpy().data if flat.numel() else b""
    elif isinstance(thing, np.ndarray):
        yield f"{thing.dtype} {thing.shape}".encode()
        yield (
            repr(thing.tolist()).encode() if thing.dtype.hasobject else np.ascontiguousarray(thing).tobytes()
        )
    elif isinstance(thing, bytes):
        yield thing
    elif isinstance(thing, str | int | float | complex | bool | type(None)):
        yield f"{type(thing).__name__} {thing!r}".encode()
    elif callable(thing) and hasattr(thing, "__qualname__"):
        yield f"{thing.__qualname__}".encode()
        yield from _code(thing)
        closed = inspect.getclosurevars(thing).nonlocals.values() if inspect.isfunction(thing) else ()
        yield from _all([getattr(thing, "__self__", None), *closed], depth)
    elif isinstance(thing, Mapping):
        yield from _all([part for pair in thing.items() for part in pair], depth)
    elif isinstance(thing, Sequence):
        yield from _all(thing, depth)
    else:
        yield f"{type(thing).__qualname__}".encode()
        yield from _all(
            [part for pair in sorted(getattr(thing, "__dict__", {}).items()) for part in pair], depth
        )


def _all(things: Sequence[Any], depth: int) -> Iterator[bytes | memoryview]:
    yield f"{len(things)} parts".encode()
    if depth:
        for thing in things:
            yield from _pieces(thing, depth - 1)


def _described(module: nn.Module) -> str:
    """Its class, its settings, and plain public attributes, which a forward may use."""
    plain = {
        name: getattr(value, "__qualname__", value)
        for name, value in sorted(vars(module).items())
        if not name.startswith("_")
        and name != "training"
        and (isinstance(value, str | int | float | bool | tuple) or hasattr(value, "__qualname__"))
    }
    return _ADDRESS.sub("", f"{type(module).__name__}({module.extra_repr()}) {plain!r}")


def _code(function: Any) -> Iterator[bytes]:
    """What a function does, line numbers and comments aside; nothing where it is not written in Python."""
    code = getattr(function, "__code__", None)
    todo = [code] if isinstance(code, CodeType) else []
    while todo:
        code = todo.pop()
        todo += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        plain = [constant for constant in code.co_consts if not isinstance(constant, CodeType | frozenset)]
        yield code.co_code
        yield repr((code.co_names, code.co_varnames, plain)).encode()
