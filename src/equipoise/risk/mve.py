r"""Aleatoric risk by mean–variance estimation: a small network on the features learns how large the noise is.

For values, the Gaussian negative log-likelihood with the model's prediction as the mean:

.. math:: L = \tfrac12 \left( \lambda + (y - \hat y)^2 e^{-\lambda} \right), \qquad \lambda = \log \sigma^2(x)

For classes, a Gaussian over logits, integrated over T draws:

.. math:: L = -\log \frac1T \sum_t \mathrm{softmax}(\hat y + \sigma(x) \varepsilon_t)_y
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import log_softmax, logsigmoid

from equipoise.errors import InputError, NotFittedError
from equipoise.nn import normal
from equipoise.risk.layers import Dense, bounded
from equipoise.risk.risk import Risk
from equipoise.risk.seen import Seen, Task
from equipoise.risk.wrapped import Method
from equipoise.seeds import child_seed

__all__ = ["MVE", "gaussian_nll", "integrated"]


def gaussian_nll(
    prediction: Float[Tensor, "batch n"],
    targets: Float[Tensor, "batch n"],
    log_variance: Float[Tensor, "batch n"],
) -> Float[Tensor, "batch n"]:
    """½ (λ + (y − ŷ)² e^−λ) of each value: nats, without the constant ½ log 2π."""
    scaled = (targets - prediction) * torch.exp(-0.5 * log_variance)
    return 0.5 * (log_variance + scaled.square())


def integrated(
    draws: Float[Tensor, "batch t n"], log_weights: Float[Tensor, " t"]
) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, " batch"]]:
    """Log-probabilities of the mean over draws of logits, and the mean entropy of a draw in nats.

    Args:
        draws: Logits; a single one is that of class 1 of two.
        log_weights: Of the draws; their exponentials sum to 1.
    """
    one = draws.shape[-1] == 1
    each = torch.cat([logsigmoid(-draws), logsigmoid(draws)], 2) if one else log_softmax(draws, 2)
    mean = torch.logsumexp(each + log_weights[:, None], 1)
    return mean, (entropy(each) * log_weights.exp()).sum(1)


def entropy(log_probabilities: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch"]:
    """−Σ p log p, nats."""
    return -(log_probabilities.exp() * log_probabilities).sum(-1)


class MVE(Method):
    """Aleatoric risk: the noise that a small network on the features expects in the target.

    Needs targets: `wrapped(x, return_loss=True, targets=y)`, or `fit` with batches (inputs, targets).

    Args:
        hidden: Units of the small network's hidden layer.
        samples: Draws of logits for two or more classes, an even number, half of them mirrored. Scoring takes the same
            draws every time. One logit needs none: it is integrated by Gauss–Hermite quadrature.
        detach: Keep this loss out of the model: your own loss trains the prediction, and only the small network learns
            from this one. False trains both by it.
        seed: Of the starting weights, and of the draws of scoring.

    Raises:
        InputError: if an argument is out of range; while learning, if there are no targets or they do not fit.

    *Values*: `risk.aleatoric` is the standard deviation in the unit of the targets, its mean over the outputs of a
    sample; `raw` has `standard_deviation` and `variance`. *Classes*: `risk.aleatoric` is the entropy in nats of the
    class probabilities with the noise integrated, 0 … log(classes); `raw` has `entropy`, `expected_entropy` (mean over
    draws) and `logit_variance` (mean over logits).

    A model that has learned its training labels by heart leaves no residual to learn noise from: then `fit` on data
    that it was not trained on.

    Source: Nix, Weigend, 1994, Estimating the mean and variance of the target probability distribution; for classes
    Kendall, Gal, 2017, What Uncertainties Do We Need in Bayesian Deep Learning for Computer Vision?, section 3.3.
    Differs from it in: with `detach`, mean or logits are the model's own and not trained by this loss; log-variances of
    values are learned relative to the running mean of the squared residual, so the unit of the targets does not matter,
    and all are kept within ±30 of that; draws are mirrored or a quadrature; the score of classes is an entropy.
    """

    label = "mve"
    kinds = ("aleatoric",)
    uses_features = on_features = True
    learns = True

    batches: Tensor
    level: Tensor
    noise: Tensor
    log_weights: Tensor

    def __init__(self, hidden: int = 64, *, samples: int = 32, detach: bool = True, seed: int = 0) -> None:
        super().__init__()
        if hidden < 1:
            raise InputError(f"hidden must be 1 or larger; got {hidden}. Use 64.")
        if samples < 2 or samples % 2:
            raise InputError(f"samples must be an even number from 2 on; got {samples}. Use 32.")
        self.hidden, self.samples, self.detach = hidden, samples, detach
        self.starting, self.drawing = child_seed(seed, "mve"), child_seed(seed, "mve", "draws")
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))  # that it learned from

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"hidden={self.hidden}, samples={self.samples}, detach={self.detach}"

    def build(self, seen: Seen) -> None:
        task, outputs = seen.needed_task(), seen.prediction[0].numel()
        wanted = {"binary": "one logit a sample", "multiclass": "logits (batch, 2 or more)"}.get(task)
        many = seen.prediction.ndim == 2 and outputs > 1
        if (task == "binary" and outputs != 1) or (task == "multiclass" and not many):
            raise InputError(
                f"Expected {wanted} for task={task!r}; got a prediction of shape {tuple(seen.prediction.shape)}. "
                "Choose the task that fits."
            )
        generator = torch.Generator().manual_seed(self.starting)
        first = Dense(seen.needed_features().shape[1], self.hidden, generator)
        # the noise starts the same for every sample
        self.head = nn.Sequential(first, nn.ReLU(), Dense(self.hidden, outputs, None))
        self.register_buffer("level", torch.zeros(outputs))  # log of the mean squared residual
        if task == "regression":
            return
        noise, weights = _quadrature() if outputs == 1 else _mirrored(self.samples, outputs, self.drawing)
        self.register_buffer("noise", noise, persistent=False)
        self.register_buffer("log_weights", weights, persistent=False)

    def loss(self, seen: Seen, targets: Tensor | None, generator: torch.Generator | None) -> Tensor:
        task = seen.needed_task()
        prediction = _full(seen.prediction).reshape(len(seen.prediction), -1)
        wanted = _checked(targets, prediction, task)
        features = seen.needed_features()
        if self.detach:
            features, prediction = features.detach(), prediction.detach()
        learning = self.training and torch.is_grad_enabled()
        if learning:
            self.batches += 1
        if task == "regression":
            if learning:
                self._update_level((wanted - prediction.detach()).square().mean(0))
            return gaussian_nll(prediction, wanted, self._log_variance(features)).mean()
        draws, log_weights = self._draws(prediction, self._log_variance(features), generator)
        mean, _ = integrated(draws, log_weights)
        if task == "binary":
            return -(wanted * mean[:, 1:] + (1 - wanted) * mean[:, :1]).mean()
        return -mean.gather(1, wanted[:, None]).mean()

    def risk(self, seen: Seen) -> Risk:
        if not torch.compiler.is_exporting() and not int(self.batches):
            raise NotFittedError(
                "Expected a trained variance; got one that has not learned from any batch. Add the loss of "
                "return_loss=True, targets=... to your own while training, or call fit with batches (inputs, "
                "targets), first."
            )
        features = seen.needed_features()
        if seen.needed_task() == "regression":
            log_variance = self._log_variance(features)
            deviation = torch.exp(0.5 * log_variance).mean(1)
            return Risk(
                aleatoric=deviation,
                raw={"standard_deviation": deviation, "variance": log_variance.exp().mean(1)},
            )
        prediction = _full(seen.prediction).reshape(features.shape[0], -1)
        log_variance = self._log_variance(features)
        mean, expected = integrated(*self._draws(prediction, log_variance, None, fixed=True))
        total, variance = entropy(mean), log_variance.exp().mean(1)
        return Risk(
            aleatoric=total,
            raw={"entropy": total, "expected_entropy": expected, "logit_variance": variance},
        )

    def _log_variance(self, features: Tensor) -> Float[Tensor, "batch n"]:
        return self.level.to(features.dtype) + bounded(self.head(features))

    def _update_level(self, squared: Float[Tensor, " n"]) -> None:
        """A mean over all batches at first, over about the last hundred later."""
        share = (1 / self.batches).clamp_min(0.01).to(squared)
        mean = torch.lerp(self.level.to(squared).exp(), squared, share)
        self.level.copy_(mean.clamp_min(1e-30).log())

    def _draws(
        self,
        prediction: Float[Tensor, "batch n"],
        log_variance: Float[Tensor, "batch n"],
        generator: torch.Generator | None,
        *,
        fixed: bool = False,
    ) -> tuple[Float[Tensor, "batch t n"], Float[Tensor, " t"]]:
        noise, log_weights = self.noise.to(prediction.dtype), self.log_weights.to(prediction.dtype)
        deviation = torch.exp(0.5 * log_variance)
        if fixed or prediction.shape[1] == 1:
            return prediction[:, None] + deviation[:, None] * noise, log_weights
        half = (len(prediction), self.samples // 2, prediction.shape[1])
        drawn = normal(half, generator, device=prediction.device, dtype=prediction.dtype)
        noise = torch.cat([drawn, -drawn], 1)
        return prediction[:, None] + deviation[:, None] * noise, log_weights


def _quadrature() -> tuple[Float[Tensor, "t 1"], Float[Tensor, " t"]]:
    """Points and log-weights that integrate a smooth function of a normal variable."""
    points, weights = np.polynomial.hermite_e.hermegauss(20)
    log_weights = np.log(weights) - math.log(math.sqrt(2 * math.pi))
    return torch.tensor(points).float()[:, None], torch.tensor(log_weights).float()


def _mirrored(samples: int, outputs: int, seed: int) -> tuple[Float[Tensor, "t n"], Float[Tensor, " t"]]:
    """Draws that come in pairs ±ε, the same ones for the same seed."""
    half = torch.randn(samples // 2, outputs, generator=torch.Generator().manual_seed(seed))
    return torch.cat([half, -half]), torch.full((samples,), -math.log(samples))


def _full(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _checked(targets: Tensor | None, prediction: Float[Tensor, "batch n"], task: Task) -> Tensor:
    """Targets as the loss takes them: classes (batch,), or values of the prediction's shape."""
    if targets is None:
        raise InputError(
            "Expected targets, to learn the noise in them; got none. Pass targets=..., or batches (inputs, targets)."
        )
    targets = targets.to(prediction.device)
    rows, outputs = prediction.shape
    if targets.numel() != (rows if task == "multiclass" else rows * outputs) or len(targets) != rows:
        wanted = (
            f"({rows},)"
            if task == "multiclass" or outputs == 1
            else f"({rows}, …) of {outputs} values a sample"
        )
        raise InputError(
            f"Expected targets of shape {wanted} for task={task!r}; got {tuple(targets.shape)}. One for each output."
        )
    if task == "multiclass":
        classes = targets.reshape(rows).long()
        if targets.is_floating_point() or bool(((classes < 0) | (classes >= outputs)).any()):
            raise InputError(
                f"Expected classes 0…{outputs - 1} as targets, whole numbers; got {targets.dtype} in "
                f"[{float(targets.min()):g}, {float(targets.max()):g}]. Number the classes from 0."
            )
        return classes
    values = targets.to(prediction.dtype).reshape(prediction.shape)
    fits = torch.isfinite(values) if task == "regression" else (values >= 0) & (values <= 1)
    if not bool(fits.all()):
        raise InputError(
            f"Expected {'finite targets' if task == 'regression' else 'targets in [0, 1]'}; got values in "
            f"[{float(values.min()):g}, {float(values.max()):g}]. Look at the labels, or name another task."
        )
    return values
