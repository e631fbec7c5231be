"""equipoise itself, through its public call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from equipoise.train import AUGMENTATIONS, Engine, fit, recipe

from .harness import HOW, Outcome, Task, Trained, drawing

SHIFT = 3  # pixels


class Views(nn.Module):
    """Mean logit over images and the same shifted up, down, left and right, edges repeated.

    Args:
        model: From images (batch, channels, side, side) to logits (batch,).
    """

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        side, wide = images.shape[3], pad(images, (SHIFT,) * 4, mode="replicate")
        places = ((SHIFT, SHIFT), (0, SHIFT), (2 * SHIFT, SHIFT), (SHIFT, 0), (SHIFT, 2 * SHIFT))
        views = (wide[:, :, top : top + side, left : left + side] for top, left in places)
        return torch.stack([self.model(view) for view in views]).mean(0)


def wide(task: Task) -> Outcome:
    """The default recipe drawn uniformly, on a network of twice the width, with all augmentations and weight decay.

    It is judged over ten views: shifted, and each mirrored. A step costs 2.4 times as much, judging about 12 times.
    """
    chosen = replace(recipe("equipoise"), width=24)
    done = fit(
        task.training.table,
        replace(
            chosen,
            debiased=replace(
                chosen.debiased,
                epochs=passes(task),
                optimizer="adamw",
                weight_decay=0.02,
                augmentation=AUGMENTATIONS,
            ),
        ),
        method="uniform",
        seed=task.seed,
        engine=Engine(device="cpu", progress=False),
    )
    return task.scored(Trained(Views(done.model).eval(), done.steps, done.seconds))


def passes(task: Task) -> int:
    """As many as the peers make; with smaller batches these are more steps."""
    return max(1, round(task.steps / max(1, len(task.training) // HOW.batch_size)))


def fitted(task: Task, name: str, method: str = "debiased") -> Outcome:
    """A recipe by name, for as many passes as its peers take."""
    chosen, epochs = recipe(name), passes(task)
    chosen = replace(
        chosen, plain=replace(chosen.plain, epochs=epochs), debiased=replace(chosen.debiased, epochs=epochs)
    )
    done = fit(
        task.training.table,
        chosen,
        method=method,
        seed=task.seed,
        engine=Engine(device="cpu", progress=False),
    )
    told = {}
    if done.weights:
        positives = task.training.take(np.flatnonzero(task.training.target == 1))
        told = drawing(positives, done.weights[1])
    return task.scored(Trained(done.model, done.steps, done.seconds), told=told)
