"""Whether there will be sampling weights: found out before anything is trained, as far as it can be known then."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.resample import AdaptiveSampler, DegenerateWeightsError, sampling_weights
from equipoise.seeds import child_seed
from equipoise.train.classes import fewest_images, is_coded, rule_of, weighted_classes
from equipoise.train.device import device_of
from equipoise.train.rarity import Rarity, check_resampling
from equipoise.train.recipe import Recipe, Resampling

__all__ = ["check_first_weights"]

MADE_UP = 2048  # most codes, where those of a trained model are not there yet


def check_first_weights(
    chosen: Recipe,
    table: ImageTable,
    model: Any,
    *,
    vectors: NDArray[np.float32] | None = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Weigh the images as training will at first, and draw nothing.

    What pictures, an embedding or the untrained model decide is weighed as it is. Codes that a model has only after a
    warm-up are not there yet: made-up ones in their place tell whether settings and the number of images fit the rule.

    Args:
        chosen: The recipe.
        table: What is trained on.
        model: The untrained model.
        vectors: An embedding, as `Rarity` takes it.
        seed: Of the run.
        device: Where to encode.

    Raises:
        InputError: if there are none, or none that batches can be drawn by.
        MissingExtraError: if the rule needs a package that is not installed.
    """
    settings, embedded = chosen.resampling, vectors is not None
    classes = weighted_classes(chosen, table.class_names, embedded=embedded)
    check_resampling(
        settings,
        embedded=embedded,
        codes=chosen.objective == "db-vae",
        classes=len(table.class_names),
    )
    largest = _check_counts(settings, table, classes, embedded=embedded)
    if settings.rule == "errors":
        return  # models must be trained to know them
    coded = is_coded(settings, embedded=embedded)
    if coded and settings.warmup:
        _weigh_made_up(chosen, largest, seed)
        return
    where = device_of(device)
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator=where.type, devices=1)
    rarity = Rarity(
        settings, table, fabric, classes=classes, vectors=vectors, seed=child_seed(seed, "rarity")
    )
    weights = rarity.weights(model.to(fabric.device) if coded else model)
    sampler = AdaptiveSampler(table.labels, batch_size=chosen.debiased.batch_size, seed=0)
    sampler.renew(weights)


def _check_counts(
    settings: Resampling, table: ImageTable, classes: tuple[int, ...], *, embedded: bool
) -> int:
    """Whether there are enough images to weigh; the largest number of those of a class."""
    names, counts = table.class_names, np.bincount(table.labels, minlength=len(table.class_names))
    if not table.two_classes:
        largest = max(classes, key=lambda class_id: int(counts[class_id]))
        fewest = fewest_images(settings, embedded=embedded)
        if counts[largest] < fewest:
            raise InputError(
                f"Weights by rule {rule_of(settings, embedded=embedded)!r} need at least {fewest} images of a class; "
                f"got {counts[largest]} of the largest, {names[largest]!r:.60}. Add images, use another rule "
                "(`tune` resampling.rule=…), or train uniformly (method 'plain' or 'uniform')."
            )
        return int(counts[largest])
    for class_id in classes:
        count = int(counts[class_id])
        if settings.ess is not None and settings.ess * count < 1:
            raise InputError(
                f"With {count} {('negatives', 'positives')[class_id]} the effective sample size is at least "
                f"{1 / count:.3g}; got ess {settings.ess}. Raise it."
            )
    return len(table.positives)


def _weigh_made_up(chosen: Recipe, images: int, seed: int) -> None:
    settings = chosen.resampling
    codes = torch.randn(
        min(images, max(MADE_UP, 2 * settings.clusters)),
        chosen.latent,
        generator=torch.Generator().manual_seed(child_seed(seed, "made up")),
    )
    rule: Any = rule_of(settings, embedded=False)
    if rule == "capsa":
        return  # takes any codes
    try:
        sampling_weights(
            codes,
            rule=rule,
            bins=settings.bins,
            smoothing=settings.smoothing,
            clusters=settings.clusters,
            seed=0,
            ess=settings.ess,
            max_weight=settings.max_weight,
        )
    except DegenerateWeightsError:
        return  # real codes may be spread otherwise
