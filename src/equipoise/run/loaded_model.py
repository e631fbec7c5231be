"""`ModelSource`: a network that was named, loaded, and all that is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone, Preprocessing, digest_of
from equipoise.nn.logits import Logits
from equipoise.nn.passes import home
from equipoise.nn.preprocessing import Normalised
from equipoise.nn.taps import named_tap
from equipoise.pictures.framing import Framing
from equipoise.run.identity import model_digest
from equipoise.run.saved import Saved
from equipoise.run.sources import Reading
from equipoise.sharing import shareable

__all__ = ["ModelSource", "told_names"]


@dataclass(frozen=True, eq=False)
class ModelSource:
    """A network for images in [0, 1], in the mode that it was given in.

    Args:
        network: Images (batch, channels, height, width) → prediction.
        title: What people read.
        source: What the user gave.
        layer: Where its features are; None looks for what goes into the last layer.
        output: Where the prediction is in what it returns.
        framing: How pictures become the squares that it takes; None = as the user asks for.
        channels: Of the images it takes, likewise.
        backbone: What is known of it, where it came with that.
        align: Gives images the class ids of the model, where it knows its classes.
        saved: The model of a run's folder, with what lies beside it.
    """

    network: nn.Module
    title: str
    source: str
    layer: str | None = None
    output: str | int | None = None
    framing: Framing | None = None
    channels: int | None = None
    backbone: Backbone | None = None
    align: Callable[[ImageTable], ImageTable] | None = None
    saved: Saved | None = None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """By id, where it knows them."""
        if self.saved is not None:
            return self.saved.class_names
        return None if self.backbone is None else self.backbone.class_names

    @property
    def digest(self) -> str:
        """What tells it from another."""
        return digest_of(self.network) if self.saved is None else model_digest(self.source)

    def logits(
        self, class_names: Sequence[str] | None = None, *, numbered: Sequence[str] | None = None
    ) -> nn.Module:
        """Images → one logit for two classes, one a class for more, in the order of `class_names`.

        Args:
            class_names: None leaves its own order.
            numbered: What its classes are called by number where it does not know.
        """
        own = self.class_names or numbered
        order = None if own is None or class_names is None else [own.index(name) for name in class_names]
        if self.saved is not None and (order is None or order == sorted(order)):
            return self.network
        return Logits(self.network, self.output, order)

    def preprocessing(self, reading: Reading) -> dict[str, Any]:
        """How its pictures are made, as plain values."""
        if self.backbone is not None:
            inside = getattr(self.backbone.network, "inside", {})
            return {**self.backbone.preprocessing.settings(), **inside}
        inner = self.network
        given = isinstance(inner, Normalised)
        mean, std = (getattr(inner, name).flatten().tolist() if given else () for name in ("mean", "std"))
        return Preprocessing(reading.framing, tuple(mean), tuple(std), reading.channels).settings()

    def told(self, reading: Reading) -> dict[str, Any]:
        """What is written of it beside what it says: its name, which it is, how pictures were made for it."""
        told = {"model": shareable(self.source), "digest": self.digest}
        return {**told, "preprocessing": self.preprocessing(reading)}

    def outputs(self, framing: Framing, channels: int) -> int:
        """Logits a picture, by one run on made-up pictures; a layer that was named must be called by it.

        Raises:
            InputError: if it does not take such pictures, or what it gives are no logits.
        """
        if self.backbone is not None and self.backbone.outputs is not None:
            return self.backbone.outputs
        tap = None if self.layer is None else named_tap(self.network, self.layer)
        tried = Backbone(
            self.network, Preprocessing(framing, channels=channels), tap, self.output, 0, 1, None, self.title
        )
        chance, side = torch.Generator().manual_seed(0), framing.size
        pictures = torch.rand(2, channels, side, side, generator=chance)
        logits = tried(pictures.to(home(self.network)[0])).logits
        return 0 if logits is None else logits.shape[1]

    def reading(self, asked: Reading) -> Reading:
        """How images are read for it: as it takes them, where it knows."""
        if self.framing is None or self.channels is None:
            return asked
        return asked.for_model(self.framing, self.channels)

    def checked(self, table: ImageTable) -> ImageTable:
        """Images with the class ids of the model, by name where it has names, once it is known to fit: their size,
        their classes, and that its layers are called.

        Raises:
            InputError: if it does not fit; names both sides.
        """
        self.check_pictures(table)
        if self.align is not None:
            return self.align(table)
        if self.backbone is not None:
            self.backbone.check_classes(table.class_names)
            return table
        outputs = self.outputs(table.framing or Framing(table.image_size), table.channels)
        if max(2, outputs) != len(table.class_names):
            raise InputError(
                f"{self.title} has {outputs} logits; the pictures are of {len(table.class_names)} classes "
                f"({told_names(table.class_names)}). Give the network that was trained on these classes."
            )
        return table

    def on(self, table: ImageTable) -> Backbone:
        """It as a backbone, whose features are found by one run on made-up pictures of the size of a table's.

        Raises:
            InputError: if it does not take such pictures, or its features cannot be found.
        """
        if self.backbone is not None:
            return self.backbone
        network, layer, came = self.network, self.layer, {}
        if isinstance(network, Normalised):
            came = {name: tuple(getattr(network, name).flatten().tolist()) for name in ("mean", "std")}
            network = network.model
            layer = None if layer is None else layer.removeprefix("model.")
        framing = self.framing or table.framing or Framing(table.image_size)
        how = Preprocessing(framing, **came, channels=table.channels)
        return Backbone.tried(network, how, layer=layer, output=self.output, name=self.title)

    def check_pictures(self, table: ImageTable) -> None:
        """Whether pictures came as it takes them, where it knows.

        Raises:
            InputError: if they did not; names both sides.
        """
        if self.backbone is not None:
            self.backbone.check_pictures(table)


def told_names(names: Sequence[str]) -> str:
    """The first of them."""
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
