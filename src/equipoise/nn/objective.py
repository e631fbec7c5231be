"""What the training loop asks of a model: logits, and its losses on a batch. It never asks which method it
is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from equipoise.nn.losses import classification_loss

__all__ = ["Classifier", "Logits", "Losses", "Objective"]

Logits: TypeAlias = Float[Tensor, " batch"] | Float[Tensor, "batch classes"]
"""Of two classes the logit of the positive one, shape (batch,); of K classes one each, shape (batch, K)."""


class Losses(NamedTuple):
    """Losses of one batch.

    Args:
        total: What is minimised; a scalar with a gradient.
        parts: Its parts for the log, detached scalars by name.
        logits: Logits of the batch, shape (batch,) or (batch, K), detached.
        codes: Latent means of the batch's images, shape (batch, k), detached; None for models without a
            latent space.
    """

    total: Tensor
    parts: dict[str, Tensor]
    logits: Tensor
    codes: Tensor | None = None


def both_ways(
    logits: Callable[[Tensor], Tensor], images: Float[Tensor, "batch channels height width"]
) -> Logits:
    """Mean of the logits of images and of their mirror images: a face is the same face either way."""
    return (logits(images) + logits(images.flip(3))) / 2


class Objective(Protocol):
    """A model that can be trained, on two classes with one logit an image or on K > 2 with one a class."""

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Logits:
        """Logit of the positive class, or of each class."""

    def losses(
        self,
        images: Float[Tensor, "batch channels height width"],
        labels: Int[Tensor, " batch"],
        *,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """Losses of a batch of images and their class ids; `generator` drives whatever chance the method needs."""


class Classifier(nn.Module):
    """Any network, trained by cross-entropy: the plain baseline.

    One output is the logit of the positive class (sigmoid), K outputs are one of each class (softmax).

    Args:
        network: Maps images (batch, channels, height, width) to (batch, K), (batch, 1) or (batch,) logits.
        mirror: In evaluation mode logits are the mean over the image and its mirror image.
    """

    def __init__(self, network: nn.Module, *, mirror: bool = False) -> None:
        super().__init__()
        self.network, self.mirror = network, mirror

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Logits:
        """Logit of the positive class, or of each class."""
        if self.mirror and not self.training:
            return both_ways(self._logits, images)
        return self._logits(images)

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        if logits.ndim == 2 and logits.shape[1] > 1:
            return logits
        return logits.reshape(logits.shape[0])

    def losses(
        self,
        images: Float[Tensor, "batch channels height width"],
        labels: Int[Tensor, " batch"],
        *,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """Mean cross-entropy; nothing is drawn from `generator`."""
        logits = self(images)
        total = classification_loss(logits, labels)
        return Losses(total, {"classification": total.detach()}, logits.detach())
