"""A saved model with what lies beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from torch import nn

from equipoise.run.encoder_source import encoder_source
from equipoise.run.representation import Representation, load_representation
from equipoise.train import load_model

__all__ = ["Saved", "load"]


@dataclass(frozen=True, eq=False)
class Saved:
    """A trained model.

    Args:
        model: In evaluation mode.
        method: What it was trained as.
        recipe: Its recipe.
        image_size: Pixels a side of the images it takes.
        channels: Channels of the images it takes.
        seen: Density of its training positives; None if it has none.
    """

    model: Any
    method: str
    recipe: dict[str, Any]
    image_size: int
    channels: int
    seen: Representation | None


def load(
    folder: str | os.PathLike[str], *, encoder: nn.Module | str | None = None, device: str = "auto"
) -> Saved:
    """Read a model from its folder.

    Args:
        folder: With `model.safetensors` and `config.json`.
        encoder: What it was trained with in place of the standard CNN, if it was: a network, or
            "package.module:callable" that gives one.
        device: Where codes are computed for its density.

    Raises:
        InputError: if the encoder is missing, not wanted, or another one.
        DataError: if there is none, or it is broken or of another version.
    """
    found = load_model(os.fspath(folder), encoder=encoder_source(encoder).network)
    config = found.config
    return Saved(
        found.model,
        config["method"],
        config["recipe"],
        config["image_size"],
        config["channels"],
        load_representation(found.model, folder, device=device),
    )
