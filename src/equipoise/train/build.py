"""The untrained model of a recipe and a method."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from equipoise.nn import DBVAE, Classifier, StandardCNN
from equipoise.nn.dbvae import feature_count
from equipoise.nn.standard_cnn import glorot_linear
from equipoise.seeds import child_seed
from equipoise.train.classes import outputs_of, vae_ids
from equipoise.train.recipe import Recipe

__all__ = ["build"]


def build(
    chosen: Recipe,
    method: str,
    image_size: int,
    channels: int,
    *,
    encoder: nn.Module | None = None,
    seed: int = 0,
    class_names: Sequence[str] = ("negative", "positive"),
) -> Any:
    """The untrained model of a method for these classes, its weights drawn from the seed."""
    outputs = outputs_of(class_names)
    shape = {"width": chosen.width, "depth": chosen.depth, "image_size": image_size, "channels": channels}
    generator = torch.Generator().manual_seed(child_seed(seed, "weights"))
    network: Any = copy.deepcopy(encoder)
    if encoder is not None and any(map(is_lazy, encoder.parameters())):
        with torch.random.fork_rng(devices=[]):  # its layers draw their weights when they first see an image
            torch.default_generator.manual_seed(child_seed(seed, "encoder"))
            feature_count(network, channels, image_size)
    if method in ("debiased", "uniform") and chosen.objective == "db-vae":
        return DBVAE(
            network,
            outputs=outputs,
            vae_classes=vae_ids(chosen, class_names),
            latent=chosen.latent,
            reconstruction=chosen.reconstruction,
            decoder_output=chosen.decoder_output,
            kl_weight=chosen.kl_weight,
            norm_momentum=chosen.norm_momentum,
            mirror=chosen.mirror,
            generator=generator,
            **shape,
        )
    if encoder is None:
        network = StandardCNN(outputs, norm_momentum=chosen.norm_momentum, generator=generator, **shape)
    else:
        head = glorot_linear(feature_count(network, channels, image_size), outputs, generator)
        network = nn.Sequential(network, head)
    return Classifier(network, mirror=chosen.mirror)
