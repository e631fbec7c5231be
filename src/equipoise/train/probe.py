"""A last layer on a backbone's features: the recipe "probe", and the start of "fine-tune"."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone, BackboneClassifier, fit_linear
from equipoise.seeds import child_seed
from equipoise.train.classes import fewest_images, weighted_classes, weighted_rows
from equipoise.train.device import device_of
from equipoise.train.embedding import Embedded
from equipoise.train.featured import Featured, Probe
from equipoise.train.rarity import Rarity, check_resampling
from equipoise.train.recipe import Recipe

__all__ = ["Fitted", "check_backbone", "featured_vectors", "fitted_probe", "row_weights", "trainable"]


class Fitted:
    """A probe and how it came about.

    Args:
        model: In evaluation mode.
        weights: Class id → sampling weights within it that sum to 1; empty where images count alike.
        seconds: Of the fit, the pass of the network aside.
    """

    def __init__(self, model: Probe, weights: dict[int, NDArray[np.float64]], seconds: float) -> None:
        self.model, self.weights, self.seconds = model, weights, seconds


def check_backbone(chosen: Recipe, backbone: Backbone | Featured | None, *, other: bool) -> Featured | None:
    """What the recipe's models are made of, once it is known that recipe and backbone go together.

    Args:
        chosen: The recipe.
        backbone: What the user brought.
        other: An encoder or a model was brought too.

    Raises:
        InputError: if they do not.
    """
    if chosen.backbone == "none":
        if backbone is None:
            return None
        raise InputError(
            f"Recipe {chosen.name!r} builds a network of its own; got a backbone with it. Use recipe 'probe' or "
            "'fine-tune', or leave the backbone out."
        )
    if backbone is None:
        raise InputError(
            f"Recipe {chosen.name!r} is for a network that you bring; got none. Give one as `backbone`, or use another "
            "recipe."
        )
    if other:
        raise InputError(
            "A backbone is a whole network; got an encoder or a model with it. Leave these out, or the backbone."
        )
    if chosen.objective != "classifier" or chosen.mirror:
        raise InputError(
            f"Recipe {chosen.name!r} takes a backbone, which is trained as a plain classifier; got objective "
            f"{chosen.objective!r}{' and `mirror`' if chosen.mirror else ''}. Set `tune` objective=classifier and "
            "mirror=false."
        )
    return backbone if isinstance(backbone, Featured) else Featured(backbone)


def row_weights(table: ImageTable, weights: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Weights of rows whose mean is 1: each class has the same sum, shared out within it by `weights` or equally."""
    counts = np.bincount(table.labels, minlength=len(table.class_names))
    share = len(table) / np.count_nonzero(counts)
    found: NDArray[np.float64] = share / np.maximum(counts, 1)[table.labels]
    for class_id, own in weights.items():
        found[weighted_rows(table, [class_id])] = own * share
    return found


def featured_vectors(table: ImageTable, chosen: Recipe, featured: Featured, device: str) -> Embedded:
    """Features of the images that are weighted, as the embedding that rarity is measured in.

    Raises:
        InputError: if settings or pictures do not fit.
    """
    names = table.class_names
    check_resampling(chosen.resampling, embedded=True, codes=False, classes=len(names))
    classes = weighted_classes(chosen, names, embedded=True)
    rows, fewest = weighted_rows(table, classes), fewest_images(chosen.resampling, embedded=True)
    largest = max(np.bincount(table.labels, minlength=len(names))[list(classes)])
    if largest < fewest:
        raise InputError(
            f"Weights by rule {chosen.resampling.rule!r} need at least {fewest} images of a class; got {largest} "
            "of the largest that is weighted. Add images, or use method 'plain' or 'uniform'."
        )
    found = featured.of(table, device_of(device)).vectors(rows)
    return Embedded(found, rows, f"features {featured.backbone.digest}", 0.0)


def fitted_probe(
    table: ImageTable,
    chosen: Recipe,
    method: str,
    featured: Featured,
    vectors: NDArray[np.float32] | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
) -> Fitted:
    """Fit the last layer of a method: "plain" lets every image count alike, the others every class, and "debiased"
    within a class what is rare more.

    Args:
        table: What it learns from.
        chosen: The recipe, its C and its resampling.
        method: One of `METHODS`.
        featured: The backbone.
        vectors: What rarity is measured in, as `Rarity` takes it; for "debiased".
        seed: Of the run.
        device: Where the network runs.

    Raises:
        InputError: if pictures, settings or the number of images do not fit.
        TrainingError: if no last layer is found.
    """
    store = featured.of(table, device_of(device))
    began = time.perf_counter()
    weights: dict[int, NDArray[np.float64]] = {}
    if vectors is not None:
        classes = weighted_classes(chosen, table.class_names, embedded=True)
        from lightning_fabric import Fabric

        fabric: Any = Fabric(accelerator="cpu", devices=1)
        chance = child_seed(seed, "rarity")
        rarity = Rarity(chosen.resampling, table, fabric, classes=classes, vectors=vectors, seed=chance)
        weights = rarity.weights(featured.backbone.network)
    rows = None if method.startswith("plain") else row_weights(table, weights)
    layer = fit_linear(store.features, table.labels, C=chosen.C, weights=rows, classes=len(table.class_names))
    model = Probe(featured, layer, table.class_names)
    model.eval()
    return Fitted(model, weights, time.perf_counter() - began)


def trainable(backbone: Backbone) -> BackboneClassifier:
    """A backbone with a last layer, as a model whose layers all learn.

    Raises:
        InputError: if it has no weights that could.
    """
    found = BackboneClassifier(backbone)
    for parameter in found.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    if not any(parameter.requires_grad for name, parameter in found.named_parameters() if "head" not in name):
        raise InputError(
            f"Expected a network of torch whose layers can learn; {backbone.name} has no weights here. Use "
            "recipe 'probe', which leaves it as it is."
        )
    return found
