"""equipoise itself, through its public call, with as many passes over the pictures as its peers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from equipoise.train import fit, recipe

from .harness import HOW, Outcome, Task, Trained, drawing


def fitted(task: Task, name: str, method: str = "debiased") -> Outcome:
    """A recipe by name; a recipe with smaller batches takes more steps for as many passes."""
    chosen = recipe(name)
    epochs = max(1, round(task.steps / max(1, len(task.training) // HOW.batch_size)))
    chosen = replace(
        chosen, plain=replace(chosen.plain, epochs=epochs), debiased=replace(chosen.debiased, epochs=epochs)
    )
    done = fit(task.training.table, chosen, method=method, seed=task.seed, device="cpu", progress=False)
    told = {}
    if done.weights is not None:
        positives = task.training.take(np.flatnonzero(task.training.target == 1))
        told = drawing(positives, done.weights)
    return task.scored(Trained(done.model, done.steps, done.seconds), told=told)
