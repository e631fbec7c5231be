"""The steps of an epoch: one after another, or recorded once and replayed on a GPU without the host."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from equipoise.data import ImageTable
from equipoise.errors import TrainingError
from equipoise.nn import Losses, RankGenerator, RankNorm, gathered
from equipoise.resample import AdaptiveSampler
from equipoise.train.augmentation import augmented, changed, drawn_changes
from equipoise.train.recipe import Optimisation

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["RecordedSteps", "Steps", "Taken", "learning_rate", "recordable"]

BLOCK = 64
"""Steps that are replayed between two looks of the host."""
WARM_UP = 3
"""Steps before the recording, in which libraries choose their algorithms and the optimizer makes its state."""
CHUNK = 4096


class Taken(NamedTuple):
    """A step that was taken.

    Args:
        rows: Of its batch.
        rate: Learning rate.
        parts: Losses by name, "total" first; detached scalars.
        codes: As in `Losses`.
    """

    rows: NDArray[np.int64]
    rate: float
    parts: dict[str, Tensor]
    codes: Tensor | None


class _Objective(nn.Module):
    """Gives a model's `losses` the name `forward`, which engines and compilers wrap."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, labels: Tensor, generator: torch.Generator | None) -> Losses:
        losses: Losses = self.model.losses(images, labels, generator=generator)
        return losses


