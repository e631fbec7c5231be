"""`Risk`: what a wrapped model says beside each prediction."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.notebook import table_html

__all__ = ["KINDS", "Kind", "Risk"]

Kind = Literal["representation", "epistemic", "aleatoric"]
#: Kinds of risk that a `Risk` holds.
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

    def __repr__(self) -> str:
        said = [f"{kind} {_range(values)}" for kind in KINDS if (values := getattr(self, kind)) is not None]
        return f"Risk({', '.join([*said, 'raw: ' + (', '.join(self.raw) or 'none')])})"

    def _repr_html_(self) -> str:
        kinds = [(kind, getattr(self, kind)) for kind in KINDS]
        rows = [[name, _range(values)] for name, values in [*kinds, *self.raw.items()] if values is not None]
        return table_html("Risk, higher = trust it less; below, raw scores", ["risk", "values"], rows)


def _range(values: Tensor) -> str:
    """How many values, and the lowest and the highest."""
    many = f"{values.numel():,} value{'' if values.numel() == 1 else 's'}"
    if not values.numel():
        return many
    low, high = (float(end) for end in torch.aminmax(values.detach().float()))
    return f"{many} {low:.3g} to {high:.3g}"
