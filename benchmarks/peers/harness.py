"""What every peer shares: pictures with their cells, one way to train, and what a method is.

All train the standard CNN (width 12) with `HOW`: Adam, one-cycle rate, flips, shifts and light. It stands here, not in
a recipe, so that lines stay comparable when a recipe changes. What a method trains besides the main run is counted in
its steps and seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from equipoise.data import ImageTable
from equipoise.nn import StandardCNN, pixels
from equipoise.seeds import child_seed
from equipoise.train.augmentation import augmented
from equipoise.train.engine import precision_of
from equipoise.train.recipe import Optimisation
from equipoise.train.steps import learning_rate

HOW = Optimisation(
    learning_rate=2e-3, schedule="one-cycle", batch_size=64, augmentation=("flip", "shift", "light"), clip=1.0
)
"""How every peer is optimised; the optimizer is Adam."""
HALF = precision_of("auto", "cpu") == "bf16-mixed"
RowLoss = Callable[[torch.Tensor, torch.Tensor, np.ndarray], torch.Tensor]
"""Loss of a batch from its logits, targets and rows."""


@dataclass(frozen=True, eq=False)
class Part:
    """Pictures and what is known about them.

    Args:
        images: uint8, (n, side, side, 3).
        target: 1 = positive, 0 = negative.
        cells: Numbers of the cells whose errors are compared; the target is part of the cell. Only methods that see
            groups use them in training; all others at most to tell what they drew.
        groups: The group in use, for methods that need it there; None where pictures have none.
    """

    images: np.ndarray
    target: np.ndarray
    cells: np.ndarray
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: np.ndarray) -> Part:
        groups = None if self.groups is None else self.groups[rows]
        return Part(self.images[rows], self.target[rows], self.cells[rows], groups)

    @property
    def table(self) -> ImageTable:
        return ImageTable.from_arrays(self.images, self.target)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method gives.

    Args:
        test: Logits of the test part; at 0 the probability is 0.5.
        held_out: Likewise of the held-out part.
        told: What else is to be told, JSON-able.
        steps: Optimiser steps, those of extra networks included, those of last layers not.
        seconds: Wall-clock of all training, shared networks counted as if trained for this method alone.
    """

    test: np.ndarray
    held_out: np.ndarray
    told: dict[str, Any]
    steps: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Trained:
    """A network in evaluation mode, and what it cost."""

    model: nn.Module
    steps: int
    seconds: float

    def logits(self, images: np.ndarray) -> np.ndarray:
        return logits_of(self.model, images)

    def features(self, images: np.ndarray) -> np.ndarray:
        return logits_of(self.model, images, features=True)


class Watch:
    """Seconds of a block."""

    seconds = 0.0

    def __enter__(self) -> Watch:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began


