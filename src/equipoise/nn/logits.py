"""`Logits`: a network as a function from pictures to what it says of classes, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from equipoise.nn.taps import Output, prediction_of

__all__ = ["Logits"]


class Logits(nn.Module):
    """Pictures → one logit for two classes, the log-odds of the second, or one a class for more.

    A network that has a logit for each of two classes has their difference as log-odds.

    Args:
        network: Any network.
        output: Where the logits are in what it returns.
        order: Of its classes: place i of what is given is class `order[i]` of the network; None: as they are.
    """

    def __init__(self, network: nn.Module, output: Output = None, order: Sequence[int] | None = None) -> None:
        super().__init__()
        self.network, self.output = network, output
        self.order = None if order is None or list(order) == list(range(len(order))) else list(order)

    def forward(self, images: Tensor) -> Float[Tensor, "batch k"]:
        """Logits.

        Raises:
            InputError: if the prediction is not where `output` says.
        """
        logits = prediction_of(self.network(images), self.output)
        logits = logits[:, None] if logits.ndim == 1 else logits
        if self.order is not None:
            logits = -logits if logits.shape[1] == 1 else logits[:, self.order]
        return logits[:, 1:] - logits[:, :1] if logits.shape[1] == 2 else logits
