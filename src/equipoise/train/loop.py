"""The training loop. It draws batches, asks the model for its losses and steps; it knows no method by name."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel

from equipoise.data import ImageTable
from equipoise.nn import RankGenerator
from equipoise.resample import AdaptiveSampler, Draws
from equipoise.seeds import child_seed
from equipoise.train.alike import check_alike
from equipoise.train.checkpoint import (
    Checkpoint,
    continuing,
    flat_optimizer,
    latest_checkpoint,
    read_checkpoint,
    remove_checkpoints,
    restore_optimizer,
    write_checkpoint,
)
from equipoise.train.classes import weighted_rows
from equipoise.train.log import History, Progress, append, tensorboard_writer, write_history
from equipoise.train.logits import validation_numbers
from equipoise.train.optimizer import optimizer_of
from equipoise.train.rarity import Rarity
from equipoise.train.recipe import Optimisation, Resampling, epochs_of
from equipoise.train.steps import RecordedSteps, Steps, recordable
from equipoise.train.watch import Watch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Job", "Outcome", "train"]

LOG_EVERY = 20  # steps
ADVICE = (
    "Try a smaller learning rate, gradient clipping (clip = 1), precision 32-true, or look for broken images with "
    "`equipoise data`."
)


@dataclass(frozen=True)
class Job:
    """Everything that one training run needs; it can be sent to another process.

    Args:
        title: Name of the run, for logs and messages.
        model: What is trained.
        table: What it is trained on.
        validation: Scored after every epoch, never trained on; None scores nothing.
        optimisation: How.
        resampling: None draws uniformly within each class.
        weighted: Ids of the classes that it weighs.
        seed: The one source of chance.
        folder: Where checkpoints and logs go; None keeps none.
        resume: Continue from the newest checkpoint, if there is one.
        settings: What a checkpoint must agree with.
        compiled: Compile the step, or record it where that can be done.
        recordable: The model is one that `RecordedSteps` can record.
        tensorboard: Write TensorBoard events too.
        progress: Show a bar on a terminal.
        vectors: An embedding of what is weighted, as `Rarity` takes it.
        seconds: What was spent on it, which counts as training.
    """

    title: str
    model: nn.Module
    table: ImageTable
    validation: ImageTable | None
    optimisation: Optimisation
    resampling: Resampling | None
    seed: int
    weighted: tuple[int, ...] = (1,)
    folder: Path | None = None
    resume: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    compiled: bool = False
    recordable: bool = False
    tensorboard: bool = False
    progress: bool = True
    vectors: NDArray[np.float32] | None = None
    seconds: float = 0.0


@dataclass
class Outcome:
    """What training leaves besides the model: history, steps and seconds; by class id the last sampling weights, and
    what was drawn by them and those before."""

    history: History
    validation: History
    steps: int
    seconds: float
    weights: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    draws: dict[int, Draws] = field(default_factory=dict)


def train(fabric: Fabric, job: Job) -> Outcome:
    """Train the job's model in place.

    Raises:
        TrainingError: if a loss, gradient or weight is not finite.
    """
    run, start = _Run(fabric, job), 0
    outcome = run.outcome
    if job.folder is not None:
        if job.resume:
            start = _restore(run)
        elif fabric.global_rank == 0:
            remove_checkpoints(job.folder)
    if fabric.world_size > 1:
        check_alike(fabric.device, "what training goes on from", [start, job.settings])
    if run.rarity and start == 0 and run.rarity.due(0):
        began = time.perf_counter()
        run.renew()
        outcome.seconds += time.perf_counter() - began
    told = job.tensorboard and fabric.global_rank == 0
    events = tensorboard_writer(job.folder / "tensorboard") if told and job.folder else None
    devices = range(torch.cuda.device_count()) if fabric.device.type == "cuda" else []
    shown = job.progress and fabric.global_rank == 0
    with (
        torch.random.fork_rng(devices=devices),
        Progress(job.title, run.steps, done=outcome.steps, shown=shown) as progress,
    ):
        for epoch in range(start, run.epochs):
            began = time.perf_counter()
            run.epoch(epoch, progress, events)
            outcome.seconds += time.perf_counter() - began
            run.validate(epoch, events)
            if job.folder is not None:
                if fabric.global_rank == 0:
                    _save(run, epoch)
                fabric.barrier()
    if events:
        events.close()
    outcome.draws = {c: drawn for c, drawn in run.sampler.draws.items() if c in outcome.weights}
    return outcome


class _Run:
    """What a job is trained with, and where it stands."""

    def __init__(self, fabric: Fabric, job: Job) -> None:
        self.fabric, self.job, how = fabric, job, job.optimisation
        self.model: Any = job.model
        self.sampler = sampler_of(job, rank=fabric.global_rank, replicas=fabric.world_size)
        self.epochs = epochs_of(how, len(self.sampler))
        self.steps = len(self.sampler) * self.epochs
        self.optimizer = optimizer_of(how, self.model)
        record = job.compiled and job.recordable and recordable(fabric, how, job.table)
        if job.compiled and not record:
            for (
                network
            ) in self.model.children():  # not the whole step: how many positives a batch has depends on it
                network.compile()
        kind = RecordedSteps if record else Steps
        self.taking = kind(fabric, self.model, self.optimizer, job.table, how, self.steps)
        self.rarity = None
        if job.resampling:
            seed = child_seed(job.seed, "rarity")
            self.rarity = Rarity(
                job.resampling, job.table, fabric, classes=job.weighted, vectors=job.vectors, seed=seed
            )
        self.outcome = Outcome({"step": [], "epoch": [], "learning_rate": []}, {"epoch": []}, 0, job.seconds)

    @property
    def average(self) -> AveragedModel | None:
        """Of the model's weights, if one is kept."""
        return self.taking.average

    def renew(self) -> None:
        """New sampling weights."""
        if self.rarity is not None:
            self.outcome.weights = self.rarity.weights(self.model)
            self.sampler.renew(self.outcome.weights)

    def epoch(self, epoch: int, progress: Progress, events: Any) -> None:
        """Take the steps of an epoch, and make the sampling weights of the next."""
        job, outcome, began = self.job, self.outcome, time.perf_counter()
        # A user's network may hold dropout, which draws from the global generators.
        torch.manual_seed(child_seed(job.seed, "global", epoch, self.fabric.global_rank))
        chance = torch.Generator().manual_seed(child_seed(job.seed, "augmentation", epoch, 0))
        noise = self._noise(epoch)
        watch = Watch(
            f"{job.title!r}",
            job.folder,
            at_once=self.fabric.device.type == "cpu",
            decisive="total",
            advice=ADVICE,
        )
        self.model.train()
        for taken in self.taking.taken(self.sampler, outcome.steps, chance=chance, noise=noise):
            watch.see(outcome.steps, taken.parts, where=f" (epoch {epoch + 1})")
            if self.rarity:
                self.rarity.observe(taken.rows, taken.codes)
            outcome.steps += 1
            if outcome.steps % LOG_EVERY == 0 or outcome.steps % len(self.sampler) == 0:
                means = self._means(watch.flush())
                append(
                    outcome.history,
                    {"step": outcome.steps, "epoch": epoch, "learning_rate": taken.rate} | means,
                )
                speed = watch.steps / (time.perf_counter() - began)
                progress.step(outcome.steps, means["total"], speed)
                _tell(events, means, outcome.steps)
        watch.finite(watch.steps, self.model, where=f" (epoch {epoch + 1})")
        final = epoch == self.epochs - 1
        if final and self.average is not None:
            self.model.load_state_dict(self.average.module.state_dict())
        if self.rarity and not final and self.rarity.due(epoch + 1):
            self.renew()

    def _noise(self, epoch: int) -> torch.Generator:
        """Chance of the model's losses in an epoch."""
        fabric, seed = self.fabric, partial(child_seed, self.job.seed, "noise", epoch)
        if fabric.world_size == 1:
            return torch.Generator(fabric.device).manual_seed(seed(0))
        noise = RankGenerator(fabric.device, fabric.global_rank, fabric.world_size)
        noise.whole.manual_seed(seed(0))
        noise.manual_seed(seed(fabric.global_rank))
        return noise

    def _means(self, values: dict[str, float]) -> dict[str, float]:
        """Of all processes, whose shares of a batch are alike."""
        if self.fabric.world_size == 1:
            return values
        mine = torch.tensor(list(values.values()), dtype=torch.float64, device=self.fabric.device)
        return dict(zip(values, self.fabric.all_reduce(mine).tolist(), strict=True))  # type: ignore[union-attr]

    def validate(self, epoch: int, events: Any) -> None:
        """Score what is never trained on, if there is some."""
        if self.job.validation is not None and len(self.job.validation):
            numbers = validation_numbers(self.model, self.job.validation, self.fabric)
            append(self.outcome.validation, {"epoch": epoch} | numbers)
            _tell(
                events, {f"validation/{name}": value for name, value in numbers.items()}, self.outcome.steps
            )


