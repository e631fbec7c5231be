"""Checkpoints: the whole state of a training run in one safetensors file, written whole or not at all.

Tensors are tensors; everything else is JSON in the file's header. Nothing is pickled.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from equipoise.errors import DataError, InputError
from equipoise.files import regular, write_tensors

__all__ = ["Checkpoint", "latest_checkpoint", "read_checkpoint", "remove_checkpoints", "write_checkpoint"]

FORMAT = "equipoise-checkpoint-1"
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
    write_tensors(path, checkpoint.tensors, header)
    for old in _checkpoints(folder)[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


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
            if header.get("format") != FORMAT:
                raise DataError(
                    f"Expected a checkpoint of version {FORMAT!r} at {path}; got {header.get('format')!r}. "
                    "Continue with the version of equipoise that wrote it, or start again in another folder."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state, made_with = json.loads(header["state"]), json.loads(header["settings"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"Expected a readable checkpoint at {path}; got: {error}. Delete this file to continue from the one before."
        ) from error
    now = json.loads(json.dumps(settings))
    if made_with != now:
        differ = sorted(key for key in {*made_with, *now} if made_with.get(key) != now.get(key))
        raise InputError(
            f"The checkpoint {path} was made with other settings ({', '.join(differ)} differ). "
            "Resume with the settings of the first start, or start in another folder."
        )
    return Checkpoint(tensors, state, made_with)


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
    """The opposite of `flat_optimizer`."""
    state: dict[int, dict[str, Any]] = {int(i): dict(entries) for i, entries in rest["numbers"].items()}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": rest["groups"]})
    # A fused step walks parameter and moments in memory order, so both must be laid out alike.
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                entries[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)
