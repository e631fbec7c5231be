r"""Representation risk by histograms of a variational autoencoder's codes.

.. math:: r(x) = -\sum_{i\ \mathrm{active}} \log \hat Q_i(b_i(\mu(x)))

A linear layer on the model's features gives μ, trained to let a decoder draw the input, so that μ holds what the
inputs differ in and not only what the model's own task needs.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from equipoise.errors import NotFittedError
from equipoise.risk.histogram import RunningHistogram
from equipoise.risk.risk import Kind, Risk
from equipoise.risk.seen import Seen
from equipoise.risk.vae import Variational

__all__ = ["HistogramVAE"]


class HistogramVAE(Variational):
    """Representation risk: −log-density of the code μ, from histograms of the last samples seen in training.

    Scoring costs one linear layer; the decoder is only needed to learn, and for `epistemic`.

    Args:
        latent: Size k of a code.
        bins: Bins of each latent unit.
        queue: Samples that the histograms are built on.
        smoothing: α, in the unit of a density; larger is nearer to uniform.
        active: Count only units whose mean KL over about the last `queue` samples is above 0.01 nats: the others say
            next to nothing of the input. False counts all, as published.
        epistemic: Tell the reconstruction error too, as `VAE` does; it costs a pass through the decoder.
        kl_weight: c, the weight of the KL term beside the reconstruction error.
        hidden: Units of the decoder's hidden layer where inputs are not images; None takes 4 × latent.
        width: Filters of the decoder's last hidden stage where inputs are images.
        decoder: Your own, from (batch, latent) to the shape of the inputs; it is copied.
        detach: Keep this loss out of the model: only head and decoder learn from it.
        seed: Of the starting weights.

    Raises:
        InputError: if an argument is out of range; on the first batch, as `VAE`.

    `risk.representation` is in nats; `raw` has `log_density`, higher = more common, and with `epistemic` also
    `reconstruction_error`.

    Source: Capsa's histogram VAE wrapper, as MIT 6.S191 lab 3 (2023) uses it. Differs from it in: `active`; slots of
    the queue that no sample has filled are not counted; the risk is −log-density where Capsa gives the density; the
    decoder's last layer is linear.
    """

    label = "histogram_vae"
    kinds: ClassVar[tuple[Kind, ...]] = ("representation",)

    kl: Tensor

    def __init__(  # a public door: each keyword may be left out by itself
        self,
        latent: int = 100,
        bins: int = 5,
        queue: int = 2000,
        *,
        smoothing: float = 1e-3,
        active: bool = True,
        epistemic: bool = False,
        kl_weight: float = 5e-4,
        hidden: int | None = None,
        width: int = 12,
        decoder: nn.Module | None = None,
        detach: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(latent, kl_weight, hidden, width, decoder, detach, seed)
        self.active, self.epistemic = active, epistemic
        if epistemic:
            self.kinds = ("representation", "epistemic")  # type: ignore[misc]
        self.running = RunningHistogram(bins, queue, smoothing)
        self.register_buffer("kl", torch.zeros(latent))  # mean of each unit, nats

    def observe(self, seen: Seen) -> None:
        mean, log_variance = self.head(seen.needed_features())
        self.running.push(mean)
        now = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).mean(0)
        # a mean over all samples until the queue is full, over about the last `queue` from then on
        self.kl = torch.lerp(self.kl.to(now), now, len(mean) / self.running.position[1].to(now.dtype))

    def begin(self) -> None:
        self.running.forget()

    def finish(self) -> None:
        self.running.refresh()

    def risk(self, seen: Seen) -> Risk:
        mean = self.head.mean(self.learned_features(seen))
        log_density = self.running.log_prob(mean, dimensions=self._counted())
        raw = {"log_density": log_density}
        if self.epistemic:
            raw["reconstruction_error"] = self.error(seen.inputs, mean)
        return Risk(-log_density, epistemic=raw.get("reconstruction_error"), raw=raw)

    def _counted(self) -> Bool[Tensor, " k"] | None:
        if not self.active:
            return None
        counted: Tensor = self.kl > 0.01
        if not torch.compiler.is_exporting() and int(self.running.position[1]) and not bool(counted.any()):
            raise NotFittedError(
                f"Expected latent units that carry something; none of {self.latent} has a mean KL above 0.01 nats. "
                "Train longer, or lower kl_weight."
            )
        return counted

    def _apply(self, fn: Any, recurse: bool = True) -> HistogramVAE:
        """Moves, but keeps single precision of the statistics."""
        before = self.kl
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.kl = before.to(self.kl.device)
        return self