@dataclass(eq=False)
class Task:
    """One draw and one training seed, and the networks that several methods share.

    Args:
        training: What is trained on.
        held_out: More of the same skew, for last layers, thresholds and choices.
        test: What is judged; no method looks at its targets or cells.
        seed: The one source of chance.
        steps: Optimiser steps of the main training; `steps_of` gives those that `fit` takes too.
    """

    training: Part
    held_out: Part
    test: Part
    seed: int
    steps: int

    def train(self, **settings: Any) -> Trained:
        """A network trained on the training part for the task's steps; see `trained`."""
        return trained(self.training.images, self.training.target, self.seed, self.steps, **settings)

    def outcome(
        self,
        values: Callable[[Part], np.ndarray],
        *stages: Trained,
        told: dict[str, Any] | None = None,
        seconds: float = 0.0,
    ) -> Outcome:
        """Logits of both parts, and the cost of the networks, beside `seconds` spent on other training."""
        return Outcome(
            values(self.test),
            values(self.held_out),
            told or {},
            sum(stage.steps for stage in stages),
            seconds + sum(stage.seconds for stage in stages),
        )

    def scored(self, network: Trained, *stages: Trained, **more: Any) -> Outcome:
        """The outcome of a method whose logits are a network's."""
        return self.outcome(lambda part: network.logits(part.images), network, *stages, **more)

    @cached_property
    def plain(self) -> Trained:
        return self.train()

    @cached_property
    def early(self) -> Trained:
        """A classifier stopped early, after a quarter of the steps."""
        seed = child_seed(self.seed, "early")
        return trained(self.training.images, self.training.target, seed, self.steps // 4)

    @cached_property
    def halves(self) -> tuple[np.ndarray, Trained]:
        """Logits of the training rows from two classifiers, each trained on the half without the row; their cost."""
        rng = np.random.default_rng(child_seed(self.seed, "halves"))
        half = rng.permutation(len(self.training)) % 2
        found, steps, seconds = np.empty(len(half)), 0, 0.0
        for side in (0, 1):
            other = self.training.take(half != side)
            one = trained(other.images, other.target, child_seed(self.seed, "half", side), self.steps // 2)
            found[half == side] = one.logits(self.training.images[half == side])
            steps, seconds = steps + one.steps, seconds + one.seconds
        return found, Trained(one.model, steps, seconds)

    @property
    def unseen(self) -> np.ndarray:
        """Logits of the training rows by classifiers that have not seen them."""
        return self.halves[0]

    @property
    def unseen_cells(self) -> np.ndarray:
        """Class × whether a classifier that has not seen the row is right."""
        return 2 * self.training.target + ((self.unseen >= 0) == self.training.target)


@dataclass(frozen=True)
class Method:
    """A way to train.

    Args:
        run: From a task to its outcome.
        source: Paper, or library with its version.
        sees_groups: Whether it uses the groups of training or held-out pictures (an oracle, marked †).
        in_use: Whether it needs the group of every picture that it judges, too.
    """

    run: Callable[[Task], Outcome]
    source: str
    sees_groups: bool = False
    in_use: bool = False


def steps_of(count: int, epochs: int) -> int:
    """Steps of so many passes, as `equipoise.train.fit` counts them: whole batches only."""
    return epochs * (count // HOW.batch_size)


def plain_loss(logits: torch.Tensor, targets: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
    """Binary cross-entropy."""
    return binary_cross_entropy_with_logits(logits, targets)


def batches(
    count: int, probabilities: np.ndarray | None, steps: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Rows of each step: all rows in turn, or drawn by probability."""
    if probabilities is not None:
        ends = np.cumsum(probabilities) / np.sum(probabilities)
        for _ in range(steps):
            yield np.searchsorted(ends, rng.random(HOW.batch_size), side="right").clip(max=count - 1)
        return
    order = rng.permutation(count)
    for _ in range(steps):
        while len(order) < HOW.batch_size:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[: HOW.batch_size]
        order = order[HOW.batch_size :]


def optimised(model: nn.Module, steps: int, losses: Iterable[Callable[[], torch.Tensor]]) -> None:
    """Adam and the one-cycle rate over an iterable of functions that give a loss."""
    model.train()
    adam = torch.optim.Adam(model.parameters(), HOW.learning_rate, eps=1e-7, fused=True)
    for step, loss in enumerate(losses):
        for group in adam.param_groups:
            group["lr"] = learning_rate(HOW, step, steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=HALF):
            value = loss()
        adam.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), HOW.clip)
        adam.step()
    model.eval()


def trained(
    images: np.ndarray,
    targets: np.ndarray,
    seed: int,
    steps: int,
    *,
    probabilities: np.ndarray | None = None,
    row_loss: RowLoss = plain_loss,
    partners: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    heads: int = 1,
    augmentation: tuple[str, ...] = HOW.augmentation,
) -> Trained:
    """One classifier; the seed gives its weights, the order of rows and the augmentation.

    With `partners` each picture is blended with another of the same class, in parts from Beta(2, 2). Of several
    heads all logits go to `row_loss`, and their mean is the classifier's.
    """
    chance = torch.Generator().manual_seed(child_seed(seed, "augmentation"))
    weights = torch.Generator().manual_seed(child_seed(seed, "weights"))
    model = StandardCNN(heads, width=12, image_size=images.shape[1], norm_momentum=0.1, generator=weights).to(
        memory_format=torch.channels_last
    )
    labels = torch.from_numpy(np.asarray(targets, np.float32))
    rng = np.random.default_rng(child_seed(seed, "rows"))

    def losses() -> Iterator[Callable[[], torch.Tensor]]:
        for rows in batches(len(targets), probabilities, steps, rng):
            pictures = augmented(torch.from_numpy(images[rows]), augmentation, generator=chance)
            if partners is not None:
                others = torch.from_numpy(images[partners(rows, rng)])
                part = torch.from_numpy(rng.beta(2, 2, (len(rows), 1, 1, 1))).float()
                others = augmented(others, augmentation, generator=chance)
                pictures = part * pictures + (1 - part) * others
            yield lambda x=pictures, rows=rows: row_loss(model(x).float().squeeze(1), labels[rows], rows)

    with Watch() as watch:
        optimised(model, steps, losses())
    return Trained(model, steps, watch.seconds)


@torch.no_grad()
def logits_of(model: nn.Module, images: np.ndarray, features: bool = False) -> np.ndarray:
    """Logits, or hidden features, of pictures."""
    found = []
    for start in range(0, len(images), 500):
        x = pixels(torch.from_numpy(images[start : start + 500]))
        found.append(model.features(x) if features else model(x).reshape(len(x), -1).mean(1))
    return torch.cat(found).numpy().astype(np.float64)


def cell_weights(cells: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
    """One over the size of a row's cell, mean 1.

    With `classes` these weigh alike in all, also where one has fewer cells than the other.
    """
    names, place, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    weights = len(cells) / (len(names) * sizes[place])
    if classes is not None:
        kinds, side = np.unique(classes, return_inverse=True)
        weights = weights * (len(cells) / len(kinds) / np.bincount(side, weights))[side]
    return weights


def mean_of_cells(logits: np.ndarray, target: np.ndarray, cells: np.ndarray) -> float:
    """Mean accuracy of cells; a criterion of choices."""
    right = (logits >= 0) == target
    return float(np.mean([right[cells == cell].mean() for cell in np.unique(cells)]))


def drawing(part: Part, probabilities: np.ndarray) -> dict[str, Any]:
    """What a way of drawing does to the cells: its effective sample size, and each cell's enrichment.

    Enrichment is a cell's share of the draws of its class over its share of the class; 1 = as often as it is.
    """
    p = probabilities / probabilities.sum()
    enriched = {}
    for cell in np.unique(part.cells):
        mine = part.cells == cell
        same = part.target == part.target[mine][0]
        enriched[str(cell)] = float(p[mine].sum() / p[same].sum() / (mine.sum() / same.sum()))
    return {"ess": float(1 / (len(p) * (p @ p))), "enrichment": enriched}
