"""Risk scores of images that the methods did not learn from: each half is scored by methods fitted on the other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from equipoise.data import ImageTable, split
from equipoise.errors import InputError
from equipoise.failures import refused
from equipoise.nn import affordable, pixels, slices
from equipoise.risk import KINDS, Method, Risk, percentile_ranks
from equipoise.risk.seen import Seen, Task
from equipoise.run.model_source import ModelSource
from equipoise.seeds import child_seed

__all__ = [
    "Learning",
    "Looked",
    "Scored",
    "TableBatches",
    "check_methods",
    "cross_fitted_scores",
    "halves",
    "looked",
]

SCORED = 256  # images at a time, at most
STEPS = 400  # of learning, about, where the user does not say how many epochs


@dataclass(frozen=True)
class Learning:
    """How methods learn.

    Args:
        epochs: Passes for methods with layers of their own; None makes about 400 steps of them.
        batch_size: Images a step.
        seed: Of order and chance.
        device: Where.
    """

    epochs: int | None = None
    batch_size: int = 64
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


class TableBatches:
    """Batches (pixels in [0, 1], labels) of a table, as often as they are asked for.

    Args:
        table: The images.
        batch_size: Images a batch; the last one may be smaller.
        device: Where they go.
        seed: A new random order at every pass; None keeps the order of the table.
    """

    def __init__(
        self, table: ImageTable, batch_size: int, device: torch.device, *, seed: int | None = None
    ) -> None:
        self.table, self.batch_size, self.device = table, batch_size, device
        self.chance = None if seed is None else np.random.default_rng(seed)

    def __len__(self) -> int:
        return math.ceil(len(self.table) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.table)
        order = np.arange(n) if self.chance is None else self.chance.permutation(n)
        for place in slices(n, self.batch_size):
            rows = order[place]
            images = pixels(torch.from_numpy(self.table.batch(rows)).to(self.device))
            yield images, torch.from_numpy(self.table.labels[rows]).to(self.device)


class Looking(Method):
    """Prediction and features of a model, as raw scores: no risk, only a look through the wrapper's eyes."""

    label = "looking"
    kinds = ()
    uses_features = True

    def risk(self, seen: Seen) -> Risk:
        return Risk(raw={"prediction": seen.prediction, "features": seen.needed_features()})


@dataclass(frozen=True, eq=False)
class Looked:
    """What the model says and sees.

    Args:
        task: "binary" or "multiclass".
        logits: Of each class, finite; two columns for a binary model, the first of them 0. They say which class wins
            where probabilities are rounded to 1.
        probabilities: Of each class, likewise.
        features: Of the layer that methods work on.
        layer: Its name.
    """

    task: Task
    logits: Float[ndarray, "n classes"]
    probabilities: Float[ndarray, "n classes"]
    features: Float[ndarray, "n d"]
    layer: str