def _tell(events: Any, numbers: dict[str, float], step: int) -> None:
    for name, value in numbers.items() if events else ():
        events.add_scalar(name, value, step)


def sampler_of(job: Job, *, rank: int = 0, replicas: int = 1) -> AdaptiveSampler:
    """What draws the batches of a job, one process's part of them."""
    return AdaptiveSampler(
        job.table.labels,
        batch_size=job.optimisation.batch_size,
        seed=child_seed(job.seed, "sampler"),
        rank=rank,
        replicas=replicas,
    )


def sampler_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """The sampler's state in a checkpoint."""
    arrays = {key: value.numpy() for key, value in checkpoint.part("sampler").items()}
    return {**checkpoint.state["sampler"], **arrays}


def _by_row(weights: Mapping[int, NDArray[np.float64]], table: ImageTable) -> NDArray[np.float64]:
    """Weights of all rows of a table, NaN where a class has none."""
    found = np.full(len(table), np.nan)
    found[weighted_rows(table, tuple(weights))] = np.concatenate(list(weights.values()))
    return found


def sampling_state(checkpoint: Checkpoint, table: ImageTable) -> dict[int, NDArray[np.float64]]:
    """The last sampling weights in a checkpoint, by class id."""
    stored = {name: value.numpy() for name, value in checkpoint.part("sampling").items()}
    if "by_row" not in stored:  # no weights, or an earlier version's, that knew two classes
        named = {"weights": 1, "negative_weights": 0}
        return {named[name]: values for name, values in stored.items()}
    values = stored["by_row"]
    if values.shape != (len(table),):
        raise ValueError(f"sampling weights of shape {values.shape} for {len(table)} images")
    classes, counts = np.unique(table.labels[~np.isnan(values)], return_counts=True)
    parts = np.split(values[weighted_rows(table, classes.tolist())], np.cumsum(counts)[:-1])
    return dict(zip(classes.tolist(), parts, strict=True))


