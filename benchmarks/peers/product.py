"""equipoise itself, through its public call. Its default takes fewer passes than its peers: its network costs more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from equipoise.train import fit, recipe
from equipoise.train.recipe import epochs_of

from .harness import HOW, Outcome, Task, Trained, drawing


def fitted(task: Task, name: str, method: str = "debiased") -> Outcome:
    """A recipe by name, for as many passes as its peers take; one that sets its passes by itself never takes more.

    A recipe with smaller batches takes more steps for as many passes.
    """
    chosen = recipe(name)
    per_epoch = max(1, len(task.training) // HOW.batch_size)
    epochs = max(1, round(task.steps / per_epoch))
    if chosen.debiased.epochs == "auto":
        epochs = min(epochs, epochs_of(chosen.debiased, per_epoch))
    chosen = replace(
        chosen, plain=replace(chosen.plain, epochs=epochs), debiased=replace(chosen.debiased, epochs=epochs)
    )
    done = fit(task.training.table, chosen, method=method, seed=task.seed, device="cpu", progress=False)
    told = {}
    if done.weights is not None:
        positives = task.training.take(np.flatnonzero(task.training.target == 1))
        told = drawing(positives, done.weights)
    return task.scored(Trained(done.model, done.steps, done.seconds), told=told)
