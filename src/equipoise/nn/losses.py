"""Losses of the debiasing VAE, as pure functions.

Source: Amini, Soleimany, Schwarting, Bhatia, Rus, "Uncovering and Mitigating Algorithmic Bias through Learned
Latent Structure", AIES 2019, equations 1–3; MIT 6.S191, lab 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from equipoise.nn.ranks import normal

__all__ = [
    "Reconstruction",
    "classification_loss",
    "db_vae_loss",
    "kl_divergence",
    "l1_reconstruction",
    "reconstruction_loss",
    "reparameterise",
    "squared_l2_reconstruction",
]

Reconstruction = Literal["l1", "squared_l2"]


def reparameterise(
    mean: Float[Tensor, "batch k"],
    log_variance: Float[Tensor, "batch k"],
    *,
    generator: torch.Generator | None = None,
    chosen: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, "batch k"]:
    """z = μ + exp(½λ)·ε, ε ~ N(0, I): a draw from the code's posterior that lets gradients through.

    Args:
        generator: Source of ε, on any device; None takes torch's own.
        chosen: Labels of a batch → which of its images these are, where processes share it; None are all.
    """
    options: Any = {"device": mean.device, "dtype": mean.dtype} | ({"chosen": chosen} if chosen else {})
    noise = normal(mean.shape, generator, **options)
    return mean + torch.exp(0.5 * log_variance) * noise


def kl_divergence(
    mean: Float[Tensor, "batch k"], log_variance: Float[Tensor, "batch k"]
) -> Float[Tensor, " batch"]:
    """KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ (σ² + μ² − 1 − log σ²) of each sample, nats.

    Example:
        >>> kl_divergence(torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.zeros(2, 2))
        tensor([0., 2.])
    """
    return 0.5 * (torch.exp(log_variance) + mean.square() - 1 - log_variance).sum(1)


def l1_reconstruction(
    images: Float[Tensor, "batch c h w"], reconstructions: Float[Tensor, "batch c h w"]
) -> Float[Tensor, " batch"]:
    """Mean of |x − x̂| over pixels and channels of each sample: the lab's L_x."""
    total: Tensor = torch.linalg.vector_norm(reconstructions - images, ord=1, dim=(1, 2, 3))
    return total / images.shape[1:].numel()


def squared_l2_reconstruction(
    images: Float[Tensor, "batch c h w"], reconstructions: Float[Tensor, "batch c h w"]
) -> Float[Tensor, " batch"]:
    """‖x − x̂‖² of each sample, summed over pixels and channels: the assignment's L_x."""
    return (images - reconstructions).square().sum((1, 2, 3))


def reconstruction_loss(
    images: Float[Tensor, "batch c h w"], reconstructions: Float[Tensor, "batch c h w"], kind: Reconstruction
) -> Float[Tensor, " batch"]:
    """L_x of each sample, by name."""
    return (l1_reconstruction if kind == "l1" else squared_l2_reconstruction)(images, reconstructions)


def classification_loss(
    logits: Float[Tensor, " batch"] | Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """L_y, mean over the batch: sigmoid cross-entropy of one logit an image, softmax cross-entropy of one a class.

    Args:
        labels: 1 or 0 for one logit; class ids 0…K−1 for K.
    """
    if logits.ndim == 1:
        return binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
    full = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return cross_entropy(full, labels.long())


def db_vae_loss(
    logits: Float[Tensor, " batch"] | Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    vae: Float[Tensor, " carrying"],
) -> Float[Tensor, ""]:
    """Mean over the batch of [ L_y + 1(y ∈ C)·L_VAE ]: every image teaches the classifier, those of the classes C
    that carry the VAE also the VAE. In the paper these are the positives.

    Args:
        labels: 1 or 0 for one logit an image; class ids 0…K−1 for one a class.
        vae: L_VAE of the images of C only; empty if there is none. Divided by the size of the whole batch.

    Source: equation 3 of the paper. Differs from it in: nothing for one logit (some public versions put the indicator
    on L_y); for K logits L_y is the softmax cross-entropy, and C is chosen.
    """
    return classification_loss(logits, labels) + vae.sum() / len(logits)
