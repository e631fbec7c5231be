"""What methods of an audit see of a table: features and logits, kept by one pass, or its pictures if they must."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone, FeatureStore, affordable, features, pixels, slices
from equipoise.nn.features import Elsewhere, TooLargeError
from equipoise.risk import KeptFeatures, Method
from equipoise.risk.seen import Output, Task
from equipoise.run.audit.telling import Telling
from equipoise.run.model_source import ModelSource

__all__ = ["Batches", "Looked", "View", "kept_features", "looked", "task_of"]

SCORED = 256  # images at a time, at most
Reader: TypeAlias = Callable[[Iterable[Int[ndarray, " b"]]], Iterator[Tensor]]


def task_of(backbone: Backbone) -> Task:
    """What its prediction is: one logit, or one a class."""
    return "binary" if backbone.outputs == 1 else "multiclass"


def kept_features(
    backbone: Backbone,
    table: ImageTable,
    *,
    cache: Path,
    device: torch.device,
    say: Callable[[str], None],
    what: str,
    elsewhere: Elsewhere | None = None,
) -> FeatureStore:
    """The one pass over a table, or what is kept of an earlier one; says how long it takes.

    Args:
        cache: Folder of what is kept.
        say: Takes a line.
        what: The images, in words.
        elsewhere: Where the pass is made, if not here.

    Raises: as `nn.features` does.
    """
    telling = Telling(say, f"features of {what}")
    how: Any = {"cache": cache, "device": device, "told": telling, "elsewhere": elsewhere}
    try:
        return features(backbone, table, **how)
    except TooLargeError:
        say(
            f"features of {what}: some are larger than float16 holds; all are kept as float32, in twice the room"
        )
        return features(backbone, table, **how, dtype="float32")


@dataclass(frozen=True, eq=False)
class Looked:
    """What the model says and sees.

    Args:
        task: "binary" or "multiclass".
        logits: Of each class, finite; two columns for a binary model, the first of them 0. They say which class wins
            where probabilities are rounded to 1.
        probabilities: Of each class, likewise.
        features: Of the layer that methods work on; memory-mapped where they are kept on the disk.
        layer: Its name.
    """

    task: Task
    logits: Float[ndarray, "n classes"]
    probabilities: Float[ndarray, "n classes"]
    features: Float[ndarray, "n d"]
    layer: str


def looked(backbone: Backbone, store: FeatureStore) -> Looked:
    """What one pass found.

    Raises:
        InputError: if logits are not finite.
    """
    logits = torch.from_numpy(_logits(store).astype(np.float64))
    if not bool(torch.isfinite(logits).all()):
        row = int((~torch.isfinite(logits)).any(1).nonzero()[0])
        raise InputError(
            f"Expected finite logits; {backbone.name} gives NaN or infinity for image {row}, counted from 0. Look at "
            "that picture, and at its weights."
        )
    task = task_of(backbone)
    if task == "binary":
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    tap = backbone.tap
    where = (
        "what it returns" if tap is None else tap.layer if tap.side == "output" else f"input of {tap.layer}"
    )
    return Looked(task, logits.numpy(), logits.softmax(1).numpy(), store.features, where)


def _logits(store: FeatureStore) -> Float[ndarray, "n k"]:
    if store.logits is None:
        raise InputError("Expected logits with the features; got none. Give a network with a last layer.")
    return store.logits


class Shown(NamedTuple):
    """A network and what it is run on.

    Args:
        network: Takes what `read` gives.
        layer: Where its features are.
        output: Where its prediction is.
        read: Positions of some batches → inputs, batch by batch.
    """

    network: nn.Module
    layer: str | None
    output: Output
    read: Reader


@dataclass(frozen=True, eq=False)
class View:
    """A table as methods see it.

    Args:
        source: The model.
        backbone: It, with its features found.
        table: The images, with labels of the model's classes.
        store: What one pass made of them.
    """

    source: ModelSource
    backbone: Backbone
    table: ImageTable
    store: FeatureStore

    def shown(self, method: Method) -> Shown:
        """What a method works on: kept features if it looks no further, else pictures through the network."""
        if method.on_features:
            return Shown(KeptFeatures(self.backbone.dimensions), KeptFeatures.layer, None, self._kept)
        source = self.source
        return Shown(source.network, source.layer, source.output, self._pictures)

    def at_a_time(self, method: Method, device: torch.device) -> int:
        """How many images a method scores at a time."""
        if method.on_features:
            return SCORED
        return affordable(self.source.network, self.table, device=device, most=SCORED)

    def _kept(self, places: Iterable[Int[ndarray, " b"]]) -> Iterator[Tensor]:
        logits = _logits(self.store)
        return (KeptFeatures.rows(self.store.features[rows], logits[rows]) for rows in places)

    def _pictures(self, places: Iterable[Int[ndarray, " b"]]) -> Iterator[Tensor]:
        return (pixels(torch.from_numpy(some)) for some in self.table.batches(places))


class Batches:
    """Batches (inputs, labels) of some images, as often as they are asked for.

    Args:
        read: Positions of some batches → inputs, batch by batch.
        rows: Positions of the images.
        labels: Of all images.
        batch_size: Images a batch; the last one may be smaller.
        device: Where they go.
        seed: A new random order at every pass; None keeps the order of `rows`.
        told: Called with how many images were taken so far, of all passes together.
    """

    def __init__(
        self,
        read: Reader,
        rows: Int[ndarray, " k"],
        labels: Int[ndarray, " n"],
        batch_size: int,
        device: torch.device,
        *,
        seed: int | None = None,
        told: Callable[[int], None] = lambda taken: None,
    ) -> None:
        self.read, self.rows, self.labels = read, rows, torch.from_numpy(labels)
        self.batch_size, self.device, self.told = batch_size, device, told
        self.chance = None if seed is None else np.random.default_rng(seed)
        self.taken = 0

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.rows)
        order = np.arange(n) if self.chance is None else self.chance.permutation(n)
        places = [self.rows[order[place]] for place in slices(n, self.batch_size)]
        for rows, inputs in zip(places, self.read(places), strict=True):
            yield inputs.to(self.device), self.labels[rows].to(self.device)
            self.taken += len(rows)
            self.told(self.taken)
