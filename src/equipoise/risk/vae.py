r"""Epistemic risk by reconstruction: what a model has not learned, it cannot draw from its own features.

A variational autoencoder whose encoder is the model itself: one linear layer on the features gives [μ | λ], and a
decoder draws the input x from a code z.

.. math:: L = \frac{1}{n} \|x - \hat x(z)\|_1 + c\, \mathrm{KL}(N(\mu, e^\lambda) \| N(0, I)), \qquad
          r(x) = \frac{1}{n} \|x - \hat x(\mu)\|_1
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from equipoise.errors import InputError, NotFittedError
from equipoise.nn import Decoder, kl_divergence, reparameterise
from equipoise.risk.layers import Dense, bounded
from equipoise.risk.risk import Risk
from equipoise.risk.seen import Seen
from equipoise.risk.wrapped import Method
from equipoise.seeds import child_seed

__all__ = ["VAE", "Variational", "VariationalHead", "input_decoder"]


class VariationalHead(nn.Module):
    """Features to the mean and log-variance of a code. Every variance starts at 1.

    Args:
        features: Length of a feature vector.
        latent: Size k of a code.
        generator: Drives the starting weights.
    """

    def __init__(self, features: int, latent: int, generator: torch.Generator) -> None:
        super().__init__()
        self.mean = Dense(features, latent, generator)
        self.log_variance = Dense(features, latent, None)

    def forward(
        self, features: Float[Tensor, "batch n"]
    ) -> tuple[Float[Tensor, "batch k"], Float[Tensor, "batch k"]]:
        """μ and λ = log σ², λ within ±30."""
        return self.mean(features), bounded(self.log_variance(features))


class _Shaped(nn.Module):
    """Gives what a decoder draws the shape of the inputs: vectors are reshaped, images resized."""

    def __init__(self, decoder: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.decoder, self.shape = decoder, shape

    def forward(self, codes: Tensor) -> Tensor:
        drawn: Tensor = self.decoder(codes)
        if drawn.ndim == 4 and drawn.shape[1:] != self.shape:
            return interpolate(drawn, self.shape[1:], mode="bilinear", align_corners=False)
        return drawn.reshape(-1, *self.shape)


def input_decoder(
    shape: tuple[int, ...],
    latent: int,
    *,
    hidden: int | None = None,
    width: int = 12,
    generator: torch.Generator,
) -> nn.Module:
    """A small decoder from codes to inputs, without a last activation: inputs may be normalised in any way.

    Args:
        shape: Of one input. (channels, height, width) is an image: the labs' decoder, at the next multiple of 16 of the
            longer side, then resized where that is another size. Any other shape: two dense layers.
        latent: Size of a code.
        hidden: Units between the two dense layers; None takes 4 × latent.
        width: Filters of the last hidden stage for images.
        generator: Drives the starting weights.
    """
    if len(shape) == 3:
        side = 16 * -(-max(shape[1:]) // 16)
        with torch.random.fork_rng(devices=[]):  # torch's own chance stays where the user has it
            drawing = Decoder(
                latent, width=width, image_size=side, channels=shape[0], output="linear", generator=generator
            )
        return _Shaped(drawing, shape)
    hidden = hidden or 4 * latent
    count = torch.Size(shape).numel()
    return _Shaped(
        nn.Sequential(Dense(latent, hidden, generator), nn.ReLU(), Dense(hidden, count, generator)), shape
    )


class Variational(Method):
    """What methods share that make a variational autoencoder of the model: head, decoder and loss."""

    uses_features = True
    learns = True

    batches: Tensor
    head: VariationalHead
    decoder: nn.Module | None

    def __init__(
        self,
        latent: int,
        kl_weight: float,
        hidden: int | None,
        width: int,
        decoder: nn.Module | None,
        detach: bool,
        seed: int,
    ) -> None:
        super().__init__()
        for name, value in (("latent", latent), ("hidden", hidden), ("width", width)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or larger; got {value}. Choose a larger {name}.")
        if not 0 <= kl_weight < float("inf"):
            raise InputError(f"kl_weight must be 0 or larger; got {kl_weight}. The labs use 0.0005.")
        if decoder is not None and not isinstance(decoder, nn.Module):
            raise InputError(
                f"decoder must be a torch nn.Module from (batch, latent) to the inputs' shape; got "
                f"{type(decoder).__name__}. Put a function into a module, or leave it out."
            )
        self.latent, self.kl_weight, self.hidden, self.width = latent, kl_weight, hidden, width
        self.detach = detach
        self.starting = child_seed(seed, "variational")
        self.decoder = decoder
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))  # that it learned from

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"latent={self.latent}, kl_weight={self.kl_weight:g}, detach={self.detach}"

    def build(self, seen: Seen) -> None:
        if not seen.inputs.is_floating_point() or seen.inputs.ndim < 2:
            raise InputError(
                f"Expected float inputs (batch, …) to reconstruct; got {seen.inputs.dtype} "
                f"{tuple(seen.inputs.shape)}. Wrap the part of the model that takes floats, such as embeddings."
            )
        features, shape = seen.needed_features(), tuple(seen.inputs.shape[1:])
        generator = torch.Generator().manual_seed(self.starting)
        self.head = VariationalHead(features.shape[1], self.latent, generator)
        if self.decoder is None:
            self.decoder = input_decoder(
                shape, self.latent, hidden=self.hidden, width=self.width, generator=generator
            )
        else:
            _check_decoder(self.decoder, self.latent, shape, seen.inputs.device)

    def loss(self, seen: Seen, targets: Tensor | None, generator: torch.Generator | None) -> Tensor:
        features = seen.needed_features()
        mean, log_variance = self.head(features.detach() if self.detach else features)
        error = self.error(seen.inputs, reparameterise(mean, log_variance, generator=generator))
        if self.training and torch.is_grad_enabled():
            self.batches += 1
        return (error + self.kl_weight * kl_divergence(mean, log_variance)).mean()

    def learned_features(self, seen: Seen) -> Float[Tensor, "batch n"]:
        """Features, for scoring.

        Raises:
            NotFittedError: before any training: codes of such a head mean nothing.
        """
        if not torch.compiler.is_exporting() and not int(self.batches):
            raise NotFittedError(
                "Expected a trained autoencoder; got one that has not learned from any batch. Add the loss of "
                "return_loss=True to your own while training, or call fit with training batches, first."
            )
        return seen.needed_features()

    def error(self, inputs: Tensor, codes: Float[Tensor, "batch k"]) -> Float[Tensor, " batch"]:
        """Mean of |x − x̂| over the values of each input, in the inputs' unit."""
        if self.decoder is None:
            raise NotFittedError("Expected a decoder; build makes it. Call the wrapped model first.")
        weight = next(self.decoder.parameters(), codes)
        drawn: Tensor = self.decoder(codes.to(weight.dtype))
        full = torch.promote_types(inputs.dtype, torch.float32)
        return (inputs.to(full) - drawn.to(full)).abs().flatten(1).mean(1)


