"""What goes into the last layer of a model that was trained here, and the model with another last layer.

Logits of a model that looks at the mirror image too are the mean of two passes. A last layer is affine, so they are its
value at the mean of the two passes' features: these are what another layer is fitted on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from equipoise.errors import InputError
from equipoise.nn.dbvae import DBVAE
from equipoise.nn.last_layer import BackboneClassifier, with_last_layer
from equipoise.nn.objective import Classifier, both_ways
from equipoise.nn.standard_cnn import StandardCNN

__all__ = ["features_of", "with_layer"]

Model = TypeVar("Model", bound=nn.Module)


def features_of(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Images in [0, 1] → what its last layer takes in evaluation mode, shape (batch, d).

    Raises:
        InputError: if it is no model whose last layer is known.
    """
    seen = _features(model)
    return (lambda images: both_ways(seen, images)) if getattr(model, "mirror", False) else seen


def with_layer(model: Model, layer: nn.Linear, class_names: Sequence[str]) -> Model:
    """A copy with another last layer; of a DB-VAE codes stay as they are.

    Args:
        model: As `features_of` takes it.
        layer: Its features → logits, as many as the model has.
        class_names: Of the logits, by id.

    Raises:
        InputError: if it is no model whose last layer is known, or the layer is of another shape.
    """
    if isinstance(model, BackboneClassifier):
        found = BackboneClassifier(with_last_layer(model.backbone, layer, class_names), mirror=model.mirror)
        return found.train(model.training)  # type: ignore[return-value]
    made = copy.deepcopy(model)
    last, outputs = _last(made)
    if layer.weight.shape != (outputs, last.in_features):
        raise InputError(
            f"Expected a layer from {last.in_features} features to {outputs} logits; got one from {layer.in_features} "
            f"to {layer.out_features}. Fit it on features of this model, with labels of its classes."
        )
    with torch.no_grad():
        last.weight[:outputs] = layer.weight
        last.bias[:outputs] = layer.bias
    return made


def _features(model: nn.Module) -> Callable[[Tensor], Tensor]:
    if isinstance(model, DBVAE):
        return model.encoder
    if isinstance(model, BackboneClassifier):
        return lambda images: model.backbone(images).features
    network = model.network if isinstance(model, Classifier) else None
    if isinstance(network, StandardCNN):
        return network.features
    _last(model)
    encoder: nn.Module = network[0]  # type: ignore[index]
    return encoder


def _last(model: nn.Module) -> tuple[nn.Linear, int]:
    """The layer, and how many of its outputs are logits; the first ones are."""
    if isinstance(model, DBVAE):
        return model.head, model.outputs
    network = model.network if isinstance(model, Classifier) else None
    if isinstance(network, StandardCNN) and isinstance(network.output, nn.Linear):
        return network.output, network.output.out_features
    if isinstance(network, nn.Sequential) and len(network) == 2 and isinstance(network[1], nn.Linear):
        return network[1], network[1].out_features
    raise InputError(
        f"Expected a model that a recipe built, whose last layer is known; got a {type(model).__name__}. Use the fix "
        "of its network in place of a second stage."
    )