@torch.no_grad()
def looked(source: ModelSource, table: ImageTable, learning: Learning) -> Looked:
    """Run the model over all images once.

    Raises:
        InputError: if predictions are not logits, or labels are not classes of the model.
    """
    wrapped = Looking()(source.network, layer=source.layer, output=source.output).eval()
    predictions, features = [], []
    size = affordable(source.network, table, device=learning.device, most=SCORED)
    for images, _ in TableBatches(table, size, learning.device):
        try:
            _, risk = wrapped(images, return_risk=True)
        except RuntimeError as error:
            if refused(error):
                raise
            raise InputError(
                f"Expected a model for images of shape {tuple(images.shape[1:])} (channels, height, width); got this "
                f"error from it: {error}. Give the `image_size` and `channels` that it takes."
            ) from error
        predictions.append(risk.raw["looking.prediction"].double().cpu())
        features.append(risk.raw["looking.features"].cpu())
    logits = torch.cat(predictions)
    if (
        logits.ndim > 2
        or (logits.ndim == 2 and not logits.shape[1])
        or not bool(torch.isfinite(logits).all())
    ):
        finite = bool(torch.isfinite(logits).all())
        raise InputError(
            f"Expected finite logits of shape (batch, classes), (batch, 1) or (batch,); got shape "
            f"{tuple(logits.shape)}{'' if finite else ' with NaN or infinity'}. Say which part of what the model "
            "returns they are, `output`."
        )
    task: Task = "multiclass" if logits.ndim == 2 and logits.shape[1] > 1 else "binary"
    if task == "binary":
        logits = torch.stack([torch.zeros(len(logits), dtype=logits.dtype), logits.reshape(-1)], 1)
    classes = logits.shape[1]
    if not 0 <= table.labels.min() <= table.labels.max() < classes:
        raise InputError(
            f"Expected labels 0…{classes - 1}, the model's classes; got {table.labels.min()}…{table.labels.max()}. "
            "Give data with the classes that the model knows."
        )
    where = source.layer or (f"input of {wrapped.tap.layer}" if wrapped.tap else "")
    seen = torch.cat(features).float().numpy()
    return Looked(task, logits.numpy(), logits.softmax(1).numpy(), seen, where)


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores by column name.

    Args:
        risks: kind_method → risk, higher = trust it less, in the method's unit; comparable within a half.
        percentiles: The same as percentiles of the half that each image was scored in.
        raw: method.score → as the method computed it.
        kinds: kind_method → kind.
        methods: kind_method → the method and its settings.
        half: Which half an image was scored in: 1 or 2; all 1 with reference data.
        seconds: Method → learning and scoring.
    """

    risks: dict[str, Float[ndarray, " n"]]
    percentiles: dict[str, Float[ndarray, " n"]]
    raw: dict[str, Float[ndarray, " n"]]
    kinds: dict[str, str]
    methods: dict[str, str]
    half: Int[ndarray, " n"]
    seconds: dict[str, float]


def halves(table: ImageTable, seed: int) -> list[Int[ndarray, " k"]]:
    """Positions of two halves, labels balanced, equal pictures on one side."""
    numbered = replace(table, attributes=pa.table({"row": np.arange(len(table))}))
    sides = split(numbered, fractions=(0.5, 0.0, 0.5), seed=child_seed(seed, "audit"))
    return [np.asarray(side.column("row"), dtype=np.int64) for side in (sides.train, sides.test)]


def check_methods(
    source: ModelSource,
    table: ImageTable,
    methods: Mapping[str, Method],
    task: Task,
    learning: Learning,
    *,
    reference: ImageTable | None = None,
) -> None:
    """Whether every method can be put around the model and has images enough, before one of them learns.

    Raises:
        InputError: if one cannot or has not.
    """
    learned = (
        [reference] if reference is not None else [table.take(rows) for rows in halves(table, learning.seed)]
    )
    example = pixels(torch.from_numpy(table.batch(np.arange(min(2, len(table))))).to(learning.device))
    for name, method in methods.items():
        least, needed = min(map(len, learned)), fewest(method)
        if least < needed:
            where = "the reference" if reference is not None else "the smaller half"
            raise InputError(
                f"{name} needs {needed} images to learn from; got {least} in {where}. Give more, or leave it out of "
                "`methods`."
            )
        method(source.network, layer=source.layer, output=source.output, task=task, example=example)


def fewest(method: Method) -> int:
    """Images that a method needs to learn from: more than the neighbours it counts, ten a bin of its histogram."""
    parts: list[Any] = list(method.modules())
    neighbours = [part.k + 1 for part in parts if isinstance(getattr(part, "k", None), int)]
    bins = [10 * part.bins for part in parts if hasattr(part, "bins") and hasattr(part, "position")]
    return int(max([1, *neighbours, *bins]))


def cross_fitted_scores(
    source: ModelSource,
    table: ImageTable,
    methods: Mapping[str, Method],
    task: Task,
    learning: Learning,
    *,
    reference: ImageTable | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Scored:
    """Score every image by methods that did not learn from it.

    Args:
        source: The model; it stays as it is.
        table: What is to be scored.
        methods: Name → method.
        task: What the prediction is.
        learning: How methods learn.
        reference: Methods learn from this and score the whole table; None lets each half score the other.
        say: Told what is going on.

    Raises:
        InputError: if a half is too small for a method, or a score is not finite.
    """
    n = len(table)
    parts = [np.arange(n)] if reference is not None else halves(table, learning.seed)
    half = np.zeros(n, np.int64)
    found = Scored({}, {}, {}, {}, {}, half, dict.fromkeys(methods, 0.0))
    for number, rows in enumerate(parts):
        half[rows] = number + 1
        learn = reference if reference is not None else table.take(parts[1 - number])
        if not len(rows) or not len(learn):
            raise InputError(f"Expected images for two halves; got {n} images. Give more, or `reference`.")
        part = _Part(rows, table.take(rows), learn)
        for name, method in methods.items():
            began = time.perf_counter()
            _score(source, name, method, part, task, learning, found)
            spent = time.perf_counter() - began
            found.seconds[name] += spent
            whom = "the reference" if reference is not None else f"half {2 - number}"
            say(f"{name}: learned from {whom}, scored {len(rows):,} images in {spent:.1f} s")
    for column, values in found.risks.items():
        if not np.isfinite(values).all():
            raise InputError(
                f"Expected finite scores; {column} has NaN or infinity. Leave its method out, `methods`."
            )
        ranks = np.empty(n)
        for rows in parts:
            ranks[rows] = percentile_ranks(values[rows])
        found.percentiles[column] = ranks
    return found


class _Part(NamedTuple):
    """Images that are scored at a time, their rows in the whole, and those that methods learn from."""

    rows: Int[ndarray, " k"]
    images: ImageTable
    learn: ImageTable


def _score(
    source: ModelSource,
    name: str,
    method: Method,
    part: _Part,
    task: Task,
    learning: Learning,
    found: Scored,
) -> None:
    """Fit one method and write its scores of some rows into `found`."""
    chance = torch.Generator(learning.device).manual_seed(child_seed(learning.seed, name, "loss"))
    batches = TableBatches(
        part.learn, learning.batch_size, learning.device, seed=child_seed(learning.seed, name, "order")
    )
    wrapped = method(source.network, layer=source.layer, output=source.output, task=task)
    wrapped.to(learning.device)
    epochs = max(1, round(STEPS / len(batches))) if learning.epochs is None else learning.epochs
    wrapped.fit(batches, epochs=epochs, generator=chance)
    wrapped.eval()
    told: dict[str, list[Tensor]] = {}
    size = affordable(source.network, part.images, device=learning.device, most=SCORED)
    with torch.no_grad():
        for images, _ in TableBatches(part.images, size, learning.device):
            _, risk = wrapped(images, return_risk=True)
            kinds = {f"{kind}_{name}": getattr(risk, kind) for kind in KINDS}
            raw = {f"{name}.{score.partition('.')[2]}": values for score, values in risk.raw.items()}
            for column, values in {**kinds, **raw}.items():
                if values is not None:
                    told.setdefault(column, []).append(values.detach().double().cpu())
    for column, values in told.items():
        kind, _, rest = column.partition("_")
        is_risk = rest == name and kind in KINDS
        target = found.risks if is_risk else found.raw
        if is_risk:
            found.kinds[column] = kind
            used: nn.Module = next(iter(wrapped.methods.values()))  # the copy, which knows this model
            found.methods[column] = f"{type(used).__name__}({used.extra_repr()})"
        target.setdefault(column, np.full(len(found.half), np.nan))[part.rows] = torch.cat(values).numpy()
