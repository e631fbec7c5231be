"""What the training loop asks of a model: a logit, and its losses on a batch. It never asks which method it
is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = ["Classifier", "Losses", "Objective"]


class Losses(NamedTuple):
    """Losses of one batch.

    Args:
        total: What is minimised; a scalar with a gradient.
        parts: Its parts for the log, detached scalars by name.
        logits: Logits of the batch, shape (batch,), detached.
        codes: Latent means of the batch's images, shape (batch, k), detached; None for models without a
            latent space.
    """

    total: Tensor
    parts: dict[str, Tensor]
    logits: Tensor
    codes: Tensor | None = None


def both_ways(
    logits: Callable[[Tensor], Tensor], images: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, " batch"]:
    """Mean of the logits of images and of their mirror images: a face is the same face either way."""
    return (logits(images) + logits(images.flip(3))) / 2


class Objective(Protocol):
    """A model that can be trained."""

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, " batch"]:
        """Logit of the positive class."""

    def losses(
        self,
        images: Float[Tensor, "batch channels height width"],
        labels: Int[Tensor, " batch"],
        *,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """Losses of a batch; `generator` drives whatever chance the method needs."""


class Classifier(nn.Module):
    """Any network with one output, trained by sigmoid cross-entropy: the plain baseline.

    Args:
        network: Maps images (batch, channels, height, width) to (batch, 1) or (batch,) logits.
        mirror: In evaluation mode the logit is the mean over the image and its mirror image.
    """

    def __init__(self, network: nn.Module, *, mirror: bool = False) -> None:
        super().__init__()
        self.network, self.mirror = network, mirror

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, " batch"]:
        """Logit of the positive class."""
        if self.mirror and not self.training:
            return both_ways(self._logits, images)
        return self._logits(images)

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits.reshape(logits.shape[0])

    def losses(
        self,
        images: Float[Tensor, "batch channels height width"],
        labels: Int[Tensor, " batch"],
        *,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """Mean sigmoid cross-entropy; nothing is drawn from `generator`."""
        logits = self(images)
        total = binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        return Losses(total, {"classification": total.detach()}, logits.detach())
