"""The model to be audited: a run's folder, or `package.module:callable` that gives an nn.Module."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.errors import InputError
from equipoise.failures import refused
from equipoise.files import read_tensors
from equipoise.run.encoder_source import encoder_source
from equipoise.run.identity import Setting
from equipoise.run.named_object import is_named, named_network
from equipoise.run.saved import load
from equipoise.run.sources import Reading
from equipoise.train.saved_model import check_kinds

__all__ = ["ModelSource", "Network", "Normalised", "model_source"]


@dataclass(frozen=True, eq=False)
class ModelSource:
    """A network for images in [0, 1], in the mode that it was given in.

    Args:
        network: Images (batch, channels, height, width) → prediction.
        title: What people read.
        source: What the user gave.
        layer: Where its features are; None looks for what goes into the last layer.
        output: Where the prediction is in what it returns.
        image_size: Pixels a side of the images it takes; None = what the user asks for.
        channels: Likewise.
    """

    network: nn.Module
    title: str
    source: str
    layer: str | None = None
    output: str | int | None = None
    image_size: int | None = None
    channels: int | None = None

    def reading(self, asked: Reading) -> Reading:
        """How images are read for it: as it takes them, where it knows."""
        if self.image_size is None or self.channels is None:
            return asked
        return replace(asked, image_size=self.image_size, channels=self.channels)


class Normalised(nn.Module):
    """A network behind (image − mean) / std, channel by channel.

    Args:
        model: The network.
        mean: Of images in [0, 1], one number a channel or one for all.
        std: Likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if not mean or len(mean) != len(std) or not all(value > 0 for value in std):
            raise InputError(
                f"Expected as many means as standard deviations, all of these above 0; got mean {tuple(mean)}, std "
                f"{tuple(std)}. Give both, as in `mean` 0.485,0.456,0.406 and `std` 0.229,0.224,0.225."
            )
        self.model = model
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(list(values)).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Any:
        """What the network says of normalised images."""
        return self.model((images - self.mean) / self.std)


@dataclass(frozen=True, eq=False)
class Network:
    """A model and what it needs to be read; see `model_source`."""

    model: str | os.PathLike[str] | nn.Module
    encoder: nn.Module | str | None = None
    weights: str | os.PathLike[str] | None = None
    layer: str | None = None
    output: str | None = None
    mean: Sequence[float] = ()
    std: Sequence[float] = ()

    def loaded(self) -> tuple[ModelSource, str | None]:
        """The model, and what its encoder is called.

        Raises: what `model_source` does.
        """
        own = encoder_source(self.encoder)
        return model_source(**{**vars(self), "encoder": own.network}), own.named

    def settings(self, encoder: str | None) -> dict[str, Setting]:
        """What a run's settings say about it, the model aside; weights are named only where they are given."""
        weights = {} if self.weights is None else {"weights": os.fspath(self.weights)}
        of_pixels = {"mean": tuple(map(str, self.mean)), "std": tuple(map(str, self.std))}
        return {"encoder": encoder, **weights, "layer": self.layer, "output": self.output, **of_pixels}


def model_source(
    model: str | os.PathLike[str] | nn.Module,
    *,
    encoder: nn.Module | str | None = None,
    weights: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    output: str | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> ModelSource:
    """Load what the user named.

    Args:
        model: A run's folder, RUN/models/NAME, "package.module:callable", or a network.
        encoder: What the model of a run's folder was trained with in place of the standard CNN, if it was.
        weights: A safetensors file for the network that the callable gives.
        layer: The module whose output are the features.
        output: Key, attribute or number of the prediction in what the network returns.
        mean: Subtracted from images in [0, 1], channel by channel, before the network sees them.
        std: Then divided by.

    Raises:
        InputError: if it is neither a folder nor a callable, or an option does not fit.
        DataError: if files cannot be read.
        MissingExtraError: if the module is not installed.
    """
    if not isinstance(model, nn.Module) and Path(model).exists():
        given = {"`weights`": weights, "`output`": output, "`mean`": mean, "`std`": std}
        extra = [name for name, value in given.items() if value]
        if extra:
            raise InputError(
                f"{', '.join(extra)} are for package.module:callable; {os.fspath(model)} is a run's folder and knows. "
                "Leave them out."
            )
        saved = load(model, encoder=encoder)
        found = layer or ("encoder" if hasattr(saved.model, "encode") else None)
        title = f"{saved.method} ({saved.recipe.get('name', 'unnamed')})"
        return ModelSource(
            saved.model, title, os.fspath(model), found, None, saved.image_size, saved.channels
        )
    if encoder is not None:
        raise InputError(
            "Expected `encoder` with the folder of a run, whose model was trained with it; got it with a network. "
            "Leave it out."
        )
    name = type(model).__name__ if isinstance(model, nn.Module) else os.fspath(model)
    network = model if isinstance(model, nn.Module) else _called(name)
    if weights is not None:
        _fill(network, Path(weights))
    if mean or std:
        network = Normalised(network, mean, std)
        layer = None if layer is None else f"model.{layer}"
    where = int(output) if output is not None and output.isdecimal() else output
    return ModelSource(network, name.rpartition(":")[2], name, layer, where)


def _called(name: str) -> nn.Module:
    if not is_named(name):
        raise InputError(
            f"Expected the folder of a run, or package.module:callable that gives an nn.Module; got {name!r}. "
            "Check the path, or write for example mypackage.models:network."
        )
    return named_network(name)


def _fill(network: nn.Module, path: Path) -> None:
    tensors, _ = read_tensors(path, "a safetensors file", "Check `weights`.")
    check_kinds(network, tensors, path)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        if refused(error):
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(
            f"The weights in {path} do not fit the network: {' '.join(lines[1:3])} Give those of this very network."
        ) from error
