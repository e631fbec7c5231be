"""Whether there will be sampling weights: found out before anything is trained, as far as it can be known then."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.resample import AdaptiveSampler, DegenerateWeightsError, sampling_weights
from equipoise.seeds import child_seed
from equipoise.train.device import device_of
from equipoise.train.rarity import Rarity, check_resampling, rule_of
from equipoise.train.recipe import Recipe

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
    settings = chosen.resampling
    check_resampling(settings, embedded=vectors is not None, codes=chosen.objective == "db-vae")
    classes = [("positives", table.positives)]
    classes += [("negatives", table.negatives)] if settings.classes == "both" else []
    for name, rows in classes:
        if settings.ess is not None and settings.ess * len(rows) < 1:
            raise InputError(
                f"With {len(rows)} {name} the effective sample size is at least {1 / len(rows):.3g}; got ess "
                f"{settings.ess}. Raise it."
            )
    coded = vectors is None and settings.rule != "appearance"
    if coded and settings.warmup:
        _weigh_made_up(chosen, len(table.positives), seed)
        return
    where = device_of(device)
    fabric = Fabric(accelerator=where.type, devices=1)
    rarity = Rarity(settings, table, fabric, vectors=vectors, seed=child_seed(seed, "rarity"))
    weights = rarity.weights(model.to(fabric.device) if coded else model)
    sampler = AdaptiveSampler(table.labels, batch_size=chosen.debiased.batch_size, seed=0)
    sampler.renew(weights, rarity.negative_weights())


def _weigh_made_up(chosen: Recipe, positives: int, seed: int) -> None:
    settings = chosen.resampling
    codes = torch.randn(
        min(positives, max(MADE_UP, 2 * settings.clusters)),
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
