"""The model to be audited: a run's folder, or a network by one of the names that `nn.named_backbone` takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from equipoise.data import ImageTable, aligned
from equipoise.errors import InputError
from equipoise.failures import refused
from equipoise.nn import Backbone, Preprocessing, named_backbone, pixels, placed
from equipoise.nn.named import GRAMMAR, library_of
from equipoise.nn.named_object import as_network, is_named, made_by
from equipoise.nn.preprocessing import Normalised
from equipoise.nn.taps import prediction_of
from equipoise.nn.weights import fill, read_weights
from equipoise.pictures.framing import Framing
from equipoise.run.encoder_source import encoder_source
from equipoise.run.identity import Setting
from equipoise.run.saved import load
from equipoise.run.sources import Reading

__all__ = ["ModelSource", "Network", "brought_backbone", "model_source", "run_backbone"]


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
        known = self.backbone
        if known is not None:
            known.check_pictures(table)
        if self.align is not None:
            return self.align(table)
        if known is not None:
            known.check_classes(table.class_names)
        else:
            self._check_width(table)
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

    def _check_width(self, table: ImageTable) -> None:
        """Two pictures: whether there are as many logits as classes. What is no logits is told where all are scored."""
        some = pixels(torch.from_numpy(table.batch(np.arange(min(2, len(table))))))
        try:
            with placed(self.network, torch.device("cpu")), torch.inference_mode():
                logits = prediction_of(self.network(some), self.output)
        except RuntimeError as error:
            if refused(error):
                raise
            return
        outputs = 1 if logits.ndim == 1 else logits.shape[1]
        if logits.ndim <= 2 and max(2, outputs) != len(table.class_names):
            raise InputError(
                f"{self.title} has {outputs} logits; the pictures are of {len(table.class_names)} classes "
                f"({_some(table.class_names)}). Give the network that was trained on these classes."
            )


@dataclass(frozen=True, eq=False)
class Network:
    """A model and what it needs to be read.

    Args:
        model: A run's folder, RUN/models/NAME; a name as `nn.named_backbone` takes it; a network, or a `Backbone`.
        encoder: What the model of a run's folder was trained with in place of the standard CNN, if it was.
        weights: A file for the network in place of its own.
        layer: The module whose output are the features.
        output: Key, attribute or number of the prediction in what the network returns.
        mean: Subtracted from images in [0, 1], channel by channel, before the network sees them.
        std: Then divided by.
    """

    model: str | os.PathLike[str] | nn.Module | Backbone
    encoder: nn.Module | str | None = None
    weights: str | os.PathLike[str] | None = None
    layer: str | None = None
    output: str | None = None
    mean: Sequence[float] = ()
    std: Sequence[float] = ()

    def loaded(self, asked: Reading) -> tuple[ModelSource, str | None]:
        """The model, and what its encoder is called; a size that the user asked for is its own, where it takes it.

        Raises: what `model_source` does.
        """
        own = encoder_source(self.encoder)
        size = asked.image_size if asked.image_size != Reading().image_size else None
        return model_source(replace(self, encoder=own.network), size=size), own.named

    def settings(self, encoder: str | None) -> dict[str, Setting]:
        """What a run's settings say about it, the model aside; weights are named only where they are given."""
        weights = {} if self.weights is None else {"weights": os.fspath(self.weights)}
        of_pixels = {"mean": tuple(map(str, self.mean)), "std": tuple(map(str, self.std))}
        return {"encoder": encoder, **weights, "layer": self.layer, "output": self.output, **of_pixels}


def model_source(
    model: str | os.PathLike[str] | nn.Module | Backbone | Network, *, size: int | None = None
) -> ModelSource:
    """Load what the user named.

    Args:
        model: See `Network`.
        size: Pixels a side, for a network of timm, transformers or ONNX that takes other sizes than its usual one.

    Raises:
        InputError: if it is none of these, or an option does not fit.
        DataError: if files cannot be read.
        MissingExtraError: if a module or library is not installed.
    """
    asked = model if isinstance(model, Network) else Network(model)
    model, layer, output = asked.model, asked.layer, asked.output
    given = {"weights": asked.weights, "output": output, "mean": asked.mean, "std": asked.std}
    name = os.fspath(model) if isinstance(model, str | os.PathLike) else ""
    if name and library_of(name) is None and Path(name).exists():
        _check_knows(given, f"{name} is a run's folder")
        return _of_run(name, asked.encoder, layer)
    if asked.encoder is not None:
        raise InputError(
            "Expected `encoder` with the folder of a run, whose model was trained with it; got it with a network. "
            "Leave it out."
        )
    where = int(output) if output is not None and output.isdecimal() else output
    if library_of(name):
        options: Any = {"weights": asked.weights, "mean": asked.mean, "std": asked.std, "layer": layer}
        return _of_backbone(named_backbone(name, size=size, output=where, **options), name)
    made: Any = _called(name) if name else model
    if isinstance(made, Backbone):
        _check_knows({**given, "layer": layer}, f"{name or made.name} is a Backbone")
        return _of_backbone(made, name or made.name)
    name = name or type(made).__name__
    if asked.weights is not None:
        fill(made, read_weights(asked.weights), asked.weights)
    if asked.mean or asked.std:
        made = Normalised(made, asked.mean, asked.std)
        layer = None if layer is None else f"model.{layer}"
    return ModelSource(made, name.rpartition(":")[2], name, layer, where)


