"""Risk scores of images that the methods did not learn from: each half is scored by methods fitted on the other."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from equipoise.data import ImageTable, split
from equipoise.errors import InputError, NotFittedError
from equipoise.nn import Backbone, features
from equipoise.risk import KINDS, Method, Wrapped, percentile_ranks
from equipoise.run.audit.telling import Telling
from equipoise.run.audit.view import Batches, View, looked, task_of
from equipoise.run.model_source import ModelSource
from equipoise.seeds import child_seed

__all__ = [
    "Learning",
    "Scored",
    "check_methods",
    "cross_fitted_scores",
    "halves",
]

OBSERVED = 1024  # rows at a time where there are no steps, only statistics
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
    backbone: Backbone,
    tables: Mapping[str, ImageTable],
    methods: Mapping[str, Method],
    learning: Learning,
) -> None:
    """Whether every method works on the model and has images enough: tried on two of them, before anything long starts.

    Args:
        source: The model.
        backbone: It, with its features found.
        tables: "audited", and "reference" where methods learn from that.
        methods: Name → method.
        learning: How methods learn.

    Raises:
        InputError: if one does not or has not.
    """
    table, reference = tables["audited"], tables.get("reference")
    learned = (
        [len(reference)] if reference is not None else [len(rows) for rows in halves(table, learning.seed)]
    )
    few = table.take(np.arange(min(2, len(table))))
    trial = View(source, backbone, few, features(backbone, few, device=learning.device, dtype="float32"))
    looked(backbone, trial.store)
    for name, method in methods.items():
        if min(learned) < fewest(method):
            where = "the reference" if reference is not None else "the smaller half"
            raise InputError(
                f"{name} needs {fewest(method)} images to learn from; got {min(learned)} in {where}. Give more, or "
                "leave it out of `methods`."
            )
        shown = trial.shown(method)
        batch = next(iter(Batches(shown.read, np.arange(len(few)), few.labels, 2, learning.device)))
        how: Any = {"layer": shown.layer, "output": shown.output, "task": task_of(backbone)}
        if method.on_features:  # what is not there yet does not depend on the network
            method(shown.network, example=batch[0], **how)
            continue
        wrapped = method(shown.network, **how).to(learning.device)
        wrapped.fit([batch], generator=torch.Generator(learning.device).manual_seed(0)).eval()
        # of two images some cannot tell anything yet
        with contextlib.suppress(NotFittedError), torch.no_grad():
            wrapped(batch[0], return_risk=True)


def fewest(method: Method) -> int:
    """Images that a method needs to learn from: more than the neighbours it counts, ten a bin of its histogram."""
    parts: list[Any] = list(method.modules())
    neighbours = [part.k + 1 for part in parts if isinstance(getattr(part, "k", None), int)]
    bins = [10 * part.bins for part in parts if hasattr(part, "bins") and hasattr(part, "position")]
    return int(max([1, *neighbours, *bins]))


def cross_fitted_scores(
    view: View,
    methods: Mapping[str, Method],
    learning: Learning,
    *,
    reference: View | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Scored:
    """Score every image by methods that did not learn from it.

    Args:
        view: What is to be scored; its model stays as it is.
        methods: Name → method.
        learning: How methods learn.
        reference: Methods learn from this and score the whole view; None lets each half score the other.
        say: Told what is going on.

    Raises:
        InputError: if a half is too small for a method, or a score is not finite.
    """
    n = len(view.table)
    parts = [np.arange(n)] if reference is not None else halves(view.table, learning.seed)
    half = np.zeros(n, np.int64)
    found = Scored({}, {}, {}, {}, {}, half, dict.fromkeys(methods, 0.0))
    for number, rows in enumerate(parts):
        half[rows] = number + 1
        teacher = view if reference is None else reference
        learn = parts[1 - number] if reference is None else np.arange(len(reference.table))
        if not len(rows) or not len(learn):
            raise InputError(f"Expected images for two halves; got {n} images. Give more, or `reference`.")
        whom = "the reference" if reference is not None else f"half {2 - number}"
        part = _Part(view, rows, teacher, learn, whom)
        for name, method in methods.items():
            began = time.perf_counter()
            _score(name, method, part, learning, found, say)
            spent = time.perf_counter() - began
            found.seconds[name] += spent
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
    """Images that are scored at a time, and those that methods learn from; positions, and the latter in words."""

    view: View
    rows: Int[ndarray, " k"]
    teacher: View
    learn: Int[ndarray, " m"]
    whom: str


def _score(
    name: str,
    method: Method,
    part: _Part,
    learning: Learning,
    found: Scored,
    say: Callable[[str], None],
) -> None:
    """Fit one method and write its scores of some rows into `found`."""
    wrapped = _fitted(name, method, part, learning, say)
    shown, told = part.view.shown(method), dict[str, list[Tensor]]()
    size = part.view.at_a_time(method, learning.device)
    telling = Telling(say, f"{name}: scoring").taken(len(part.rows))
    batches = Batches(shown.read, part.rows, part.view.table.labels, size, learning.device, told=telling)
    with torch.no_grad():
        for inputs, _ in batches:
            _, risk = wrapped(inputs, return_risk=True)
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


def _fitted(
    name: str, method: Method, part: _Part, learning: Learning, say: Callable[[str], None]
) -> Wrapped:
    """A method that has learned, ready to score."""
    shown, rows = part.teacher.shown(method), part.learn
    chance = torch.Generator(learning.device).manual_seed(child_seed(learning.seed, name, "loss"))
    order = child_seed(learning.seed, name, "order")
    size = learning.batch_size
    if not method.learns and method.on_features:
        size = max(size, OBSERVED)
    steps = math.ceil(len(rows) / size)
    epochs = max(1, round(STEPS / steps)) if learning.epochs is None else learning.epochs
    passes = epochs + 1 if method.learns else 1
    telling = Telling(say, f"{name}: learning from {part.whom}").taken(passes * len(rows))
    batches = Batches(
        shown.read,
        rows,
        part.teacher.table.labels,
        size,
        learning.device,
        seed=order,
        told=telling,
    )
    wrapped = method(shown.network, layer=shown.layer, output=shown.output, task=task_of(part.view.backbone))
    wrapped.to(learning.device)
    return wrapped.fit(batches, epochs=epochs, generator=chance).eval()
