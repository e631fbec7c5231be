"""The training loop. It draws batches, asks the model for its losses and steps; it knows no method by name."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from equipoise.data import ImageTable
from equipoise.errors import InputError, TrainingError
from equipoise.nn import run_over
from equipoise.resample import AdaptiveSampler, Draws
from equipoise.seeds import child_seed
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
from equipoise.train.log import History, Progress, tensorboard_writer, write_history
from equipoise.train.rarity import Rarity
from equipoise.train.recipe import Optimisation, Resampling, epochs_of
from equipoise.train.steps import RecordedSteps, Steps, recordable

__all__ = ["Job", "Outcome", "train"]

LOG_EVERY = 20  # steps


@dataclass(frozen=True)
class Job:
    """Everything that one training run needs; it can be sent to another process.

    Args:
        title: Name of the run, for logs and messages.
        model: What is trained.
        table: What it is trained on.
        validation: Scored after every epoch, never trained on; None scores nothing.
        optimisation: How.
        resampling: None draws positives uniformly.
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
    """What training leaves besides the model: history, last sampling weights of each class and what was drawn by
    them and those before, steps and seconds."""

    history: History
    validation: History
    weights: NDArray[np.float64] | None
    steps: int
    seconds: float
    negative_weights: NDArray[np.float64] | None = None
    draws: Draws | None = None
    negative_draws: Draws | None = None


