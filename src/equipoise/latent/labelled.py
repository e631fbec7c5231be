"""Hyperplanes from nothing but a generator and attribute classifiers: sample, decode, score, fit.

Source: V. V. Ramaswamy, S. S. Y. Kim, O. Russakovsky, Fair Attribute Classification through Latent Space De-biasing,
CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy import ndarray
from torch import Tensor

from equipoise.errors import InputError
from equipoise.latent.frozen import parts
from equipoise.latent.generator import Generator, check_generator, decoded, sampled
from equipoise.latent.hyperplane import LOWEST_AUROC, Hyperplane, fit_hyperplane
from equipoise.latent.scores import AttributeClassifier, attribute_scores, check_decision
from equipoise.seeds import child_seed

__all__ = ["ScoredLatents", "as_stored", "blocks_of_latents", "fit_hyperplanes", "scored_latents"]

BLOCK = 1024
"""Latents drawn at a time, each block from its own seed: a longer run begins with the shorter one."""


class ScoredLatents(NamedTuple):
    """Latents of a generator and what classifiers say of their images.

    Args:
        latents: One a row.
        scores: By attribute, the probability of each latent's image.
    """

    latents: Float[Tensor, "n k"]
    scores: dict[str, Float64[ndarray, " n"]]


def scored_latents(
    generator: Generator,
    classifiers: Mapping[str, AttributeClassifier],
    count: int,
    *,
    seed: int = 0,
    batch_size: int = 256,
) -> ScoredLatents:
    """Sample latents and score their images, of which no more than a batch is kept at a time.

    Raises:
        InputError: if the generator fails `check_generator`, or `attribute_scores` refuses.
    """
    check_generator(generator)
    if count < 1 or not classifiers:
        raise InputError(
            f"Expected at least one latent and one classifier; got {count} and {len(classifiers)}. Ask for more."
        )
    latents = torch.cat([blocks_of_latents(generator, seed, block) for block in range(-(-count // BLOCK))])[
        :count
    ]
    scores: dict[str, list[Float64[ndarray, " b"]]] = {name: [] for name in classifiers}
    for part in parts(latents, batch_size):
        pictures = as_stored(decoded(generator, part))
        for name, classifier in classifiers.items():
            scores[name].append(attribute_scores(classifier, pictures, batch_size=batch_size))
    return ScoredLatents(latents, {name: np.concatenate(values) for name, values in scores.items()})


def fit_hyperplanes(  # a public door: each keyword may be left out by itself
    generator: Generator,
    classifiers: Mapping[str, AttributeClassifier],
    *,
    fit: int = 10_000,
    validate: int = 5_000,
    threshold: float | Mapping[str, float] = 0.5,
    margin: float = 0.0,
    method: Literal["svm", "logistic"] = "svm",
    cost: float = 1.0,
    lowest_auroc: float | None = LOWEST_AUROC,
    seed: int = 0,
    batch_size: int = 256,
) -> dict[str, Hyperplane]:
    """A hyperplane of each attribute, in the generator's latents.

    Args:
        generator: Images from latents.
        classifiers: By attribute, target and protected alike, trained on real images: logits of images.
        fit: Latents to fit to. With few images of some attribute take more.
        validate: Other latents, which say how well each hyperplane separates.
        threshold: A score from which an image has the attribute, for all or by attribute; see
            `equipoise.fairness.threshold_at_prevalence`.
        margin: Latents whose score is nearer to the threshold are not fitted to, attribute by attribute. All
            validate, as all will be edited.
        method: As in `fit_hyperplane`.
        cost: As in `fit_hyperplane`.
        lowest_auroc: As in `fit_hyperplane`.
        seed: The one source of chance.
        batch_size: Images at a time.

    Raises:
        InputError: if the generator fails its check; if all images are on one side of a threshold, or a hyperplane
            does not separate; if a threshold or the margin is no probability.
        MissingExtraError: without scikit-learn.

    Source: as this file, sections 3.1 and 4. Differs from it in: uncertain images may be left out.
    """
    if fit < 2 or validate < 2:
        raise InputError(f"Expected at least 2 latents to fit and to validate; got {fit} and {validate}.")
    thresholds = {
        name: threshold.get(name, 0.5) if isinstance(threshold, Mapping) else threshold
        for name in classifiers
    }
    if isinstance(threshold, Mapping) and (unknown := set(threshold) - set(classifiers)):
        raise InputError(
            f"Thresholds must be of the attributes {', '.join(classifiers)}; got one of "
            f"{', '.join(sorted(unknown))}. Use the same names."
        )
    for value in thresholds.values():
        check_decision(value, margin)
    latents, scores = scored_latents(
        generator, classifiers, fit + validate, seed=child_seed(seed, "hyperplanes"), batch_size=batch_size
    )
    planes = {}
    for name, score in scores.items():
        has = score >= thresholds[name]
        sure = np.abs(score[:fit] - thresholds[name]) >= margin
        if not sure.any():
            raise InputError(
                f"Some images must be sure of {name!r}; got none of {fit} that are {margin:g} away from the "
                f"threshold {thresholds[name]:g}. Choose a smaller margin."
            )
        planes[name] = fit_hyperplane(
            latents[:fit][torch.from_numpy(sure)],
            has[:fit][sure],
            validation=(latents[fit:], has[fit:]),
            method=method,
            cost=cost,
            lowest_auroc=lowest_auroc,
            name=name,
            seed=seed,
        )
    return planes


def blocks_of_latents(generator: Generator, seed: int, block: int) -> Float[Tensor, "1024 k"]:
    """One block of a generator's latents."""
    return sampled(generator, BLOCK, seed=child_seed(seed, "latents", block)).cpu()


def as_stored(images: Float[Tensor, "n channels height width"]) -> ndarray:
    """As uint8 pictures with channels last: what is scored is what will be stored."""
    return (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
