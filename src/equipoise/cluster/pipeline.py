"""Shards of rows through actors that hold a network, by Ray Data: what a lost machine had is computed by another."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise import __version__
from equipoise.cluster.address import Cluster
from equipoise.cluster.shards import Columns, Shard, ShardFolder, cut, unpacked
from equipoise.cluster.worker import Worker, raised
from equipoise.errors import DataError, EquipoiseError, InputError

__all__ = ["Work", "computed"]

FEWEST, MOST = 64, 2048  # rows a shard
EACH = 4  # shards an actor, so that the last one is not waited for long
AGAIN = 2  # times that all is begun anew with what is left of a cluster, and nothing comes
NAMED = 3  # shards that failed, told one by one


class Work(Protocol):
    """What is to be done with rows; it is pickled, so it holds names of files and networks rather than them."""

    def opened(self) -> Callable[[NDArray[np.int64]], Columns]:
        """Load what it needs, where it is to run: positions → columns, a row a position."""


def computed(
    work: Work,
    rows: int,
    key: str,
    folder: Path | None,
    cluster: Cluster,
    *,
    device: str = "cpu",
    first: int = 0,
) -> Iterator[tuple[slice, Columns]]:
    """Columns of all rows, shard by shard, those that are kept from an earlier start first.

    A shard that fails keeps the others from nothing: they are computed and kept, and then it is told.

    Args:
        work: What gives the columns.
        rows: How many there are.
        key: What tells this work on these rows from others: kept shards of another are not taken.
        folder: Where shards are kept; None keeps none.
        cluster: Where it runs.
        device: "cpu" takes a processor an actor, "cuda" a GPU.
        first: Rows before it are not asked for.

    Raises:
        InputError: if the cluster cannot be had, the work cannot travel, or workers cannot do it.
        DataError: if shards could not be computed, or not be kept.
    """
    with ExitStack() as stack:
        kept = ShardFolder(folder or Path(stack.enter_context(tempfile.TemporaryDirectory())), key)
        done: list[Shard] = []
        for shard, columns in kept.finished(rows, first):
            done.append(shard)
            yield slice(*shard), columns
        if not cut(rows, rows, done, first):
            return
        failed: dict[Shard, str] = {}
        ray = stack.enter_context(cluster.connected())
        most = cluster.shard_rows or min(max(rows // (EACH * _actors(ray, device)), FEWEST), MOST)
        vain = 0  # times that a process or machine was lost and nothing came before
        while missing := cut(rows, most, (*done, *failed), first):
            came = 0
            try:
                for shard, data, why in _through(ray, work, missing, key, device):
                    came += 1
                    if why:
                        failed[shard] = why
                        continue
                    columns = unpacked(data, shard.stop - shard.start, key)
                    kept.write(shard, data)
                    done.append(shard)
                    yield slice(*shard), columns
            except LostError as lost:
                vain = 0 if came else vain + 1
                if vain > AGAIN:
                    raise _unable(str(lost)) from lost
        if failed:
            raise _failure(failed, len(failed) + len(done), folder is not None)


class LostError(Exception):
    """A process or a machine went, and what it had with it."""


def _actors(ray: Any, device: str) -> int:
    """How many may hold a network at a time: one processor stays free, or nothing would ever begin."""
    has = ray.cluster_resources()
    if device.startswith("cuda"):
        if has.get("GPU", 0) < 1:
            raise InputError(
                "Expected GPUs in the Ray cluster for `device` cuda; got none. Take another device or cluster."
            )
        return int(has["GPU"])
    if has.get("CPU", 0) < 2:
        raise InputError(
            f"Expected a Ray cluster of at least 2 processors, as one is left to Ray itself; got "
            f"{has.get('CPU', 0):g}. Add a machine, or start it with a larger `num-cpus`."
        )
    return int(has["CPU"]) - 1


def _through(
    ray: Any, work: Work, shards: Sequence[Shard], key: str, device: str
) -> Iterator[tuple[Shard, bytes, str]]:
    """Each shard's file or why there is none, as they come; a worker that cannot begin ends all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Ray itself calls
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        items = [{"start": start, "stop": stop} for start, stop in shards]
        rows = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            Worker,
            batch_size=1,
            fn_constructor_args=(_pickled(ray, work), key, __version__, os.getcwd()),
            compute=ray.data.ActorPoolStrategy(size=min(_actors(ray, device), len(items))),
            num_cpus=1,
            num_gpus=1 if device.startswith("cuda") else 0,
            max_restarts=0,  # one that restarts waits for room, for ever where a machine went
            max_task_retries=0,
        )
    try:
        for batch in rows.iter_batches(batch_size=None, prefetch_batches=0):
            for start, stop, data, why in zip(
                *(batch[name] for name in ("start", "stop", "data", "failed")), strict=True
            ):
                when, _, told = str(why).partition("\x1f")
                if when == "start" or (when and not isinstance(raised(told), DataError)):
                    raise raised(told)
                yield Shard(int(start), int(stop)), bytes(data), told
    except EquipoiseError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        told = next((line for line in reversed(lines) if "Error" in line), lines[-1])
        if "creation task" in str(error):  # it died before it did anything of ours
            raise _unable(told) from error
        raise LostError(told) from error


def _pickled(ray: Any, work: Work) -> bytes:
    try:
        found: bytes = ray.cloudpickle.dumps(work)
    except Exception as error:  # whatever the user's objects raise
        raise InputError(
            f"Expected a network and pictures that can travel to other processes; got: {error}. Name the network, as "
            "timm:NAME or package.module:callable, and give pictures as files."
        ) from error
    return found


def _unable(told: str) -> InputError:
    return InputError(
        f"Expected workers of the Ray cluster to compute; got: {told:.300}. Every machine needs the same Python, "
        "Ray, equipoise and modules of yours, and memory for the network; finished shards are kept."
    )


def _failure(failed: dict[Shard, str], total: int, kept: bool) -> EquipoiseError:
    told = [
        f"rows {start:,}…{stop - 1:,}: {raised(failed[Shard(start, stop)])}" for start, stop in sorted(failed)
    ]
    more = f" And {len(told) - NAMED:,} more." if len(told) > NAMED else ""
    goes_on = f" The other {total - len(told):,} are kept: the next start goes on with them." if kept else ""
    return DataError(
        f"Expected all of {total:,} shards; got none of {len(told):,}. {' '.join(told[:NAMED])}{more}{goes_on}"
    )
