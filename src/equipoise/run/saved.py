"""A saved model with what lies beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from torch import nn

from equipoise.data import ImageTable, aligned
from equipoise.errors import InputError
from equipoise.pictures.framing import Framing
from equipoise.run.encoder_source import encoder_source
from equipoise.run.representation import Representation, load_representation
from equipoise.train import load_model
from equipoise.train.classes import told_classes

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
        seen: Density of its training positives, see `run.representation`; None if it has none.
        class_names: Name of each class by its id.
        threshold: Probability from which an image counts as positive; None with one logit a class, where the largest
            wins.
        preprocessing: How its pictures were made: crop, image_size, resampling, channels, colour, range of pixels.
    """

    model: Any
    method: str
    recipe: dict[str, Any]
    image_size: int
    channels: int
    seen: Representation | None
    class_names: tuple[str, ...]
    threshold: float | None
    preprocessing: dict[str, Any]

    @property
    def framing(self) -> Framing:
        """How its pictures were made square."""
        return Framing(self.image_size)

    def aligned(self, table: ImageTable) -> ImageTable:
        """Labelled images with the class ids of the model, told by name where model and data have names.

        Raises:
            InputError: if images are of a class that the model does not know; names both sides.
        """
        usual = (
            ("negative", "positive")
            if len(self.class_names) == 2
            else tuple(map(str, range(len(self.class_names))))
        )
        if self.class_names != usual:
            return aligned(table, {name: number for number, name in enumerate(self.class_names)})
        highest = int(table.labels.max(initial=0))
        if highest >= len(usual):
            raise InputError(
                f"Expected images of the model's {len(usual)} classes, {told_classes(usual)}; got some of class "
                f"{told_classes([table.class_names[highest]])} of {len(table.class_names)}. Give data of these classes."
            )
        return table


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
        tuple(config["classes"]),
        config["threshold"],
        config["preprocessing"],
    )
