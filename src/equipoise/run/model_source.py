"""The model that a job looks at: a run's folder, or a network by one of the names that `nn.named_backbone` takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image
from torch import nn

from equipoise.data import ImageTable, aligned
from equipoise.errors import InputError
from equipoise.nn import Backbone, BackboneClassifier, Preprocessing, named_backbone
from equipoise.nn.named import GRAMMAR, library_of
from equipoise.nn.named_object import as_network, is_named, made_by
from equipoise.nn.preprocessing import Normalised
from equipoise.nn.weights import fill, read_weights
from equipoise.pictures.own_framing import OwnFraming
from equipoise.run.encoder_source import encoder_source
from equipoise.run.identity import Setting
from equipoise.run.loaded_model import ModelSource, told_names
from equipoise.run.own_transform import own_framing, transformed
from equipoise.run.saved import load
from equipoise.run.sources import Reading

__all__ = [
    "Model",
    "ModelSource",
    "Network",
    "brought_backbone",
    "is_run",
    "model_source",
    "run_backbone",
]


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
        transform: The user's own transform of pictures, "package.module:callable" or a function; see `OwnFraming`.
    """

    model: str | os.PathLike[str] | nn.Module | Backbone
    encoder: nn.Module | str | None = None
    weights: str | os.PathLike[str] | None = None
    layer: str | None = None
    output: str | None = None
    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    transform: str | Callable[[Image.Image], Any] | None = None

    def loaded(self, asked: Reading, *, device: str = "auto") -> tuple[ModelSource, str | None]:
        """The model, and what its encoder is called; a size that the user asked for is its own, where it takes it, and
        so is how pictures become squares, of a network by name.

        Raises: what `model_source` does.
        """
        own = encoder_source(self.encoder)
        framing = None if self.transform is None else own_framing(self.transform, asked)
        size = asked.image_size if asked.image_size != Reading().image_size else None
        size = size if framing is None else framing.size
        found = model_source(replace(self, encoder=own.network), size=size, device=device)
        if framing is not None:
            return _transformed(found, framing, normalised=bool(self.mean or self.std)), own.named
        if found.backbone is not None and asked.framed and library_of(self.name) is not None:
            came = found.backbone.preprocessing
            came = replace(came, framing=replace(asked, image_size=came.framing.size).framing)
            found = _of_backbone(replace(found.backbone, preprocessing=came), self.name)
        return found, own.named

    @property
    def name(self) -> str:
        """What the user wrote; "" of a network in memory."""
        return os.fspath(self.model) if isinstance(self.model, str | os.PathLike) else ""

    def settings(self, encoder: str | None) -> dict[str, Setting]:
        """What a run's settings say about it, the model aside; weights are named only where they are given."""
        weights = {} if self.weights is None else {"weights": os.fspath(self.weights)}
        of_pixels = {"mean": tuple(map(str, self.mean)), "std": tuple(map(str, self.std))}
        own = self.transform
        named = own if own is None or isinstance(own, str) else OwnFraming.of(own).name
        said = {"layer": self.layer, "output": self.output, **of_pixels, "transform": named}
        return {"encoder": encoder, **weights, **said}


Model: TypeAlias = str | os.PathLike[str] | nn.Module | Backbone | Network
"""A model as a job takes it: see `Network`."""


def is_run(name: str) -> bool:
    """Whether a name is that of a run's folder."""
    return bool(name) and library_of(name) is None and Path(name).exists()


def model_source(model: Model, *, size: int | None = None, device: str = "auto") -> ModelSource:
    """Load what the user named.

    Args:
        model: See `Network`.
        size: Pixels a side, for a network of timm, transformers or ONNX that takes other sizes than its usual one.
        device: Where codes are computed for the density of a run's model.

    Raises:
        InputError: if it is none of these, or an option does not fit.
        DataError: if files cannot be read.
        MissingExtraError: if a module or library is not installed.
    """
    asked = model if isinstance(model, Network) else Network(model)
    model, layer, output = asked.model, asked.layer, asked.output
    given = {"weights": asked.weights, "output": output, "mean": asked.mean, "std": asked.std}
    name = asked.name
    if is_run(name):
        _check_knows(given, f"{name} is a run's folder")
        return _of_run(name, asked.encoder, layer, device)
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
    if isinstance(saved.model, BackboneClassifier) and layer is None:
        return saved.model.backbone
    came, names = Preprocessing(saved.framing, channels=saved.channels), saved.class_names
    return Backbone.tried(saved.model, came, layer=layer, class_names=names, name=f"run:{saved.method}")


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
    folder: str | os.PathLike[str], encoder: nn.Module | str | None, layer: str | None, device: str
) -> ModelSource:
    saved = load(folder, encoder=encoder, device=device)
    return ModelSource(
        saved.model,
        f"{saved.method} ({saved.recipe.get('name', 'unnamed')})",
        os.fspath(folder),
        layer or ("encoder" if hasattr(saved.model, "encode") else None),
        framing=saved.framing,
        channels=saved.channels,
        backbone=saved.model.backbone if isinstance(saved.model, BackboneClassifier) else None,
        align=saved.aligned,
        saved=saved,
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


def _transformed(found: ModelSource, framing: OwnFraming, *, normalised: bool) -> ModelSource:
    """The model behind the user's own transform."""
    known = found.backbone
    if found.saved is not None or (known is not None and library_of(found.source) is None):
        raise InputError(
            f"{found.title} knows how its pictures are made; got `transform` beside it. Leave it out."
        )
    told = known is not None and getattr(known.network, "told", None)
    inside = normalised or bool(told and told.preprocessing.mean)
    came = transformed(framing, None if known is None else known.preprocessing, inside, found.title)
    if known is not None:
        return _of_backbone(replace(known, preprocessing=came), found.source)
    network, layer = found.network, found.layer
    if came.mean:
        network, layer = Normalised(network, came.mean, came.std), layer and f"model.{layer}"
    return replace(found, network=network, layer=layer, framing=framing, channels=came.channels)


def _named_alike(table: ImageTable, names: Sequence[str]) -> ImageTable:
    """Classes by name; by number where the pictures' classes have no names."""
    if table.classes:
        return aligned(table, {name: number for number, name in enumerate(names)})
    if len(names) != len(table.class_names):
        raise InputError(
            f"The model is of {len(names)} classes ({told_names(names)}); the pictures are of {len(table.class_names)} "
            f"({told_names(table.class_names)}). Give the network that was trained on these classes."
        )
    return table


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
