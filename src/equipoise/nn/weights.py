"""Weights that lie in a file: read without running anything, and filled into the network that they are of."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.errors import DataError, InputError
from equipoise.failures import refused
from equipoise.files import open_regular, read_tensors, regular

__all__ = ["PREFIXES", "check_kinds", "fill", "misfit", "read_weights"]

WRAPPINGS = "state_dict", "model_state_dict", "model"  # where training programs keep weights in a checkpoint
PREFIXES = "module.", "model."  # DataParallel's and Lightning's
ADVICE = "Check `weights`."


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors by name, on the CPU: of a safetensors file, or of what `torch.save` wrote of a `state_dict`.

    A checkpoint that holds the `state_dict` beside other plain values is looked into. Nothing but tensors and plain
    values is unpickled.

    Raises:
        DataError: if the file cannot be read, or holds something else.
    """
    try:
        with open_regular(path) as file:
            start = file.read(9)
    except OSError as error:
        raise DataError(
            f"Expected weights in {os.fspath(path)}; got: {error.strerror or error}. {ADVICE}"
        ) from error
    if start[8:9] == b"{" or not start.startswith((b"PK", b"\x80")):
        return read_tensors(path, "weights, a safetensors file or one of torch.save", ADVICE)[0]
    try:
        found = torch.load(regular(path), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"Expected nothing but weights in {os.fspath(path)}; got a file that runs code when it is opened, so it "
            "was not. Where you trust it, save the network's state_dict() alone, best with safetensors."
        ) from error
    except Exception as error:  # a damaged file is told in many ways
        if refused(error):
            raise
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"Expected weights in {os.fspath(path)}; got: {told}. {ADVICE}") from error
    return _tensors(found, path)


def _tensors(found: Any, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    while isinstance(found, Mapping):
        inner = next((found[name] for name in WRAPPINGS if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            break
        found = inner
    if (
        not isinstance(found, Mapping)
        or not found
        or not all(isinstance(value, Tensor) for value in found.values())
    ):
        got = (
            f"the keys {', '.join(map(str, list(found)[:5]))}" if isinstance(found, Mapping) else type(found)
        )
        raise DataError(
            f"Expected tensors by name, the state_dict of a network, in {os.fspath(path)}; got {got}. {ADVICE}"
        )
    return dict(found)


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Put weights into the network that they are of; a prefix that wrapping a network adds is taken off.

    Args:
        network: Gets them.
        tensors: By name.
        path: Where they are from, for messages.

    Raises:
        InputError: if they are of another network; names both sides.
        DataError: if they are damaged.
    """
    named = dict(tensors)
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in named) and not set(named) <= set(network.state_dict()):
            named = {name.removeprefix(prefix): value for name, value in named.items()}
    check_kinds(network, named, Path(path))
    if wrong := misfit(network, named):
        raise InputError(
            f"The weights in {os.fspath(path)} do not fit the network: {wrong}. Give those of this very network."
        )
    network.load_state_dict(named)


def misfit(network: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """What a file holds and what a network has, where they differ in names and shapes; "" if they fit."""
    there, here = (
        {name: tuple(value.shape) for name, value in of.items()} for of in (tensors, network.state_dict())
    )
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    told = [
        f"{name:.60} is {there.get(name, 'missing')} in the file, {here.get(name, 'missing')} in the network"
        for name in names[:3]
    ]
    return "; ".join(told) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_kinds(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Whether tensors are of the kind of those that they fill: weights are finite and no whole numbers, variances not
    negative. Buffers may be anything else: masks are often infinite.

    Raises:
        DataError: if they are not.
    """
    weights = dict(network.named_parameters())
    for name, mine in network.state_dict().items():
        theirs = tensors.get(name)
        if theirs is None:
            continue
        if name in weights and theirs.is_floating_point() and not bool(torch.isfinite(theirs).all()):
            raise DataError(
                f"Expected finite numbers as {name!r} in {path}; got NaN or infinity. The file is damaged, or training "
                "went wrong: train again."
            )
        negative = name.endswith("running_var") and bool((theirs < 0).any())
        if theirs.is_floating_point() != mine.is_floating_point() or theirs.is_complex() or negative:
            got = "negative variances" if negative else f"{theirs.dtype}"
            raise DataError(
                f"Expected {mine.dtype} as {name!r} in {path}; got {got}. The file is damaged: train again."
            )
