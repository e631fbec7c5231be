"""One job in several processes, each with its share of every batch."""

from __future__ import annotations

import copy
import multiprocessing
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from equipoise.errors import EquipoiseError, TrainingError
from equipoise.failures import refused
from equipoise.processors import launched
from equipoise.train.checkpoint import latest_checkpoint, read_checkpoint
from equipoise.train.loop import Job, Outcome, sampler_of, sampler_state, sampling_state, train

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["run_in_processes", "train_in_processes"]


def train_in_processes(fabric: Fabric, job: Job) -> Outcome:
    """Train in as many processes as the engine has.

    Workers hand their result over as a checkpoint: a file carries any size, a pipe does not. Where a launcher started
    the processes, each of them calls this, and has the model itself.

    Raises:
        TrainingError: if a process stopped.
    """
    if launched() > 1:
        return train(fabric, job)
    with tempfile.TemporaryDirectory() as scratch:
        folder = job.folder or Path(scratch)
        run_in_processes(fabric, partial(_worker, job=replace(job, folder=folder)))
        path = latest_checkpoint(folder)
        if path is None:
            raise TrainingError("The training processes ended without a checkpoint. Run with `processes` 1.")
        checkpoint = read_checkpoint(path, job.settings)
    job.model.load_state_dict(checkpoint.part("model"))
    state, weights = checkpoint.state, sampling_state(checkpoint, job.table)
    sampler = sampler_of(job)
    sampler.load_state_dict(sampler_state(checkpoint))
    return Outcome(
        state["history"],
        state["validation"],
        state["steps"],
        state["seconds"],
        weights,
        {class_id: drawn for class_id, drawn in sampler.draws.items() if class_id in weights},
    )


def run_in_processes(fabric: Fabric, work: Callable[[Fabric], None]) -> None:
    """Call it in each of as many new processes as the engine has.

    Raises:
        TrainingError: if one stopped.
    """
    others = set(multiprocessing.active_children())
    try:
        fabric.launch(work)
    except EquipoiseError:
        raise
    except KeyboardInterrupt:
        for worker in (
            set(multiprocessing.active_children()) - others
        ):  # a signal to us alone did not reach them
            worker.terminate()
            worker.join()
        raise
    except Exception as error:
        if refused(error):
            raise
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        raise TrainingError(
            f"A training process stopped: {lines[-1] if lines else error!r}. "
            "Run with `processes` 1 to see the error where it happens."
        ) from error


def _worker(fabric: Fabric, job: Job) -> None:
    # What was sent lies in memory that all workers share; each needs a model of its own.
    train(fabric, replace(job, model=copy.deepcopy(job.model)))
