"""Probabilities of images under a trained model."""

from __future__ import annotations

from typing import Any

import numpy as np

from equipoise.data import ImageTable
from equipoise.probabilities import Probabilities, from_logits
from equipoise.train.device import device_of
from equipoise.train.logits import model_logits

__all__ = ["predict"]


def predict(
    model: Any, images: ImageTable | Any, *, device: str = "auto", batch_size: int | None = None
) -> Probabilities:
    """Probabilities of images in [0, 1], with logits; the model stays as it was.

    Of a model with one logit, the probability of the positive class, shape (n,); of one with K, that of each class,
    shape (n, K), rows summing to 1.

    `images` is a table, or pictures as `ImageTable.from_arrays` takes them: what a test of windows or of changed pixels
    asks about. `batch_size` is how many images go through it at a time; None takes what memory takes.
    Probabilities of large logits are rounded to 1 and tie; `fairness` ranks by `logits`, and so should you.

    Raises:
        InputError: if there is no such device, pictures are not as said, or a logit is not finite; says
            which image's and why.
    """
    table = images if isinstance(images, ImageTable) else _unlabelled(images)
    return from_logits(model_logits(model, table, device=device_of(device), batch_size=batch_size))


def _unlabelled(images: Any) -> ImageTable:
    return ImageTable.from_arrays(images, np.zeros(len(images), np.int64))
