"""Checkpoints: the whole state of a training run in one safetensors file, written whole or not at all.

Tensors are tensors; everything else is JSON in the file's header. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from equipoise.errors import DataError, InputError
from equipoise.failures import refused
from equipoise.files import regular, write_tensors

__all__ = [
    "Checkpoint",
    "continuing",
    "flat_optimizer",
    "latest_checkpoint",
    "read_checkpoint",
    "remove_checkpoints",
    "restore_optimizer",
    "write_checkpoint",
]

FORMAT = "equipoise-checkpoint-2"
EARLIER = "equipoise-checkpoint-1"  # knew two classes
KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """State after some epochs.

    Args:
        tensors: By name; names begin with the part they belong to ("model.", "optimizer.", …).
        state: JSON-able rest: epoch, step, history, the sampler's and the optimizer's numbers.
        settings: What the run was asked to do; a run of other settings does not continue from here.
    """

    tensors: dict[str, Tensor]
    state: dict[str, Any]
    settings: dict[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part, without its name."""
        start = f"{name}."
        return {key[len(start) :]: value for key, value in self.tensors.items() if key.startswith(start)}


def write_checkpoint(folder: Path, epoch: int, checkpoint: Checkpoint) -> Path:
    """Write `epoch-NNNN.safetensors`, then remove all but the last two.

    Raises:
        DataError: if the folder cannot be written; earlier checkpoints stay.
    """
    path = folder / f"epoch-{epoch:04d}.safetensors"
    header = {
        "format": FORMAT,
        "state": json.dumps(checkpoint.state),
        "settings": json.dumps(checkpoint.settings, sort_keys=True),
    }
    header["digest"] = _digest(checkpoint.tensors, header)
    write_tensors(path, checkpoint.tensors, header)
    for old in _checkpoints(folder)[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """Of all that a checkpoint holds: safetensors itself does not notice a number that has changed on the disk."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name} {values.dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(values.view(torch.uint8).numpy().data if values.numel() else b"")
    digest.update(f"{header['state']} {header['settings']}".encode())
    return digest.hexdigest()


def _checkpoints(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if re.fullmatch(r"epoch-\d{4,}\.safetensors", p.name))


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a folder, or None."""
    found = _checkpoints(folder)
    return found[-1] if found else None


def remove_checkpoints(folder: Path) -> None:
    """Forget an earlier run, so that its checkpoints are not taken for those of a new one."""
    for path in _checkpoints(folder):
        path.unlink(missing_ok=True)


def read_checkpoint(path: Path, settings: dict[str, Any]) -> Checkpoint:
    """Read a checkpoint and make sure that it belongs to these settings.

    Raises:
        DataError: if the file is broken or of another version.
        InputError: if it was made with other settings; the message names them.
    """
    try:
        with safe_open(regular(path), framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") not in (FORMAT, EARLIER):
                raise DataError(
                    f"Expected a checkpoint of version {FORMAT!r} or {EARLIER!r} at {path}; got "
                    f"{header.get('format')!r}. Continue with the version of equipoise that wrote it, or start again "
                    "in another folder."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state, made_with = _mapping(header, "state"), _mapping(header, "settings")
        if (
            header.get("digest", digest := _digest(tensors, header)) != digest
        ):  # the first versions wrote none
            raise ValueError("its content is not what was written")
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        if isinstance(error, DataError) or refused(error):
            raise
        raise _unusable(path, error) from error
    now = json.loads(json.dumps(settings))
    if made_with != now:
        differ = sorted(key for key in {*made_with, *now} if made_with.get(key) != now.get(key))
        raise InputError(
            f"The checkpoint {path} was made with other settings ({', '.join(differ)} differ). "
            "Resume with the settings of the first start, or start in another folder."
        )
    return Checkpoint(tensors, state, made_with)


def _mapping(header: Mapping[str, str], name: str) -> dict[str, Any]:
    found = json.loads(header[name])
    if not isinstance(found, dict):
        raise ValueError(f"{name} is no JSON object")
    return found


def _unusable(path: Path, error: Exception) -> DataError:
    what = (
        f"no {error.args[0]!r}" if isinstance(error, KeyError) and error.args else str(error) or repr(error)
    )
    return DataError(
        f"Expected a whole checkpoint of this run at {path}; got: {' '.join(what.split())[:400]}. "
        "Delete this file to continue from the one before, or start again (`overwrite`)."
    )


@contextlib.contextmanager
def continuing(path: Path) -> Iterator[None]:
    """Where a run takes its state back from a checkpoint: what does not fit is told with the file that it is in.

    Raises:
        DataError: if something is missing, or has another name, shape or type.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        if isinstance(error, DataError) or refused(error):
            raise
        raise _unusable(path, error) from error


def flat_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as tensors by name, and the rest as JSON."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                numbers.setdefault(str(index), {})[name] = value
    return tensors, {"groups": state["param_groups"], "numbers": numbers}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], rest: dict[str, Any]
) -> None:
    """The opposite of `flat_optimizer`.

    Raises:
        ValueError: if it is the state of another optimizer, or of other parameters.
    """
    groups = optimizer.param_groups
    if [sorted(group) for group in rest["groups"]] != [sorted(group) for group in groups]:
        raise ValueError("the optimizer's settings are those of another kind")
    state: dict[int, dict[str, Any]] = {int(i): dict(entries) for i, entries in rest["numbers"].items()}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": rest["groups"]})
    if not optimizer.state:
        raise ValueError("no state of the optimizer")
    if len({frozenset(entries) for entries in optimizer.state.values()}) > 1:
        raise ValueError("parameters have optimizer states of different kinds")
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.shape not in (parameter.shape, torch.Size([])):
                raise ValueError(
                    f"{name} of a parameter of shape {tuple(parameter.shape)} is {tuple(value.shape)}"
                )
    # A fused step walks parameter and moments in memory order, so both must be laid out alike.
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                entries[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)
