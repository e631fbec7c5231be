"""A network's last layer: taken out, and put back as another one that was fitted on its features."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.errors import InputError
from equipoise.nn.backbone import Backbone
from equipoise.nn.objective import Classifier
from equipoise.nn.taps import Output, Tap, features_at, pooled, prediction_of, tapped

__all__ = [
    "BackboneClassifier",
    "Headed",
    "last_layer",
    "renamed",
    "replaceable",
    "two_logits",
    "with_last_layer",
]

HEAD = "head"
ROUNDING = 1e-3  # of logits, relative to the largest


class Headed(nn.Module):
    """A network whose own last layer is out of reach, with another one behind its features.

    Args:
        network: Pictures as it takes them → anything.
        tap: Where its features are; None: what it returns.
        output: Where they are in what it returns, without a tap.
        head: Features → logits.
    """

    def __init__(self, network: nn.Module, tap: Tap | None, output: Output, head: nn.Linear) -> None:
        super().__init__()
        self.network, self.head, self.tap, self.output = network, head, tap, output

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        if self.tap is None:
            found = pooled(prediction_of(self.network(images), self.output))
        else:
            with tapped(self.network, self.tap) as passed:
                self.network(images)
            found = features_at(self.tap, passed, len(images))
        logits: Tensor = self.head(found.float())
        return logits


class BackboneClassifier(Classifier):
    """A backbone as a model that can be trained and asked: pictures in [0, 1] → logits.

    Args:
        backbone: With a last layer of the classes; its network is part of this one.
        mirror: See `Classifier`.
    """

    def __init__(self, backbone: Backbone, *, mirror: bool = False) -> None:
        super().__init__(backbone.module, mirror=mirror)
        self.backbone = backbone


def last_layer(backbone: Backbone) -> nn.Linear:
    """The layer that makes logits of a backbone's features.

    Raises:
        InputError: if there is none that is linear and stands alone; says why.
    """
    layer, why = _found(backbone)
    if layer is None:
        raise InputError(
            f"Expected a linear last layer of {backbone.name}, from its features to its logits; {why}. Name the "
            "layer whose output are the features, `layer`, or take the network of its features alone."
        )
    return layer


def replaceable(backbone: Backbone) -> bool:
    """Whether another last layer can stand in the place of its own."""
    return _found(backbone)[0] is not None


def with_last_layer(
    backbone: Backbone, layer: nn.Linear, class_names: Sequence[str] | None = None
) -> Backbone:
    """The same network with another last layer: in the place of its own where that can be, else behind its features.

    Args:
        backbone: It is left as it was; the network is copied.
        layer: Features as the backbone gives them → one logit a class, or one for two classes; copied.
        class_names: Of the new logits, by id.

    Raises:
        InputError: if the layer takes other features; names both sides.
    """
    if layer.in_features != backbone.dimensions:
        raise InputError(
            f"Expected a layer for {backbone.dimensions} features of {backbone.name}; got one for "
            f"{layer.in_features}. Fit it on features of this network."
        )
    head = copy.deepcopy(layer).to(_device(backbone.network))
    network = copy.deepcopy(backbone.network)
    tap, output = backbone.tap, backbone.output
    if tap is not None and replaceable(backbone):
        head = head.to(network.get_submodule(tap.layer).weight.dtype)  # type: ignore[arg-type]
        network.set_submodule(tap.layer, head)
        renamed(network, head.out_features, class_names)
    elif isinstance(network, Headed):
        network.head = head
    else:
        network = Headed(network, backbone.tap, backbone.output, head)
        tap, output = Tap(HEAD, "input"), None
    names = None if class_names is None else tuple(class_names)
    first = backbone.outputs if backbone.replaced is None else backbone.replaced
    found = replace(
        backbone,
        network=network,
        tap=tap,
        output=output,
        outputs=head.out_features,
        class_names=names,
        replaced=first,
    )
    found.network.train(backbone.network.training)
    return found


def two_logits(backbone: Backbone) -> Backbone:
    """The same with a logit for each of two classes, 0 for the first, where it has one for both: what other programs
    expect of two classes. Probabilities stay the same.

    Raises:
        InputError: as `last_layer` does.
    """
    if backbone.outputs != 1:
        return backbone
    one = last_layer(backbone)
    with torch.random.fork_rng(devices=[]):
        both = nn.Linear(one.in_features, 2)
    with torch.no_grad():
        both.weight.copy_(torch.cat([torch.zeros_like(one.weight), one.weight]))
        both.bias.copy_(torch.cat([one.bias.new_zeros(1), one.bias]))
    return with_last_layer(backbone, both, backbone.class_names)


def _found(backbone: Backbone) -> tuple[nn.Linear | None, str]:
    """The layer; or None, and why."""
    tap, network = backbone.tap, backbone.network
    if backbone.outputs is None:
        return None, "it has no last layer"
    if tap is None or tap.side != "input":
        return None, "its features are the output of a named layer, and what follows that is not known"
    layer = network.get_submodule(tap.layer)
    if not isinstance(layer, nn.Linear):
        return None, f"{tap.layer!r} is of type {type(layer).__name__}"
    if not tap.layer:
        return None, "it is the whole network"
    uses = [name for name, module in network.named_modules(remove_duplicate=False) if module is layer]
    shared = sum(
        parameter is layer.weight for _, parameter in network.named_parameters(remove_duplicate=False)
    )
    if len(uses) > 1 or shared > 1:
        return None, f"{tap.layer!r} shares its weights with another part"
    told = backbone(backbone.example())
    with torch.inference_mode():
        made = layer(told.features.to(layer.weight.dtype)).float()
    if told.logits is None or made.shape != told.logits.shape:
        return None, f"{tap.layer!r} is called for several places of a picture"
    if not torch.allclose(made, told.logits.float(), atol=ROUNDING * float(made.abs().max()) + 1e-6):
        return None, f"what follows {tap.layer!r} changes its logits"
    return layer, ""


def renamed(network: nn.Module, outputs: int, class_names: Sequence[str] | None) -> None:
    """What libraries note of a network's classes beside its last layer."""
    names = tuple(map(str, class_names or range(max(2, outputs))))
    for part in network.modules():
        config: Any = getattr(part, "config", None)
        if hasattr(config, "id2label"):
            config.id2label = dict(enumerate(names))
            config.label2id = {name: number for number, name in enumerate(names)}
        for attribute in ("num_classes", "num_labels"):
            if isinstance(getattr(part, attribute, None), int):
                setattr(part, attribute, outputs)


def _device(network: nn.Module) -> torch.device:
    first = next(network.parameters(), None)
    return torch.device("cpu") if first is None else first.device
