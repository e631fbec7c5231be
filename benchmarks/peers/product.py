"""equipoise itself, through its public call."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from equipoise.train import fit, recipe

from .harness import HOW, Outcome, Task, Trained, drawing


def fitted(task: Task, name: str, method: str = "debiased") -> Outcome:
    """A recipe by name, for as many passes as its peers take; with smaller batches these are more steps."""
    chosen = recipe(name)
    per_epoch = max(1, len(task.training) // HOW.batch_size)
    epochs = max(1, round(task.steps / per_epoch))
    chosen = replace(
        chosen, plain=replace(chosen.plain, epochs=epochs), debiased=replace(chosen.debiased, epochs=epochs)
    )
    done = fit(task.training.table, chosen, method=method, seed=task.seed, device="cpu", progress=False)
    told = {}
    if done.weights is not None:
        positives = task.training.take(np.flatnonzero(task.training.target == 1))
        told = drawing(positives, done.weights)
    return task.scored(Trained(done.model, done.steps, done.seconds), told=told)
