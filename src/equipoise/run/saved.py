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
from equipoise.train.preprocessing import framing_of

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
        return framing_of(self.preprocessing)

    def aligned(self, table: ImageTable) -> ImageTable:
        """Labelled images with the class ids of the model, told by name where model and data have names, else by id.

        Raises:
            InputError: if images are of a class that the model does not know, or of nobody knows which; names both
                sides.
        """
        mine, theirs = self.class_names, table.class_names
        usual = ("negative", "positive") if len(mine) == 2 else tuple(map(str, range(len(mine))))
        if mine != usual and table.classes:
            return aligned(table, {name: number for number, name in enumerate(mine)})
        if len(theirs) != len(mine):
            raise InputError(
                f"Expected images of the model's {len(mine)} classes, {told_classes(mine)}; got {len(theirs)} classes, "
                f"{told_classes(theirs)}. Give data of these classes, named as they were in training."
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
