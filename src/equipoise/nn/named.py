"""One grammar of names for networks: `timm:NAME`, `hf:NAME_OR_FOLDER`, `onnx:FILE`, `package.module:callable`.

A fifth kind, the folder of a run, is read where runs are known: `equipoise.run.named_backbone`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from equipoise.errors import InputError
from equipoise.nn.backbone import Backbone
from equipoise.nn.hugging_face import hugging_face
from equipoise.nn.named_object import is_named, made_by
from equipoise.nn.onnx_network import FEATURES, OnnxNetwork
from equipoise.nn.timm_networks import timm_network
from equipoise.nn.weights import fill, read_weights
from equipoise.pictures.framing import Framing

__all__ = ["GRAMMAR", "LIBRARIES", "library_of", "named_backbone"]

LIBRARIES = "timm", "hf", "onnx"
GRAMMAR = "timm:NAME, hf:NAME_OR_FOLDER, onnx:FILE or package.module:callable"


def library_of(name: str) -> str | None:
    """Which of the `LIBRARIES` a name belongs to; None of any other text."""
    library, colon, rest = name.partition(":")
    return library if colon and rest and library in LIBRARIES else None


def named_backbone(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    size: int | Framing | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    layer: str | None = None,
    output: str | int | None = None,
) -> Backbone:
    """A network with all that is known of it.

    Args:
        name: timm:NAME, also timm:local-dir:FOLDER; hf:NAME_OR_FOLDER; onnx:FILE; package.module:callable, which gives
            an nn.Module, or a `Backbone`. **Naming a callable runs its code.**
        weights: A file, of safetensors or of `torch.save`, in place of the pretrained ones; not for onnx.
        size: Pixels a side, or a whole `Framing`, where not as the network's own configuration says; a callable that
            gives a module gets 224 without.
        mean: Likewise, of pixels in [0, 1]; a callable and an ONNX file say none, and get pixels as they are.
        std: Likewise.
        layer: Module, or of an ONNX file the value, that are the features; None takes what goes into the last layer.
        output: Key, attribute or number of the logits in what a callable returns; name of an ONNX file's scores.

    Raises:
        InputError: if the name is none of these, or network and options do not fit.
        DataError: if files cannot be had or read.
        MissingExtraError: if a library is not installed; says how to install it.
    """
    asked = _Asked(weights, size, tuple(mean), tuple(std), layer, output)
    library = library_of(name)
    inner = name.partition(":")[2]
    with torch.random.fork_rng(devices=[]):  # libraries draw weights that are then overwritten
        if library == "onnx":
            return _of_onnx(inner, asked)
        if library is not None:
            return _of_library(library, inner, asked)
        if is_named(name):
            return _of_callable(name, asked)
    raise InputError(
        f"Expected the name of a network: {GRAMMAR}; got {name!r:.200}. A finished run's folder is read by "
        "equipoise.run.named_backbone; a network in memory by Backbone.of."
    )


class _Asked(NamedTuple):
    """What the user says beside the name."""

    weights: str | os.PathLike[str] | None
    size: int | Framing | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layer: str | None
    output: str | int | None


def _of_library(library: str, name: str, asked: _Asked) -> Backbone:
    if asked.output is not None:
        raise InputError(
            f"`output` is for package.module:callable and onnx:FILE; {library}:{name} knows where its logits are. "
            "Leave it out."
        )
    network: torch.nn.Module
    layer = asked.layer
    if library == "timm":
        side = asked.size.size if isinstance(asked.size, Framing) else asked.size
        network, came, names = timm_network(name, weights=asked.weights, size=side)
        headless = getattr(network, "num_classes", None) == 0
        if not came.mean and not asked.mean:
            raise InputError(
                f"timm:{name} says no mean and standard deviation for pictures of {came.channels} channels, which "
                "these weights take. Give those of its training, `mean` and `std`."
            )
    else:
        network, came, names = hugging_face(name, weights=asked.weights)
        headless = network.kind != "logits"
        layer = None if layer is None else f"model.{layer}"
    return Backbone.tried(
        network.eval(),
        came.changed(asked.size, asked.mean, asked.std),
        layer=layer,
        headless=headless,
        class_names=names,
        name=f"{library}:{name}",
    )


def _of_onnx(path: str, asked: _Asked) -> Backbone:
    if asked.weights is not None:
        raise InputError("An ONNX file holds its weights; got `weights` beside it. Leave them out.")
    output = None if asked.output is None else str(asked.output)
    network = OnnxNetwork(path, layer=asked.layer, output=output).eval()
    told = network.told
    if told is not None and told.preprocessing.mean and (asked.mean or asked.std):
        raise InputError(
            f"{path} normalises its pictures itself, with mean {told.preprocessing.mean}, as its metadata say; got "
            "`mean` and `std` beside it. Leave them out."
        )
    came = network.preprocessing(asked.size).changed(None, asked.mean, asked.std)
    names = None if told is None else told.class_names
    return Backbone.tried(network, came, layer=FEATURES, class_names=names, name=f"onnx:{path}")


def _of_callable(name: str, asked: _Asked) -> Backbone:
    made = made_by(name)
    if isinstance(made, Backbone):
        given = [f"`{key}`" for key, value in asked._asdict().items() if value is not None and value != ()]
        if given:
            raise InputError(
                f"{name} gives a Backbone, which knows; got {', '.join(given)} beside it. Leave that out."
            )
        return made
    if not isinstance(made, torch.nn.Module):
        raise InputError(
            f"Expected {name} to give a torch nn.Module or a Backbone; got {type(made).__name__}. Name a class or "
            "function that makes one without arguments."
        )
    if asked.weights is not None:
        fill(made, read_weights(asked.weights), asked.weights)
    found = Backbone.of(
        made,
        size=224 if asked.size is None else asked.size,
        mean=asked.mean,
        std=asked.std,
        layer=asked.layer,
        output=asked.output,
    )
    return replace(found, name=name)
