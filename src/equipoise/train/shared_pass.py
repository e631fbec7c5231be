"""Features of a table by the processes of an engine: each runs the network over its own pictures, once."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.data import ImageTable
from equipoise.nn import Backbone, FeatureStore, Pace, Pass, features, gathered
from equipoise.nn.embedding import vector_store
from equipoise.nn.feature_store import Layout
from equipoise.nn.features import Pictures, as_kept, computed, kept_features, usual_batch_size
from equipoise.processors import launched
from equipoise.train.device import device_of
from equipoise.train.engine import Engine
from equipoise.train.featured import Featured
from equipoise.train.processes import run_in_processes

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["share_pass"]

Cache: TypeAlias = "str | os.PathLike[str] | None"
DONE = -1  # in place of a row to begin with


def share_pass(featured: Featured, table: ImageTable, engine: Engine) -> None:
    """Let the processes of an engine make the features of a table, if they are not there yet; `featured` has them then.

    One store comes of it, as of one process but for rounding.

    Args:
        featured: The backbone; its features are kept where it says.
        table: Pictures read as it takes them.
        engine: Resolved. Those processes that a launcher started all call this.

    Raises: what `nn.features` does; `TrainingError` if a process of ours stopped.
    """
    if engine.processes == 1 or table.fingerprint in featured.stores:
        return
    backbone, cache = featured.backbone, featured.cache
    backbone.check_pictures(table)
    if launched() > 1:
        store = _shared(engine.fabric(), backbone, table, cache, featured.told)
    else:
        where = device_of(engine.device)
        found = None if cache is None else kept_features(backbone, table, cache=cache, device=where)
        store = found or _by_new_processes(featured, table, engine, where)
    featured.stores[table.fingerprint] = store


def _by_new_processes(
    featured: Featured, table: ImageTable, engine: Engine, where: torch.device
) -> FeatureStore:
    """What they compute is handed over as a store on the disk."""
    featured.told(Pace(0, len(table), 0.0, 0.0, True))
    with tempfile.TemporaryDirectory() as scratch:
        cache = featured.cache or Path(scratch)
        work = partial(_worker, backbone=featured.backbone, table=table, cache=cache)
        run_in_processes(engine.fabric(), work)
        store = features(featured.backbone, table, cache=cache, device=where)
        return store if featured.cache is not None else _in_memory(store)


def _worker(fabric: Fabric, backbone: Backbone, table: ImageTable, cache: Cache) -> None:
    # What was sent lies in memory that all workers share.
    _shared(fabric, copy.deepcopy(backbone), table, cache)


def _in_memory(store: FeatureStore) -> FeatureStore:
    rows, dimensions = store.features.shape
    vectors = vector_store(rows, dimensions, store.features.dtype)
    vectors[:] = store.features
    return FeatureStore(vectors, None if store.logits is None else np.array(store.logits), store.layout)


def _shared(
    fabric: Fabric,
    backbone: Backbone,
    table: ImageTable,
    cache: Cache,
    told: Callable[[Pace], None] = lambda pace: None,
) -> FeatureStore:
    """By all processes of a group: the first keeps the store, if it is kept; else each has it in memory."""
    device, ranked = fabric.device, _Ranked(fabric, backbone)
    if cache is None or fabric.global_rank == 0:
        how: Any = {"told": told} if fabric.global_rank == 0 else {}
        store = features(backbone, table, cache=cache, device=device, elsewhere=ranked, **how)
        if not ranked.begun:
            ranked.begin(DONE)
    else:
        for _ in ranked(table, None, None, 0):
            pass
    fabric.barrier()
    if cache is None or fabric.global_rank == 0:
        return store
    return features(backbone, table, cache=cache, device=device)


class _Ranked:
    """Rows by all processes: of each run of rows the first part by the first of them, and so on. See `nn.Elsewhere`."""

    def __init__(self, fabric: Fabric, backbone: Backbone) -> None:
        self.fabric, self.backbone, self.begun = fabric, backbone, False
        self.batch_size: int | None = None  # of each process; known once it has begun

    def begin(self, first: int) -> int:
        """The row that the first process begins with."""
        self.begun = True
        return self._of_first(first)

    def __call__(
        self, table: Pictures, layout: Layout | None, folder: Path | None, first: int
    ) -> Iterator[tuple[slice, Mapping[str, NDArray[Any]]]]:
        """Every row from the first process's `first` on, in order, to each process."""
        fabric, backbone = self.fabric, self.backbone
        first = self.begin(first)
        if first == DONE:
            return
        share = -(-(len(table) - first) // fabric.world_size)  # each has some of few pictures too
        size = self._of_first(min(usual_batch_size(backbone, table, fabric.device), max(share, 1)))
        self.batch_size = size
        each = [slice(start, min(start + size, len(table))) for start in range(first, len(table), size)]
        own = each[fabric.global_rank :: fabric.world_size]
        with closing(computed(backbone, table, own, fabric.device)) as batches:
            for start in range(0, len(each), fabric.world_size):
                _, found = next(batches, (None, None))  # of the last run of rows some have none
                for place, values in zip(
                    each[start : start + fabric.world_size], self._of_all(found, size), strict=False
                ):
                    some = values[: place.stop - place.start].tensor_split([backbone.dimensions], dim=1)
                    yield (
                        place,
                        {
                            "features": as_kept(some[0], np.float16, backbone.name),
                            **({} if backbone.outputs is None else {"logits": some[1].cpu().numpy()}),
                        },
                    )

    def _of_all(self, found: Pass | None, size: int) -> Tensor:
        """Features, then logits, of all processes, shape (processes, size, d + k); zeros where there is no picture."""
        backbone = self.backbone
        mine = torch.zeros(size, backbone.dimensions + (backbone.outputs or 0), device=self.fabric.device)
        if found is not None:
            parts = [part for part in found if part is not None]
            mine[: len(parts[0])] = torch.cat([part.float() for part in parts], dim=1)
        return gathered(mine)

    def clear(self, folder: Path | None) -> None:
        """Nothing is kept but the store."""

    def _of_first(self, number: int) -> int:
        """A whole number of the first process."""
        own = number if self.fabric.global_rank == 0 else 0
        return int(self.fabric.all_reduce(torch.tensor(own, device=self.fabric.device), reduce_op="sum"))  # type: ignore[arg-type]
