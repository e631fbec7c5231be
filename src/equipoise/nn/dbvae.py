"""The debiasing VAE (DB-VAE): one encoder, a classifier's logits beside a latent code, and a decoder for
positives, or for the classes that are named.

Source: Amini, Soleimany, Schwarting, Bhatia, Rus, AIES 2019; MIT 6.S191 lab 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from equipoise.errors import InputError
from equipoise.nn.decoder import Decoder, Output
from equipoise.nn.losses import (
    Reconstruction,
    classification_loss,
    db_vae_loss,
    kl_divergence,
    reconstruction_loss,
    reparameterise,
)
from equipoise.nn.modes import evaluating
from equipoise.nn.objective import Logits, Losses, both_ways
from equipoise.nn.standard_cnn import StandardCNN, glorot_linear

__all__ = ["DBVAE", "Encoding"]


class Encoding(NamedTuple):
    """What the encoder says of a batch.

    Args:
        logit: Of the positive class, or of each class.
        mean: μ of each code.
        log_variance: λ = log σ² of each code.
    """

    logit: Logits
    mean: Float[Tensor, "batch k"]
    log_variance: Float[Tensor, "batch k"]


class DBVAE(nn.Module):
    """A classifier that also learns the latent structure of the positives, or of named classes, to resample them by.

    Args:
        encoder: Any network from images to feature vectors (batch, n); None takes the standard CNN up to its
            hidden layer. One linear layer on top gives [logits | μ | λ].
        outputs: 1 for the logit of positives against negatives, K for one of each of K classes.
        vae_classes: Ids of the classes whose images the VAE learns to rebuild. None: with one logit the positives, with
            K all classes.
        latent: Size k of a code.
        width: Filters of the first stage, of the standard encoder and of the decoder.
        depth: Stages of both.
        image_size: Height and width in pixels, a multiple of 2^depth.
        channels: 3 for colour, 1 for grey.
        reconstruction: L_x: "l1" (the lab) or "squared_l2" (the assignment).
        decoder_output: "relu" (the labs), "linear" or "sigmoid".
        kl_weight: c in L_VAE = c·L_KL + L_x.
        norm_momentum: Of the standard encoder's batch norm, see `StandardCNN`.
        features: Length of `encoder`'s feature vectors; None finds it out by passing it one black image.
        mirror: In evaluation mode logits are the mean over the image and its mirror image; codes are not.
        generator: Drives the starting weights; None takes torch's own.

    Raises:
        InputError: if a size or a name is not possible, or `encoder` does not give feature vectors.

    Source: AIES 2019, section 3; lab 2. Differs from it in: only positives are decoded, since the loss of a
    negative has no reconstruction in it; the losses and gradients are the same. K logits are ours.

    Example:
        >>> model = DBVAE(latent=8, width=4, image_size=32)
        >>> model(torch.zeros(5, 3, 32, 32)).shape
        torch.Size([5])
    """

    def __init__(  # a public door: each keyword is a setting of the papers by itself
        self,
        encoder: nn.Module | None = None,
        *,
        outputs: int = 1,
        vae_classes: Sequence[int] | None = None,
        latent: int = 100,
        width: int = 12,
        depth: int = 4,
        image_size: int = 64,
        channels: int = 3,
        reconstruction: Reconstruction = "l1",
        decoder_output: Output = "relu",
        kl_weight: float = 5e-4,
        norm_momentum: float = 0.01,
        features: int | None = None,
        mirror: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if reconstruction not in get_args(Reconstruction):
            raise InputError(
                f"reconstruction must be one of {', '.join(get_args(Reconstruction))}; "
                f"got {reconstruction!r}. Choose one of these."
            )
        if not 0 <= kl_weight < float("inf"):
            raise InputError(f"kl_weight must be 0 or larger; got {kl_weight}. The labs use 0.0005.")
        if outputs < 1:
            raise InputError(f"outputs must be 1 or larger; got {outputs}. 1 is for two classes.")
        self.outputs = outputs
        self.vae_classes = _carrying(vae_classes, outputs)
        if encoder is None:
            encoder = StandardCNN(
                None,
                width=width,
                depth=depth,
                image_size=image_size,
                channels=channels,
                norm_momentum=norm_momentum,
                generator=generator,
            )
            features = encoder.hidden.out_features
        elif features is None:
            features = feature_count(encoder, channels, image_size)
        self.latent, self.kl_weight, self.mirror = latent, kl_weight, mirror
        self.reconstruction: Reconstruction = reconstruction
        self.decoder = Decoder(
            latent,
            width=width,
            depth=depth,
            image_size=image_size,
            channels=channels,
            output=decoder_output,
            generator=generator,
        )
        self.encoder = encoder
        self.head = glorot_linear(features, 2 * latent + outputs, generator)

    def extra_repr(self) -> str:
        return f"latent={self.latent}, reconstruction={self.reconstruction!r}, kl_weight={self.kl_weight:g}"

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Logits:
        """Logit of the positive class, or of each class."""
        if self.mirror and not self.training:
            return both_ways(lambda seen: self.encode(seen).logit, images)
        return self.encode(images).logit

    def encode(self, images: Float[Tensor, "batch channels height width"]) -> Encoding:
        """Logits, mean and log-variance."""
        raw: Tensor = self.head(self.encoder(images))
        first = self.outputs
        logit = raw[:, 0] if first == 1 else raw[:, :first]
        return Encoding(logit, raw[:, first : first + self.latent], raw[:, first + self.latent :])

    def decode(self, codes: Float[Tensor, "batch k"]) -> Float[Tensor, "batch channels height width"]:
        """Images of codes."""
        images: Tensor = self.decoder(codes.to(self.head.weight.dtype))
        return images

    def reconstruct(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Images as the model remembers them: decoded from the mean, without noise."""
        return self.decode(self.encode(images).mean)

    def losses(
        self,
        images: Float[Tensor, "batch channels height width"],
        labels: Int[Tensor, " batch"],
        *,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """Mean over the batch of [ L_y + 1(y ∈ C)·L_VAE ], C the classes that carry the VAE: the positives.

        Args:
            labels: 1 or 0, or ids of K classes. A batch without images of C has no VAE loss.
            generator: Source of the reparameterisation noise.

        Returns:
            Losses whose parts `classification`, `kl` (weighted by `kl_weight`) and `reconstruction` are the
            terms of the total: they sum to it, each divided by the size of the whole batch.
        """
        logit, mean, log_variance = (_full(part) for part in self.encode(images))
        rows = self._carrying(labels).nonzero().squeeze(1)
        mu, lam = mean[rows], log_variance[rows]
        reconstructions = self.decode(reparameterise(mu, lam, generator=generator, chosen=self._carrying))
        kl = self.kl_weight * kl_divergence(mu, lam)
        error = reconstruction_loss(images[rows], reconstructions, self.reconstruction)
        total = db_vae_loss(logit, labels, kl + error)
        parts = {
            "classification": classification_loss(logit, labels).detach(),
            "kl": kl.detach().sum() / len(labels),
            "reconstruction": error.detach().sum() / len(labels),
        }
        return Losses(total, parts, logit.detach(), mean.detach())

    def _carrying(self, labels: Tensor) -> Tensor:
        return torch.isin(labels, torch.tensor(self.vae_classes, device=labels.device))


def _carrying(classes: Sequence[int] | None, outputs: int) -> tuple[int, ...]:
    if classes is None:
        return (1,) if outputs == 1 else tuple(range(outputs))
    last = max(1, outputs - 1)
    if not classes or any(class_id not in range(last + 1) for class_id in classes):
        raise InputError(
            f"vae_classes must be class ids 0…{last}, one at least; got {list(classes)[:5]}. "
            "None takes the positives of two classes, and all of more."
        )
    return tuple(sorted(set(classes)))


def _full(values: Tensor) -> Tensor:
    """At least single precision, so that half-precision training sums its losses in full."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def feature_count(encoder: nn.Module, channels: int, image_size: int) -> int:
    """Length of the feature vectors of a user's encoder; it is left as it was."""
    example = next(
        (p for p in encoder.parameters() if not isinstance(p, nn.UninitializedParameter)), torch.empty(0)
    )
    image = torch.zeros(1, channels, image_size, image_size, dtype=example.dtype, device=example.device)
    try:
        with evaluating(encoder), torch.no_grad():
            features = encoder(image)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"The encoder must take images of shape (batch, {channels}, {image_size}, {image_size}); "
            f"got this error from it: {error}. Adapt it, or give the image_size and channels that it takes."
        ) from error
    if not isinstance(features, Tensor) or features.ndim != 2 or not features.is_floating_point():
        got = f"shape {tuple(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
        raise InputError(
            f"The encoder must give float feature vectors, shape (batch, n); got {got} for one image. "
            "Put the encoder and nn.Flatten() into an nn.Sequential."
        )
    return features.shape[1]