def _save(run: _Run, epoch: int) -> None:
    job, outcome = run.job, run.outcome
    folder = job.folder or Path()
    moments, rest = flat_optimizer(run.optimizer)
    tensors = {f"model.{name}": value for name, value in run.model.state_dict().items()}
    tensors |= {f"optimizer.{name}": value for name, value in moments.items()}
    if run.average is not None:
        tensors |= {f"average.{name}": value for name, value in run.average.state_dict().items()}
    if outcome.weights:
        tensors["sampling.by_row"] = torch.from_numpy(_by_row(outcome.weights, job.table))
    sampler_state = run.sampler.state_dict()
    arrays = {key: value for key, value in sampler_state.items() if isinstance(value, np.ndarray)}
    tensors |= {f"sampler.{key}": torch.from_numpy(value) for key, value in arrays.items()}
    state = {
        "epoch": epoch,
        "steps": outcome.steps,
        "seconds": outcome.seconds,
        "history": outcome.history,
        "validation": outcome.validation,
        "optimizer": rest,
        "sampler": {key: value for key, value in sampler_state.items() if key not in arrays},
    }
    write_checkpoint(folder, epoch, Checkpoint(tensors, state, job.settings))
    write_history(folder / "history.csv", outcome.history)
    if outcome.validation["epoch"]:
        write_history(folder / "validation.csv", outcome.validation)


def _restore(run: _Run) -> int:
    """Bring everything back to where the newest checkpoint was; the epoch to go on with."""
    path = latest_checkpoint(run.job.folder) if run.job.folder else None
    if path is None:
        return 0
    checkpoint = read_checkpoint(path, run.job.settings)
    with continuing(path):
        return _taken_back(checkpoint, run)


def _taken_back(checkpoint: Checkpoint, run: _Run) -> int:
    state, outcome = checkpoint.state, run.outcome
    epoch, steps = int(state["epoch"]), int(state["steps"])
    if steps != (epoch + 1) * len(run.sampler):
        raise ValueError(f"{steps} steps after epoch {epoch} of {len(run.sampler)} steps")
    run.model.load_state_dict(checkpoint.part("model"))
    restore_optimizer(run.optimizer, checkpoint.part("optimizer"), state["optimizer"])
    if run.average is not None:
        run.average.load_state_dict(checkpoint.part("average"))
    run.sampler.load_state_dict(sampler_state(checkpoint))
    outcome.weights = sampling_state(checkpoint, run.job.table)
    outcome.history, outcome.validation = state["history"], state["validation"]
    outcome.steps, outcome.seconds = steps, float(state["seconds"])
    for name, values in (*outcome.history.items(), *outcome.validation.items()):
        if not isinstance(values, list):
            raise TypeError(f"{name} of the history is no list")
    return epoch + 1
