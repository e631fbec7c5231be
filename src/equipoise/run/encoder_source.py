"""The encoder that a run was given in place of the standard CNN: a network, or `package.module:callable`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from equipoise.errors import InputError
from equipoise.nn import Backbone, digest_of
from equipoise.nn.named_object import as_network, is_named, made_by
from equipoise.run.identity import Setting

__all__ = ["EncoderSource", "encoder_source"]


@dataclass(frozen=True, eq=False)
class EncoderSource:
    """An encoder and what the user called it.

    Args:
        network: What `fit` takes; None = the standard CNN.
        named: "package.module:callable", or the class of a network that was given as it is.
    """

    network: nn.Module | None = None
    named: str | None = None

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        return {"encoder": self.named}

    def brought(self) -> dict[str, str]:
        """What a run's identity says about it."""
        return {} if self.network is None else {"encoder": digest_of(self.network)}


def encoder_source(encoder: nn.Module | str | None, *, seed: int = 0) -> EncoderSource:
    """Load what the user named; weights that it draws come from the seed.

    Raises:
        InputError: if the name does not lead to a network.
        MissingExtraError: if the module is not installed.
    """
    if encoder is None or isinstance(encoder, nn.Module):
        return EncoderSource(encoder, None if encoder is None else type(encoder).__name__)
    if not is_named(encoder):
        raise InputError(
            f"Expected `encoder` package.module:callable that gives an nn.Module; got {encoder!r}. "
            "Write for example mypackage.models:backbone."
        )
    made = made_by(encoder, seed=seed)
    # What a model was trained on may be given again as the backbone that it was.
    return EncoderSource(made.network if isinstance(made, Backbone) else as_network(made, encoder), encoder)
