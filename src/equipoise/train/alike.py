"""Processes that train together must have been given the same, and one that is lost is told to the others."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from equipoise.errors import EquipoiseError, InputError, TrainingError
from equipoise.nn import gathered
from equipoise.processors import launched

__all__ = ["check_alike", "telling_of_the_lost"]

LOST = re.compile(r"gloo|nccl|process ?group|connection (?:reset|closed)", re.IGNORECASE)


def check_alike(device: torch.device, what: str, given: Any) -> None:
    """Whether all processes of the default group have the same.

    Args:
        device: That the group talks on.
        what: In words.
        given: As JSON has it.

    Raises:
        InputError: if they do not, in each of them.
    """
    digest = hashlib.blake2b(json.dumps(given, sort_keys=True).encode(), digest_size=7).hexdigest()
    every = gathered(torch.tensor(int(digest, 16), device=device)).tolist()
    if other := [rank for rank, one in enumerate(every) if one != every[0]]:
        raise InputError(
            f"Expected {what} to be the same in all {len(every)} processes; got something else in those of rank "
            f"{', '.join(map(str, other[:5]))} than in that of rank 0. Give all of it to each: they share the work "
            "themselves."
        )


@contextmanager
def telling_of_the_lost() -> Iterator[None]:
    """Inside, of processes that a launcher started, what a library says of a lost one becomes our error.

    Raises:
        TrainingError: if another process stopped.
    """
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, dist.DistError) or LOST.search(str(error))
        if launched() == 1 or isinstance(error, EquipoiseError) or not lost:
            raise
        raise TrainingError(
            f"Expected all {launched()} processes to go on; another one stopped ({str(error).strip():.200}). What "
            "it said tells why; start all of them again, with `resume` from the last checkpoint."
        ) from error
