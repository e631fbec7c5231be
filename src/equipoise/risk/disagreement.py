r"""Epistemic risk of several predictions of the same input: how far they are apart.

Values: :math:`\sqrt{\frac1D \sum_d \mathrm{Var}_m\, y_{md}}`, in the unit of the target. Classes: the mutual
information between the class and the member,

.. math:: I = H\Big(\frac1M \sum_m p_m\Big) - \frac1M \sum_m H(p_m)
            = \frac1M \sum_m \mathrm{KL}\Big(p_m \,\Big\|\, \frac1M \sum_l p_l\Big)

in nats: 0 where all agree, whether or not each is sure. The second form loses fewer digits.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from equipoise.errors import InputError
from equipoise.nn.taps import widest
from equipoise.risk.risk import Risk
from equipoise.risk.seen import Task

__all__ = ["disagreement", "joint_prediction", "log_probabilities"]


def disagreement(predictions: Float[Tensor, "members batch *outputs"], task: Task) -> Risk:
    """Epistemic risk of members' predictions: values, or logits as in `Task`.

    Several outputs of a sample, or places of a map, count as their mean (of variances, of nats).

    Returns:
        `raw` has "standard_deviation", or "mutual_information" and "predictive_entropy", both in nats.

    Raises:
        InputError: if a prediction is NaN or infinite, or logits of classes are not two or more a sample.
    """
    members = widest(predictions)
    if not torch.compiler.is_exporting() and not bool(torch.isfinite(members).all()):
        raise InputError(
            "Predictions must be finite; got NaN or infinity. Look for a broken input, or for weights that diverged."
        )
    kept = torch.promote_types(predictions.dtype, torch.float32)
    if task == "regression":
        deviation = (
            members.var(0, correction=0).flatten(1).mean(1).sqrt()
            if members.ndim > 2
            else members.std(0, correction=0)
        )
        return Risk(epistemic=deviation.to(kept), raw={"standard_deviation": deviation.to(kept)})
    logs = log_probabilities(members, task)
    mean = logs.logsumexp(0) - math.log(len(logs))
    information = (logs.exp() * (logs - mean)).sum(2).mean(0).clamp_min(0)
    entropy = -(mean.exp() * mean).sum(1)
    if information.ndim > 1:
        information, entropy = information.flatten(1).mean(1), entropy.flatten(1).mean(1)
    information, entropy = information.to(kept), entropy.to(kept)
    return Risk(epistemic=information, raw={"mutual_information": information, "predictive_entropy": entropy})


def joint_prediction(predictions: Float[Tensor, "members batch *outputs"], task: Task) -> Tensor:
    """What the members predict together, in the form of one prediction: mean values, or the logits of the mean
    probabilities."""
    if task == "regression":
        return predictions.mean(0)
    mean = log_probabilities(widest(predictions), task).logsumexp(0) - math.log(len(predictions))
    return (mean if task == "multiclass" else mean[:, 1] - mean[:, 0]).to(predictions.dtype)


def log_probabilities(
    predictions: Float[Tensor, "members batch *outputs"], task: Task
) -> Float[Tensor, "members batch classes *places"]:
    """Log-probabilities of the classes; those of a single logit are (no, yes)."""
    if task == "binary":
        return torch.stack([logsigmoid(-predictions), logsigmoid(predictions)], 2)
    if predictions.ndim < 3 or predictions.shape[2] < 2:
        raise InputError(
            f"Expected logits (batch, classes) of at least two classes; got {tuple(predictions.shape[1:])}. "
            "Wrap with task='binary' or 'regression'."
        )
    return predictions.log_softmax(2)