def optimizer_of(optimisation: Optimisation, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer, with Keras' defaults where they differ from PyTorch's."""
    rate, parameters = optimisation.learning_rate, model.parameters()
    if optimisation.optimizer == "adagrad":
        return torch.optim.Adagrad(parameters, rate, initial_accumulator_value=0.1, eps=1e-7)
    if optimisation.optimizer == "adadelta":
        return torch.optim.Adadelta(parameters, rate, rho=0.95, eps=1e-7)
    if optimisation.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters, rate, eps=1e-7, weight_decay=optimisation.weight_decay, fused=True
        )
    return torch.optim.Adam(parameters, rate, eps=1e-7, fused=True)


def train(fabric: Fabric, job: Job) -> Outcome:
    """Train the job's model in place.

    Raises:
        TrainingError: if a loss, gradient or weight is not finite.
    """
    how, table = job.optimisation, job.table
    rank, replicas = fabric.global_rank, fabric.world_size
    model: Any = job.model
    sampler = sampler_of(job, rank=rank, replicas=replicas)
    per_epoch = len(sampler)
    epochs = epochs_of(how, per_epoch)
    steps = per_epoch * epochs
    optimizer = optimizer_of(how, model)
    record = job.compiled and job.recordable and recordable(fabric, how, table)
    if job.compiled and not record:
        for network in model.children():  # not the whole step: how many positives a batch has depends on it
            network.compile()
    taking = (RecordedSteps if record else Steps)(fabric, model, optimizer, table, how, steps)
    average = taking.average
    rarity = None
    if job.resampling:
        seed = child_seed(job.seed, "rarity")
        rarity = Rarity(job.resampling, table, fabric, vectors=job.vectors, seed=seed)
    outcome = Outcome({"step": [], "epoch": [], "learning_rate": []}, {"epoch": []}, None, 0, job.seconds)
    start = 0
    if job.folder is not None:
        if job.resume:
            start = _restore(job, model, optimizer, average, sampler, outcome)
        elif rank == 0:
            remove_checkpoints(job.folder)
    if rarity and start == 0 and rarity.due(0):
        began = time.perf_counter()
        _renew(rarity, model, sampler, outcome)
        outcome.seconds += time.perf_counter() - began
    events = tensorboard_writer(job.folder / "tensorboard") if job.tensorboard and job.folder else None

    devices = range(torch.cuda.device_count()) if fabric.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=devices),
        Progress(job.title, steps, done=outcome.steps, shown=job.progress and rank == 0) as progress,
    ):
        for epoch in range(start, epochs):
            began = time.perf_counter()
            # A user's network may hold dropout, which draws from the global generators.
            torch.manual_seed(child_seed(job.seed, "global", epoch, rank))
            chance = torch.Generator().manual_seed(child_seed(job.seed, "augmentation", epoch, rank))
            noise = torch.Generator(fabric.device).manual_seed(child_seed(job.seed, "noise", epoch, rank))
            watch = _Watch(job.title, epoch, fabric.device.type == "cpu", job.folder)
            model.train()
            for taken in taking.taken(sampler, outcome.steps, chance=chance, noise=noise):
                watch.see(outcome.steps, taken.parts)
                if rarity:
                    rarity.observe(taken.rows, taken.codes)
                outcome.steps += 1
                if outcome.steps % LOG_EVERY == 0 or outcome.steps % per_epoch == 0:
                    means = watch.flush()
                    _append(
                        outcome.history,
                        {"step": outcome.steps, "epoch": epoch, "learning_rate": taken.rate} | means,
                    )
                    speed = watch.steps / (time.perf_counter() - began)
                    progress.step(outcome.steps, means["total"], speed)
                    if events:
                        for name, value in means.items():
                            events.add_scalar(name, value, outcome.steps)
            watch.finite(model)
            final = epoch == epochs - 1
            if final and average is not None:
                model.load_state_dict(average.module.state_dict())
            if rarity and not final and rarity.due(epoch + 1):
                _renew(rarity, model, sampler, outcome)
            outcome.seconds += time.perf_counter() - began
            if job.validation is not None and len(job.validation):
                numbers = _validation(model, job.validation, fabric.device)
                _append(outcome.validation, {"epoch": epoch} | numbers)
                if events:
                    for name, value in numbers.items():
                        events.add_scalar(f"validation/{name}", value, outcome.steps)
            if job.folder is not None:
                if rank == 0:
                    _save(job, epoch, model, optimizer, average, sampler, outcome)
                fabric.barrier()
    if events:
        events.close()
    outcome.draws = None if outcome.weights is None else sampler.draws
    outcome.negative_draws = None if outcome.negative_weights is None else sampler.negative_draws
    return outcome


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


def _renew(rarity: Rarity, model: nn.Module, sampler: AdaptiveSampler, outcome: Outcome) -> None:
    outcome.weights, outcome.negative_weights = rarity.weights(model), rarity.negative_weights()
    sampler.renew(outcome.weights, outcome.negative_weights)


class _Watch:
    """Means of the losses for the log, and the guard against losses that are not finite."""

    def __init__(self, title: str, epoch: int, at_once: bool, folder: Path | None) -> None:
        self.title, self.epoch, self.at_once, self.folder = title, epoch, at_once, folder
        self.steps = 0
        self._seen: list[tuple[int, dict[str, Tensor]]] = []

    def see(self, step: int, parts: dict[str, Tensor]) -> None:
        self.steps += 1
        self._seen.append((step, parts))
        if self.at_once:  # elsewhere, asking every step would make the device wait
            self._check(*self._seen[-1])

    def _check(self, step: int, parts: dict[str, Tensor]) -> None:
        if not math.isfinite(float(parts["total"])):
            raise self._stopped(step, "loss " + ", ".join(f"{n} {float(v):g}" for n, v in parts.items()))

    def flush(self) -> dict[str, float]:
        if not self.at_once:
            for entry in self._seen:
                self._check(*entry)
        names = self._seen[0][1]
        means = {name: sum(float(parts[name]) for _, parts in self._seen) / len(self._seen) for name in names}
        self._seen = []
        return means

    def finite(self, model: nn.Module) -> None:
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise self._stopped(self.steps, f"a weight that is not finite in {name}")

    def _stopped(self, step: int, what: str) -> TrainingError:
        checkpoint = latest_checkpoint(self.folder) if self.folder else None
        kept = (
            f"The last good checkpoint is {checkpoint}." if checkpoint else "No checkpoint was written yet."
        )
        return TrainingError(
            f"Expected finite losses while training {self.title!r}; got {what} at step {step} "
            f"(epoch {self.epoch + 1}). {kept} Try a smaller learning rate, gradient clipping (clip = 1), "
            "precision 32-true, or look for broken images with `equipoise data`."
        )


def _append(history: History, numbers: dict[str, float]) -> None:
    for name, value in numbers.items():
        history.setdefault(name, []).append(float(value))


def _validation(model: Any, table: ImageTable, device: torch.device) -> dict[str, float]:
    logits = model_logits(model, table, device=device)
    labels = table.labels
    losses = np.logaddexp(0.0, np.where(labels == 1, -logits, logits))
    return {
        "classification": float(losses.mean()),
        "accuracy": float(((logits >= 0) == (labels == 1)).mean()),
    }


def model_logits(
    model: Any, table: ImageTable, *, device: torch.device, batch_size: int | None = None
) -> NDArray[np.float64]:
    """Logits of all images, shape (n,), in evaluation mode; the model is left where and as it was.

    Raises:
        InputError: if one is not finite; says which image's and why.
    """
    out = np.empty(len(table), np.float64)

    def keep(place: slice, logits: Tensor) -> None:
        out[place] = logits.double().reshape(place.stop - place.start).cpu().numpy()

    run_over(model, table, keep, device=device, batch_size=batch_size)
    if (wrong := np.flatnonzero(~np.isfinite(out))).size:
        broken = [
            n for n, v in model.state_dict().items() if v.is_floating_point() and not v.isfinite().all()
        ]
        why = (
            f"the model's {broken[0]} holds numbers that are not finite: train it again, or take an earlier checkpoint"
            if broken
            else "the model's weights are finite, so numbers grow too large on the way: look at the picture, and at "
            "layers that divide or take logarithms"
        )
        row = wrong[0]
        where = f"row {row}"
        if "path" in table.attributes.column_names:
            where += f", {table.attributes.column('path')[int(row)].as_py()}"
        raise InputError(
            f"Expected a finite logit of every image; got {out[row]} for {where} ({wrong.size} of {len(out)} images). "
            f"The cause: {why}."
        )
    return out


def _save(
    job: Job,
    epoch: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel | None,
    sampler: AdaptiveSampler,
    outcome: Outcome,
) -> None:
    folder = job.folder or Path()
    moments, rest = flat_optimizer(optimizer)
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"optimizer.{name}": value for name, value in moments.items()}
    if average is not None:
        tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    if outcome.weights is not None:
        tensors["sampling.weights"] = torch.from_numpy(outcome.weights)
    if outcome.negative_weights is not None:
        tensors["sampling.negative_weights"] = torch.from_numpy(outcome.negative_weights)
    sampler_state = sampler.state_dict()
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


def _restore(
    job: Job,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel | None,
    sampler: AdaptiveSampler,
    outcome: Outcome,
) -> int:
    """Bring everything back to where the newest checkpoint was; the epoch to go on with."""
    path = latest_checkpoint(job.folder) if job.folder else None
    if path is None:
        return 0
    checkpoint = read_checkpoint(path, job.settings)
    with continuing(path):
        return _taken_back(checkpoint, model, optimizer, average, sampler, outcome)


def _taken_back(
    checkpoint: Checkpoint,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel | None,
    sampler: AdaptiveSampler,
    outcome: Outcome,
) -> int:
    state = checkpoint.state
    epoch, steps = int(state["epoch"]), int(state["steps"])
    if steps != (epoch + 1) * len(sampler):
        raise ValueError(f"{steps} steps after epoch {epoch} of {len(sampler)} steps")
    model.load_state_dict(checkpoint.part("model"))
    restore_optimizer(optimizer, checkpoint.part("optimizer"), state["optimizer"])
    if average is not None:
        average.load_state_dict(checkpoint.part("average"))
    sampler.load_state_dict(sampler_state(checkpoint))
    weights = {name: value.numpy() for name, value in checkpoint.part("sampling").items()}
    outcome.weights, outcome.negative_weights = weights.get("weights"), weights.get("negative_weights")
    outcome.history, outcome.validation = state["history"], state["validation"]
    outcome.steps, outcome.seconds = steps, float(state["seconds"])
    for name, values in (*outcome.history.items(), *outcome.validation.items()):
        if not isinstance(values, list):
            raise TypeError(f"{name} of the history is no list")
    return epoch + 1
