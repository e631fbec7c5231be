"""What runs in an actor: a work opened once, and its columns of one shard after another."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cluster.shards import Columns, packed
from equipoise.errors import EquipoiseError, InputError
from equipoise.failures import refused

__all__ = ["Worker", "raised"]


class Worker:
    """A work in a process of its own.

    Args:
        work: It, pickled.
        key: Of what its shards are.
        version: Of this library where the work was made.
        folder: Where it was made: names of files and modules are looked up from there if it is on this machine too.
    """

    def __init__(self, work: bytes, key: str, version: str, folder: str) -> None:
        self.key, self.failed = key, ""
        self.of: Callable[[NDArray[np.int64]], Columns] = lambda rows: {}
        with contextlib.suppress(OSError):
            os.chdir(folder)
        try:
            from equipoise import __version__

            if __version__ != version:
                raise InputError(
                    f"Expected equipoise {version}; got {__version__}. Install the same everywhere."
                )
            self.of = pickle.loads(work).opened()  # it comes from whoever runs the job, as all that Ray runs
        except Exception as error:  # told to whoever asked
            self.failed = _told(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One shard: its rows → it as a Parquet file, or why there is none."""
        start, stop = int(batch["start"][0]), int(batch["stop"][0])
        data, failed = b"", self.failed and f"start\x1f{self.failed}"
        if not failed:
            try:
                data = packed(self.of(np.arange(start, stop)), self.key)
            except Exception as error:
                failed = f"shard\x1f{_told(error)}"
        return {"start": [start], "stop": [stop], "data": [data], "failed": [failed]}


def _told(error: Exception) -> str:
    """An error as text that names its kind; what a machine refuses is one of files."""
    kind = type(error).__name__
    if not isinstance(error, EquipoiseError):
        kind = "DataError" if refused(error) or isinstance(error, OSError) else f"!{kind}"
    return f"{kind}\x1f{error}"


def raised(told: str) -> EquipoiseError:
    """The error that was told, of the kind that it was of."""
    kind, _, text = told.partition("\x1f")
    known, todo = {}, [EquipoiseError]
    while todo:
        one = todo.pop()
        known[one.__name__] = one
        todo += one.__subclasses__()
    if kind in known:
        return known[kind](text)
    return EquipoiseError(f"{kind.removeprefix('!')}: {text}")
