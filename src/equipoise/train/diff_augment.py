"""Differentiable augmentation: what the discriminator sees of real and of generated images, moved alike.

A discriminator of few images learns them by heart. If real and generated images are changed in the same random ways
before it sees them, it cannot, and as gradients pass through, the generator does not learn the changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

__all__ = ["DIFF_AUGMENTATIONS", "diff_augmented"]

DIFF_AUGMENTATIONS = ("colour", "translation", "cutout")
SHIFT = 1 / 8  # of the side, either way
CUT = 1 / 2  # side of the square, as a share of the image's


def diff_augmented(
    images: Float[Tensor, "batch channels height width"], names: Sequence[str], *, generator: torch.Generator
) -> Float[Tensor, "batch channels height width"]:
    """Images in [0, 1] changed at random, each in its own way, with gradients.

    Args:
        images: Real or generated.
        names: "colour" (brightness by up to ±1/4, saturation by 0 to 2, contrast by 1/2 to 3/2; values may leave
            [0, 1]), "translation" (by up to 1/8 of the side, whole pixels), "cutout" (a square of half the side).
            What is uncovered or cut is grey.
        generator: A CPU generator, the only source of chance.

    Source: Zhao, Liu, Lin, Zhu, Han, Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020.
    Differs from it in: images in [0, 1] in place of [-1, 1], so that grey is 1/2; the cut square lies within the
    image where theirs may hang over its edge.
    """
    if "colour" in names:
        images = _coloured(images, generator)
    if not {"translation", "cutout"} & set(names):
        return images
    images = images - 0.5
    if "translation" in names:
        images = _translated(images, generator)
    if "cutout" in names:
        images = images * _kept(images, generator)
    return images + 0.5


def _uniform(images: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(len(images), 1, 1, 1, generator=generator) * (high - low) + low
    return drawn.to(images.device, images.dtype)


def _coloured(images: Tensor, generator: torch.Generator) -> Tensor:
    images = images + _uniform(images, -0.25, 0.25, generator)
    if images.shape[1] > 1:
        grey = images.mean(1, keepdim=True)
        images = torch.lerp(grey, images, _uniform(images, 0, 2, generator))
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, _uniform(images, 0.5, 1.5, generator))


def _translated(images: Tensor, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    most = (int(height * SHIFT + 0.5), int(width * SHIFT + 0.5))
    down, right = (torch.randint(-m, m + 1, (count,), generator=generator) for m in most)
    place = torch.eye(2, 3).repeat(count, 1, 1)
    place[:, 0, 2], place[:, 1, 2] = right * 2 / width, down * 2 / height
    grid = functional.affine_grid(place, [count, 1, height, width], align_corners=False)
    # Sampling is faster backwards than indexing, which has to add up; the nearest pixel is exact here.
    moved = functional.grid_sample(
        images,
        grid.to(images.device, images.dtype),
        mode="nearest",
        padding_mode="zeros",
        align_corners=False,
    )
    return moved.contiguous(memory_format=torch.channels_last)


def _kept(images: Tensor, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    inside = []
    for side in (height, width):
        cut = int(side * CUT + 0.5)
        start = torch.randint(0, side - cut + 1, (count, 1), generator=generator)
        places = torch.arange(side)[None]
        inside.append((places >= start) & (places < start + cut))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return (~hole).to(images.device, images.dtype)
