"""Real images to latents, through an encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.errors import InputError
from equipoise.latent.scores import ManyImages, through
from equipoise.nn import DBVAE

__all__ = ["invert"]


def invert(
    encoder: DBVAE | Callable[[Tensor], Tensor],
    images: ManyImages,
    *,
    latent: int | None = None,
    batch_size: int = 256,
) -> Float[Tensor, "n k"]:
    """A latent of each image, float32 on the CPU; feed them to `pairs_of`.

    How much of an image its latent keeps is another matter: decode it and look.

    Args:
        encoder: A DB-VAE, whose code means are taken, or anything from float images (n, channels, height, width) in
            [0, 1] to latents (n, k). A module runs in evaluation mode, where its weights are.
        images: Real images.
        latent: Size that the generator takes; None takes any.
        batch_size: Images at a time.

    Raises:
        InputError: if the latents are not finite floats of that size.
    """

    def read(found: Any, count: int) -> Tensor:
        if not isinstance(found, Tensor) or not found.is_floating_point() or found.ndim != 2:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(
                f"An encoder must give float latents, one a row, shape ({count}, k); got {got}. "
                "Pass a function that returns only the means, flattened."
            )
        if len(found) != count or found.shape[1] != (latent or found.shape[1]):
            raise InputError(
                f"An encoder must give latents of shape ({count}, {latent or 'k'}); got {tuple(found.shape)}. "
                "Use the encoder that was trained with this generator."
            )
        if not torch.isfinite(found).all():
            raise InputError(
                "An encoder's latents must be finite; got NaN or infinity. Check its training, and that it takes "
                "pixels in [0, 1]."
            )
        return found.float()

    network = _Means(encoder) if isinstance(encoder, DBVAE) else encoder
    return through(network, images, batch_size, read)


class _Means(torch.nn.Module):
    """A DB-VAE seen as an encoder."""

    def __init__(self, model: DBVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.encode(images).mean