def run_backbone(
    folder: str | os.PathLike[str], *, encoder: nn.Module | str | None = None, layer: str | None = None
) -> Backbone:
    """The model of a finished run as a `Backbone`: its pictures, classes and features as the folder says.

    Args:
        folder: A run's folder, or RUN/models/NAME.
        encoder: What it was trained with in place of the standard CNN, if it was.
        layer: The module whose output are the features, where not what goes into the last layer.

    Raises:
        InputError: if it is not of a network that shows its features.
        DataError: if files cannot be read.
    """
    saved = load(folder, encoder=encoder)
    came = Preprocessing(saved.framing, channels=saved.channels)
    return Backbone.tried(
        saved.model, came, layer=layer, class_names=saved.class_names, name=f"run:{saved.method}"
    )


def brought_backbone(
    name: str | os.PathLike[str], *, weights: str | os.PathLike[str] | None = None, seed: int = 0
) -> Backbone | nn.Module:
    """What the user names as features of pictures: a backbone, or the plain module that a callable gives.

    Raises: as `model_source` does.
    """
    text = os.fspath(name)
    if library_of(text):
        return named_backbone(text, weights=weights)
    return run_backbone(text) if not is_named(text) and Path(text).exists() else _called(text, seed=seed)


def _of_run(
    folder: str | os.PathLike[str], encoder: nn.Module | str | None, layer: str | None
) -> ModelSource:
    saved = load(folder, encoder=encoder)
    return ModelSource(
        saved.model,
        f"{saved.method} ({saved.recipe.get('name', 'unnamed')})",
        os.fspath(folder),
        layer or ("encoder" if hasattr(saved.model, "encode") else None),
        framing=saved.framing,
        channels=saved.channels,
        align=saved.aligned,
    )


def _of_backbone(found: Backbone, name: str) -> ModelSource:
    if found.outputs is None:
        raise InputError(
            f"{name} gives features and no logits; expected a model that says which class a picture is of. Give one "
            "with a last layer, or train one on these features."
        )
    layer, names = None, found.class_names
    if found.tap is not None and found.tap.side == "output":
        layer = f"model.{found.tap.layer}" if found.preprocessing.mean else found.tap.layer
    return ModelSource(
        found.module,
        found.name,
        name,
        layer,
        found.output,  # type: ignore[arg-type]
        found.framing,
        found.channels,
        found,
        None if names is None else lambda table: _named_alike(table, names),
    )


def _named_alike(table: ImageTable, names: Sequence[str]) -> ImageTable:
    """Classes by name; by number where the pictures' classes have no names."""
    if table.classes:
        return aligned(table, {name: number for number, name in enumerate(names)})
    if len(names) != len(table.class_names):
        raise InputError(
            f"The model is of {len(names)} classes ({_some(names)}); the pictures are of {len(table.class_names)} "
            f"({_some(table.class_names)}). Give the network that was trained on these classes."
        )
    return table


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _check_knows(given: Mapping[str, Any], whose: str) -> None:
    extra = [f"`{name}`" for name, value in given.items() if value]
    if extra:
        raise InputError(
            f"{', '.join(extra)} are for package.module:callable; {whose} and knows. Leave them out."
        )


def _called(name: str, *, seed: int = 0) -> Any:
    if not is_named(name):
        raise InputError(
            f"Expected the folder of a run, or {GRAMMAR}; got {name!r}. Check the path, or write for example "
            "mypackage.models:network, which gives an nn.Module."
        )
    made = made_by(name, seed=seed)
    return made if isinstance(made, Backbone) else as_network(made, name)
