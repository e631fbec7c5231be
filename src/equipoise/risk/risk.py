"""`Risk`: what a wrapped model says beside each prediction."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from jaxtyping import Float
from torch import Tensor

__all__ = ["KINDS", "Kind", "Risk"]

Kind = Literal["representation", "epistemic", "aleatoric"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Risk(NamedTuple):
    """Risk of each prediction; higher = trust it less. `None` where no method says anything.

    Args:
        representation: How rarely such an input occurs in the training data, for example −log-density in nats.
        epistemic: What the model has not learned, for example disagreement between members in nats.
        aleatoric: Noise in the data that no more training removes, for example the variance of the target.
        raw: Every score as its method computed it, "method.score" → shape (batch,). Direction and unit are the
            method's: a log-density is higher for what is common.
    """

    representation: Float[Tensor, " batch"] | None = None
    epistemic: Float[Tensor, " batch"] | None = None
    aleatoric: Float[Tensor, " batch"] | None = None
    raw: dict[str, Tensor] = {}  # noqa: RUF012  (a tuple's default, never written to)
