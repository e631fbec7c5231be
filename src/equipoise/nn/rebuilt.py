"""A backbone's description as plain values, and the network that it is of, untrained: for saved models.

The weights lie beside it, under the names that the network itself gives them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from equipoise.errors import DataError, InputError
from equipoise.nn.backbone import Backbone
from equipoise.nn.digest import architecture_digest
from equipoise.nn.hugging_face import HuggingFace, untrained_hugging_face
from equipoise.nn.last_layer import HEAD, Headed, renamed
from equipoise.nn.named import library_of
from equipoise.nn.onnx_network import OnnxNetwork
from equipoise.nn.preprocessing import Preprocessing
from equipoise.nn.taps import Tap
from equipoise.nn.timm_networks import untrained_timm

__all__ = ["described", "needs_network", "rebuilt"]


def described(backbone: Backbone) -> dict[str, Any]:
    """What is needed to build the network again, weights aside, as JSON-able values.

    Raises:
        InputError: if the prediction is found by a function, which no file can hold.
    """
    network = backbone.network
    headed = isinstance(network, Headed)
    inner: nn.Module = network.network if isinstance(network, Headed) else network
    tap, output = (
        (network.tap, network.output) if isinstance(network, Headed) else (backbone.tap, backbone.output)
    )
    if callable(output):
        raise InputError(
            "Expected `output` as a key, a name or a number, which a saved model can note; got a function. Give a "
            "network whose forward returns the logits."
        )
    found: dict[str, Any] = {
        "name": backbone.name,
        "headed": headed,
        "tap": None if tap is None else list(tap),
        "output": output,
        "mean": list(backbone.preprocessing.mean),
        "std": list(backbone.preprocessing.std),
        "dimensions": backbone.dimensions,
        "replaced": backbone.replaced,
    }
    if isinstance(inner, HuggingFace):
        config = json.loads(inner.model.config.to_json_string(use_diff=False))  # type: ignore[union-attr, operator]
        return {**found, "kind": inner.kind, "config": config}
    if library_of(backbone.name) == "timm":
        return found
    if isinstance(inner, OnnxNetwork):
        return {**found, "content": inner.content, "values": [inner.features_name, inner.scores_name]}
    return {**found, "architecture": architecture_digest(network)}


def needs_network(words: Mapping[str, Any]) -> bool:
    """Whether the user must bring the network again: equipoise can build those of libraries and files alone."""
    return "architecture" in words


def rebuilt(
    words: Mapping[str, Any],
    came: Preprocessing,
    outputs: int,
    class_names: Sequence[str],
    given: nn.Module | None = None,
) -> Backbone:
    """The backbone that `described` told, with other weights.

    Args:
        words: The description.
        came: How its pictures come.
        outputs: Logits.
        class_names: Of them.
        given: The network itself, where it is one of the user's own; copied.

    Raises:
        InputError: if the network is missing or another one.
        DataError: if the description is damaged, or files that it names are gone or changed.
        MissingExtraError: if a library is not installed.
    """
    try:
        name, headed, tap = str(words["name"]), bool(words["headed"]), words["tap"]
        inside = None if tap is None else Tap(str(tap[0]), tap[1])
        output, dimensions = words["output"], int(words["dimensions"])
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise DataError(
            f"Expected the backbone of a trained model; got {dict(words)!r:.200}. Train again."
        ) from error
    network = _untrained(words, name, came, given)
    with torch.random.fork_rng(devices=[]):
        head = nn.Linear(dimensions, outputs)
    if headed:
        network = Headed(network, inside, output, head)
        inside, output = Tap(HEAD, "input"), None
    elif inside is not None:
        try:
            network.get_submodule(inside.layer)
            network.set_submodule(inside.layer, head)
        except AttributeError as error:
            told = f"Expected a layer {inside.layer!r} in the network that the model was trained with, {name}; got one "
            told += "without it. Give the same network."
            raise (InputError if given is not None else DataError)(told) from error
        renamed(network, outputs, class_names)
    if given is not None and architecture_digest(network) != words.get("architecture"):
        raise InputError(
            f"Expected the network that the model was trained with, {name}; got a {type(given).__name__} of another "
            "architecture. Give the same one."
        )
    replaced = words.get("replaced")
    replaced = replaced if isinstance(replaced, int) else None
    return Backbone(network, came, inside, output, dimensions, outputs, tuple(class_names), name, replaced)


def _untrained(
    words: Mapping[str, Any], name: str, came: Preprocessing, given: nn.Module | None
) -> nn.Module:
    """The network without its last layer's classes."""
    if needs_network(words) != (given is not None):
        want = f"the network that the model was trained with, {name}" if given is None else "no network"
        raise InputError(
            f"Expected {want}; got {'none' if given is None else type(given).__name__}. "
            f"{'Give it again as `encoder`' if given is None else 'Leave `encoder` out: it is built from ' + name}."
        )
    if given is not None:
        return copy.deepcopy(given)
    inner = name.partition(":")[2]
    if "config" in words:
        return untrained_hugging_face(words["config"], str(words.get("kind")), name)
    if library_of(name) == "timm":
        return untrained_timm(inner, came.framing.size, came.channels)
    if library_of(name) == "onnx":
        layer, output = map(str, words["values"])
        network = OnnxNetwork(inner, layer=layer, output=output).eval()
        if network.content != words.get("content"):
            raise DataError(
                f"Expected the file that the model was trained on, {inner}; it has changed since. Bring the first one."
            )
        return network
    raise DataError(
        f"Expected the name of a network in a model's config.json; got {name!r:.100}. Train again."
    )