class VAE(Variational):
    """Epistemic risk: how badly the input can be reconstructed from the model's features.

    Args:
        latent: Size k of a code.
        kl_weight: c, the weight of the KL term beside the reconstruction error.
        hidden: Units of the decoder's hidden layer where inputs are not images; None takes 4 × latent.
        width: Filters of the decoder's last hidden stage where inputs are images.
        decoder: Your own, from (batch, latent) to the shape of the inputs; it is copied.
        detach: Keep this loss out of the model: only head and decoder learn from it.
        seed: Of the starting weights.

    Raises:
        InputError: if an argument is out of range; on the first batch, if inputs are not floats or the decoder gives
            another shape.

    `risk.epistemic` is the mean absolute error of a value, in the inputs' unit, of the reconstruction from μ without
    noise. `raw` has it as `reconstruction_error`, beside `kl` in nats. The error also grows with how much detail there
    is to draw: compare inputs of one kind.

    Source: Capsa's VAE wrapper, as MIT 6.S191 lab 3 (2023) uses it; the losses of lab 2. Differs from it in: the
    decoder's last layer is linear, variances start at 1, and λ is kept within ±30.

    Example:
        >>> wrapped = VAE(latent=4)(nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3)))
        >>> inputs = torch.randn(64, 2)
        >>> _, risk = wrapped.fit([inputs]).eval()(inputs, return_risk=True)
        >>> risk.epistemic.shape
        torch.Size([64])
    """

    label = "vae"
    kinds = ("epistemic",)

    def __init__(
        self,
        latent: int = 32,
        *,
        kl_weight: float = 5e-4,
        hidden: int | None = None,
        width: int = 12,
        decoder: nn.Module | None = None,
        detach: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(latent, kl_weight, hidden, width, decoder, detach, seed)

    def risk(self, seen: Seen) -> Risk:
        mean, log_variance = self.head(self.learned_features(seen))
        error = self.error(seen.inputs, mean)
        raw = {"reconstruction_error": error, "kl": kl_divergence(mean, log_variance)}
        return Risk(epistemic=error, raw=raw)


def _check_decoder(decoder: nn.Module, latent: int, shape: tuple[int, ...], device: torch.device) -> None:
    wanted = f"The decoder must map (batch, {latent}) to (batch, {', '.join(map(str, shape))})"
    decoder.to(device)
    weight = next(decoder.parameters(), torch.zeros(0))
    try:
        drawn = decoder(torch.zeros(2, latent, device=device, dtype=weight.dtype))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(f"{wanted}; got this error from it: {error}. Adapt it, or leave it out.") from error
    if not isinstance(drawn, Tensor) or drawn.shape != (2, *shape):
        got = f"shape {tuple(drawn.shape)}" if isinstance(drawn, Tensor) else type(drawn).__name__
        raise InputError(f"{wanted}; got {got} for two codes. Adapt it, or leave it out.")
