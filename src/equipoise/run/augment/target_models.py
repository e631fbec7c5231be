"""The classifiers of the target that `augment` compares: how each is trained, and where its threshold is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable, Split
from equipoise.fairness import threshold_at_equal_error, threshold_at_prevalence
from equipoise.latent import mixed
from equipoise.resample import cell_rows
from equipoise.run.augment.making_pairs import Made
from equipoise.run.augment.numbers import Judged
from equipoise.run.augment.protected import Protected, joint
from equipoise.run.training import Trainer
from equipoise.seeds import child_seed
from equipoise.train import Fit, predict

__all__ = ["TargetModel", "TrainedModel", "judged_models", "target_models"]

Floats = NDArray[np.float64]
FEW = 10  # validation images of each target that a threshold of a group needs


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A classifier of the target: what people read, what it needs, and how it was trained."""

    title: str
    role: str
    sees: str
    fit: Fit


@dataclass(frozen=True, eq=False)
class TargetModel(TrainedModel):
    """The same with its scores of the test images."""

    judged: Judged


def target_models(
    tables: Split,
    known: Sequence[Protected],
    made: Made,
    trainer: Trainer,
    *,
    sampling: str,
    controls: bool,
    seed: int,
) -> dict[str, TrainedModel]:
    """Classifiers by name, all from tables of one length, so of equally many steps.

    Args:
        tables: Labels are those of the target.
        known: The protected attributes.
        made: The pairs.
        trainer: How classifiers are trained.
        sampling: Of the real images beside the pairs: "balanced" draws all cells of target × protected equally often,
            "natural" takes each image once.
        controls: Train the controls too.
        seed: The one source of chance.
    """
    real, told_by = tables.train, "in training" if all(one.annotated for one in known) else ""
    total = len(real) + len(made.table)
    share = len(made.table) / total
    first = made.table.take(np.flatnonzero(np.asarray(made.table.column("side")) == "original"))
    cells = joint(known, "train", real.labels)
    beside = real
    if sampling == "balanced":
        beside = real.take(cell_rows(cells, len(real), seed=child_seed(seed, "beside rows")))
    wanted = {
        "plain": (
            "plain",
            "plain",
            "",
            real.take(cell_rows(np.zeros(len(real), np.int64), total, seed=child_seed(seed, "plain rows"))),
        ),
        "augmented": ("with pairs", "augmented", told_by, mixed(beside, made.table, share, seed=seed)),
    }
    if controls:
        again = cell_rows(
            np.zeros(len(first), np.int64), len(made.table), seed=child_seed(seed, "unedited rows")
        )
        both = mixed(beside, first.take(np.sort(again)), share, seed=seed)
        wanted |= {
            "unedited": ("with images not edited", "control", told_by, both),
            "balanced": (
                "cells drawn equally often",
                "comparison",
                told_by,
                real.take(cell_rows(cells, total, seed=child_seed(seed, "balanced rows"))),
            ),
        }
    return {
        name: TrainedModel(
            title, role, sees, trainer.plain(name, title, table, seed=child_seed(seed, "target"))
        )
        for name, (title, role, sees, table) in wanted.items()
    }


def judged_models(
    models: Mapping[str, TrainedModel], tables: Split, known: Sequence[Protected], device: str
) -> tuple[dict[str, TargetModel], list[str]]:
    """All models with scores and thresholds, and what was left out.

    A threshold makes as many validation images positive as there are. Beside the models stands the plain one with a
    threshold of its own for each group, at which both classes are equally often right there: it needs the protected
    attribute in use, but nothing has to be trained or generated.
    """
    validation = tables.validation
    held_out = {name: logits_of(one.fit.model, validation, device) for name, one in models.items()}
    found = {}
    for name, one in models.items():
        scores = logits_of(one.fit.model, tables.test, device)
        judged = Judged(scores, threshold_at_prevalence(held_out[name], validation.labels))
        found[name] = TargetModel(**vars(one), judged=judged)
    if not all(one.annotated for one in known):
        return found, []
    held, test = joint(known, "validation"), joint(known, "test")
    limits = {}
    for group in np.unique(test[test >= 0]):
        mine = held == group
        few = [int((validation.labels[mine] == label).sum()) for label in (0, 1)]
        if min(few) < FEW:
            note = (
                f"Thresholds of each group were left out: one of them needs {FEW} validation images with and without "
                f"the target, and has {few[1]} and {few[0]}."
            )
            return found, [note]
        limits[group] = threshold_at_equal_error(held_out["plain"][mine], validation.labels[mine])
    moved = found["plain"].judged.scores.copy()
    for group, limit in limits.items():
        moved[test == group] -= limit
    moved[test < 0] -= found["plain"].judged.threshold
    plain = models["plain"]
    found["thresholds"] = TargetModel(
        "plain, threshold by group", "comparison", "in use", plain.fit, Judged(moved, 0.0)
    )
    return found, []


def logits_of(model: Any, table: ImageTable, device: str) -> Floats:
    """Logits of a trained classifier: they rank without false ties."""
    return np.asarray(predict(model, table, device=device).logits)
