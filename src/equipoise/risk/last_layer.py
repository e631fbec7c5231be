r"""Epistemic risk of the last layer alone: how unsure its weights are where this input's features point.

The posterior of a linear layer on the features :math:`\varphi` (with a 1 for the bias), after Laplace: a Gaussian whose
precision is :math:`\sum_i \Lambda_i \otimes \varphi_i \varphi_i^\top + \tau I`, with :math:`\Lambda_i` the curvature of
the loss in the logits. Here :math:`\Lambda_i` is 1 for values and :math:`p(1-p)` for a logit, which is exact; for
several logits the sum of products is taken as the mean of :math:`\Lambda_i` times the sum of
:math:`\varphi_i \varphi_i^\top`. Then eigenvectors of both give the variance of the logits in closed form.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from equipoise.errors import InputError, NotFittedError
from equipoise.nn.taps import widest
from equipoise.risk.disagreement import disagreement
from equipoise.risk.risk import Risk
from equipoise.risk.seen import Seen, Task
from equipoise.risk.wrapped import Method
from equipoise.seeds import child_seed

__all__ = ["LastLayer", "curvature"]

_SUMS = "gram", "bend", "length", "count"
_MADE = "axes", "mixing", "variances", "noise"


def curvature(logits: Float[Tensor, "batch k"], task: Task) -> Float[Tensor, "batch k k"]:
    """Second derivative of the cross-entropy in the logits: the same whatever the target."""
    if task == "binary":
        yes = logits.sigmoid()
        return torch.diag_embed(yes * (1 - yes))
    shares = logits.softmax(1)
    return torch.diag_embed(shares) - shares[:, :, None] * shares[:, None, :]


class LastLayer(Method):
    """Epistemic risk: what a Gaussian posterior of the last layer's weights leaves open, from one pass over the data.

    Classes: the mutual information between class and weights, in nats, over draws of the logits. Values: the standard
    deviation that the weights add, in units of the noise's (multiply by the model's own error for the target's).
    Draws come from `seed` and are the same for every input. Features with a name, `layer=...`, count as what goes
    into a last layer, whether or not they do.

    Only `fit` teaches it: sums over features that still change would say nothing, so training does not. Fit again when
    the model has been trained further.

    Args:
        prior: Standard deviation of a logit (or of a value, in units of the noise's) before any data, at features as
            long as the training data's; smaller = surer everywhere. τ follows from it, so the scale of the features
            does not matter. Far below 40 a confident classifier stays sure far from its data; far above it, nothing
            that it has few doubtful samples of is known.
        draws: Draws of the logits, an even number.
        seed: Of the draws.

    Raises:
        InputError: if an argument is out of range.

    Source: Daxberger et al., 2021, Laplace Redux, last-layer variant with a Kronecker-factored curvature. Differs from
    it in: the prior is given for logits and not tuned on the weights' evidence (which makes a confident classifier sure
    everywhere); the prediction stays the bare model's; risk is mutual information.
    """

    label = "last_layer"
    kinds = ("epistemic",)
    uses_features = on_features = True

    gram: Tensor
    bend: Tensor
    length: Tensor
    count: Tensor
    axes: Tensor
    mixing: Tensor
    variances: Tensor
    noise: Tensor

    def __init__(self, prior: float = 40.0, draws: int = 64, seed: int = 0) -> None:
        super().__init__()
        if not 0 < prior < math.inf:
            raise InputError(f"prior must be larger than 0; got {prior}. Use 40.")
        if draws < 2 or draws % 2:
            raise InputError(f"draws must be even and at least 2; got {draws}. Use 64.")
        self.prior, self.draws, self.drawn = prior, draws, child_seed(seed, "last_layer")
        for name in _SUMS:
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))
        for name in _MADE:
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64), persistent=False)
        self.fitting, self.stale = False, True

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"prior={self.prior}, draws={self.draws}"

    def build(self, seen: Seen) -> None:
        if seen.needed_task() != "regression" and seen.prediction.ndim > 2:
            raise InputError(
                f"Expected logits (batch, classes); got {tuple(seen.prediction.shape)}. LastLayer takes one prediction "
                "an input: use Dropout or Ensemble for maps."
            )

    def begin(self) -> None:
        for name in _SUMS:
            setattr(self, name, torch.zeros_like(getattr(self, name)))
        self.fitting = self.stale = True

    def observe(self, seen: Seen) -> None:
        if not self.fitting:
            return
        features = _with_one(seen.needed_features())
        weighted, bend = features, features.new_full((1, 1), len(features))
        if seen.task != "regression":
            bends = curvature(widest(seen.prediction.reshape(len(features), -1)), seen.needed_task())
            if seen.prediction[0].numel() == 1:
                weighted = features * bends[:, :, 0]
            else:
                bend = bends.sum(0)
        self.gram = self.gram + weighted.T @ features
        self.bend = self.bend + bend
        self.length = self.length + features.square().sum()
        self.count = self.count + len(features)

    def merge(self, other: LastLayer) -> LastLayer:
        """Add the sums of another, of the same model on other data; up to rounding, as if its rows had come here.

        Raises:
            InputError: if the other has another prior, or sums of features or logits of another width.
        """
        shapes = [tuple(tuple(getattr(one, name).shape) for name in _SUMS) for one in (self, other)]
        known = bool(self.count) and bool(other.count)
        if self.prior != other.prior or (known and shapes[0] != shapes[1]):
            raise InputError(
                f"Sums that merge must be of one model and prior; got prior {self.prior} and sums of shapes "
                f"{shapes[0]}, and prior {other.prior} and {shapes[1]}. Fit both alike."
            )
        for name in _SUMS if other.count else ():
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, mine + theirs.to(mine.device))
        self.stale = True
        return self

    def finish(self) -> None:
        self.fitting = False
        if not self.stale or not bool(self.count):
            return
        spread, self.axes = torch.linalg.eigh(self.gram)
        bent, self.mixing = torch.linalg.eigh(self.bend / self.count)
        precision = self.length / self.count / self.prior**2
        # along axis d of the features and axis j of the logits
        self.variances = 1 / (spread.clamp_min(0)[:, None] * bent.clamp_min(0) + precision)
        generator = torch.Generator().manual_seed(self.drawn)
        half = torch.randn(self.draws // 2, 1, bent.shape[0], generator=generator).to(bent)
        self.noise = torch.cat([half, -half])
        self.stale = False

    def risk(self, seen: Seen) -> Risk:
        exporting = torch.compiler.is_exporting()
        if not exporting and not bool(self.count):
            raise NotFittedError(
                "Expected sums over the training data; got none. Call fit with training batches first: training alone "
                "does not make them, because features change under it."
            )
        if not exporting:
            self.finish()
        features = seen.needed_features().detach()
        if features.shape[1] + 1 != len(self.axes):
            raise InputError(
                f"Expected {len(self.axes) - 1} features, as fitted; got {features.shape[1]}. "
                "Use the same layer throughout."
            )
        variance = (_with_one(features) @ self.axes).square() @ self.variances
        if seen.task == "regression":
            deviation = variance[:, 0].sqrt().to(features.dtype)
            return Risk(epistemic=deviation, raw={"relative_deviation": deviation})
        logits = widest(seen.prediction.detach())
        noise = (self.noise * variance.sqrt()) @ self.mixing.T
        told = disagreement(logits + noise.reshape(self.draws, *logits.shape), seen.needed_task())
        # softmax does not see what all logits share
        shared = self.mixing.mean(0).square() * len(self.mixing) if seen.task == "multiclass" else 0
        mean = (variance * (1 - shared)).mean(1).to(features.dtype)
        return told._replace(raw=told.raw | {"logit_variance": mean})

    def _apply(self, fn: Any, recurse: bool = True) -> LastLayer:
        """Moves, but keeps double precision."""
        before = {name: getattr(self, name) for name in (*_SUMS, *_MADE)}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        kept = widest(torch.empty(0, device=self.count.device)).dtype
        for name, buffer in before.items():
            setattr(self, name, buffer.to(self.count.device, kept))
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in _SUMS:  # as large as was saved
            if prefix + name in state_dict:
                setattr(self, name, getattr(self, name).new_zeros(state_dict[prefix + name].shape))
        self.stale = True
        super()._load_from_state_dict(state_dict, prefix, *args)


def _with_one(features: Tensor) -> Tensor:
    return pad(widest(features), (0, 1), value=1.0)