def learning_rate(optimisation: Optimisation, step: int, steps: int) -> float:
    """Rate at a step (0 = the first): constant, or a rise over the first quarter and a cosine to zero."""
    peak = optimisation.learning_rate
    if optimisation.schedule == "constant":
        return peak
    rise = max(1, steps // 4)
    if step < rise:
        return peak * (0.04 + 0.96 * (1 - math.cos(math.pi * step / rise)) / 2)
    return peak * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


class Steps:
    """Steps one after another; each batch is gathered on the host.

    Args:
        fabric: Knows the device, the precision and the other processes.
        model: What is trained, in place.
        optimizer: Of its parameters.
        table: Where batches come from.
        how: Learning rates, augmentation, clipping, and whether an average follows the weights.
        total: Steps of the whole run.

    Attributes:
        average: Of the model's weights; None if none is kept.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        table: ImageTable,
        how: Optimisation,
        total: int,
    ) -> None:
        body = _Objective(model)
        body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective, self.optimizer = fabric.setup(body, optimizer)
        self.fabric, self.model, self.table, self.how, self.total = fabric, model, table, how, total
        compiled = any(getattr(part, "_compiled_call_impl", None) is not None for part in model.modules())
        self._rank_norm = fabric.world_size > 1 and not compiled
        self.average = (
            AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(how.average), use_buffers=True)  # type: ignore[no-untyped-call]
            if how.average
            else None
        )

    def taken(
        self, sampler: AdaptiveSampler, first: int, *, chance: torch.Generator, noise: torch.Generator
    ) -> Iterator[Taken]:
        """Take the steps that are left of the sampler's epoch.

        Args:
            sampler: Gives the rows of the batches.
            first: Steps that the run has taken before.
            chance: Of augmentation, on the CPU; alike in all processes.
            noise: Of the model's losses, on the device.
        """
        device, rank, replicas = self.fabric.device, self.fabric.global_rank, self.fabric.world_size
        batches, ahead = itertools.tee(map(np.asarray, sampler))
        for step, (rows, pictures) in enumerate(zip(batches, self.table.batches(ahead), strict=False), first):
            images = torch.from_numpy(pictures).to(device, non_blocking=True)
            labels = torch.from_numpy(self.table.labels[rows]).to(device, non_blocking=True)
            rate = learning_rate(self.how, step, self.total)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group.get("share", 1.0)
            if isinstance(noise, RankGenerator):
                noise.labels = gathered(labels).T.reshape(-1)  # in the order of one process
            names = self.how.augmentation
            images = augmented(images, names, generator=chance, rank=rank, replicas=replicas)
            losses = self._update(images, labels, noise)
            if self.average is not None:
                self.average.update_parameters(self.model)
            yield Taken(rows, rate, _parts(losses), losses.codes)

    def _update(self, images: Tensor, labels: Tensor, noise: torch.Generator | None) -> Losses:
        with RankNorm() if self._rank_norm else nullcontext():
            losses: Losses = self.objective(images, labels, noise)
            self.fabric.backward(losses.total)
        if self.how.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.how.clip, error_if_nonfinite=False)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return losses


class RecordedSteps(Steps):
    """The same steps, recorded once as a CUDA graph and replayed.

    Everything that a step reads lies at fixed places on the device: all pictures as uint8, a counter, and for the
    next `BLOCK` steps their rows, augmentations and learning rates. So the host only draws these, for a block while
    the device works on the one before, and reads the losses of a block at its end. For models whose shapes depend
    on the size of the batch alone, that take nothing from the host and draw nothing; see `recordable`. The first
    `WARM_UP` steps are taken unrecorded.

    Raises:
        TrainingError: from `taken`, if a step cannot be recorded.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        device, table = self.fabric.device, self.table
        self._pictures = torch.empty(_shape(table, len(table)), dtype=torch.uint8, device=device)
        for start in range(0, len(table), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(table)))
            self._pictures[start : start + len(rows)] = torch.from_numpy(table.batch(rows)).to(device)
        self._labels = torch.from_numpy(table.labels).to(device)
        self._at = torch.zeros(1, dtype=torch.int64, device=device)
        self._rate = torch.zeros((), device=device)
        self._block: dict[str, Tensor] = {}
        self._losses: dict[str, Tensor] = {}
        self._replay: Callable[[], None] | None = None
        self._unrecorded = WARM_UP

    def taken(
        self, sampler: AdaptiveSampler, first: int, *, chance: torch.Generator, noise: torch.Generator
    ) -> Iterator[Taken]:
        """As `Steps.taken`; `noise` is not used."""
        batches = iter(sampler)
        drawn = self._drawn(batches, first, chance)
        while drawn:
            rows, rates = drawn["rows of the table"].numpy(), drawn["rate"].tolist()
            for name, values in drawn.items():
                if name not in self._block:
                    shape = BLOCK, *values.shape[1:]
                    self._block[name] = torch.empty(shape, dtype=values.dtype, device=self.fabric.device)
                self._block[name][: len(values)] = values.to(self.fabric.device)
            self._at.zero_()
            for _ in rates:
                self._step()
            first += len(rates)
            drawn = self._drawn(batches, first, chance)
            found = {name: values[: len(rates)].to("cpu", copy=True) for name, values in self._losses.items()}
            for place, rate in enumerate(rates):
                yield Taken(rows[place], rate, {name: values[place] for name, values in found.items()}, None)

    def _drawn(self, batches: Iterator[list[int]], first: int, chance: torch.Generator) -> dict[str, Tensor]:
        """What the next block of steps reads, one row a step; empty at the end of the epoch."""
        block = list(islice(batches, BLOCK))
        if not block:
            return {}
        shape, names = _shape(self.table, len(block[0])), self.how.augmentation
        changes = [drawn_changes(shape, names, generator=chance) for _ in block]
        rates = [learning_rate(self.how, first + place, self.total) for place in range(len(block))]
        return {
            "rows of the table": torch.tensor(block),
            "rate": torch.tensor(rates),
            **{name: torch.stack([each[name] for each in changes]) for name in changes[0]},
        }

    def _step(self) -> None:
        if self._replay is not None:
            self._replay()
            return
        groups = self.optimizer.param_groups
        held = [dict(group) for group in groups]
        for group in groups:
            group.update(lr=self._rate, capturable=True)
        try:
            if self._unrecorded:
                aside(self._body)
                self._unrecorded -= 1
            else:
                self._replay = recorded(self._body)
                self._replay()
        except RuntimeError as error:
            raise TrainingError(
                f"Expected a training step that can be recorded as a CUDA graph; got: {error}. "
                "Run without `compile`."
            ) from error
        finally:
            for group, before in zip(groups, held, strict=True):
                group.update(before)

    def _body(self) -> None:
        now = {name: values.index_select(0, self._at)[0] for name, values in self._block.items()}
        rows = now.pop("rows of the table")
        self._rate.copy_(now.pop("rate"))
        images = changed(self._pictures.index_select(0, rows), now)
        losses = self._update(images, self._labels.index_select(0, rows), None)
        for name, value in _parts(losses).items():
            if name not in self._losses:
                self._losses[name] = torch.zeros(BLOCK, dtype=value.dtype, device=value.device)
            self._losses[name].index_copy_(0, self._at, value[None])
        self._at.add_(1)


def recordable(fabric: Fabric, how: Optimisation, table: ImageTable) -> bool:
    """Whether a run can be recorded: on a CUDA device that has room for the pictures in half of its free memory,
    in one process, by Adam or AdamW, with one rate for all layers, and neither averaged weights nor the scaled
    losses of 16-mixed precision."""
    if fabric.device.type != "cuda" or fabric.world_size > 1:
        return False
    if how.average is not None or how.first_layer_rate is not None or how.optimizer not in ("adam", "adamw"):
        return False
    if getattr(fabric.strategy.precision, "scaler", None) is not None:
        return False
    return 2 * math.prod(_shape(table, len(table))) <= torch.cuda.mem_get_info(fabric.device)[0]


def aside(body: Callable[[], None]) -> None:
    """Call it on a stream of its own, as what is to be recorded must first be."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        body()
    torch.cuda.current_stream().wait_stream(stream)


def recorded(body: Callable[[], None]) -> Callable[[], None]:
    """A call of it as a CUDA graph; the call that is recorded does not happen."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    return graph.replay


def _shape(table: ImageTable, count: int) -> tuple[int, int, int, int]:
    return count, table.image_size, table.image_size, table.channels


def _parts(losses: Losses) -> dict[str, Tensor]:
    return {"total": losses.total.detach(), **losses.parts}
