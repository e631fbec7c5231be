"""Augmentation of uint8 batches as two look-ups: where each pixel comes from, and what its value becomes.

Both work on uint8 in the layout of the cache, so a batch is augmented, scaled to [0, 1] and brought to
channels-last floats in one go. All chance comes from one CPU generator, so a device does not change it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from equipoise.nn import pixels

__all__ = ["augmented"]

SHIFT = 0.08  # of the side, either way
ZOOM = 0.12  # of the scale, either way
LIGHT_GAMMA = 0.5  # standard deviation of log₂ γ
LIGHT_GAIN = 0.2  # standard deviation of log₂ gain
COLOUR_GAIN = 0.15  # standard deviation of log₂ gain of each channel
ERASE = 0.35  # largest side of the erased square, as a share of the image's side


def augmented(
    images: UInt8[Tensor, "batch height width channels"], names: Sequence[str], *, generator: torch.Generator
) -> Float[Tensor, "batch channels height width"]:
    """A training batch, augmented and as float in [0, 1].

    Args:
        images: Stored pixels, 0…255.
        names: "flip" (left–right, half of the images), "shift" (up to 8 % of the side), "zoom" (up to 12 %,
            nearest neighbour), "light" (gamma and gain), "colour" (gain of each channel), "erase" (a grey square
            in half of the images).
        generator: A CPU generator, the only source of chance.
    """
    if not names:
        return pixels(images)
    if {"flip", "shift", "zoom"} & set(names):
        images = _moved(images, names, generator)
    out = _relit(images, names, generator) if {"light", "colour"} & set(names) else pixels(images)
    return _erased(out, generator) if "erase" in names else out


def _uniform(count: int, spread: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * spread


def _moved(images: Tensor, names: Sequence[str], generator: torch.Generator) -> Tensor:
    count, height, width, _ = images.shape
    zoom = torch.exp2(_uniform(count, ZOOM, generator)) if "zoom" in names else torch.ones(count)
    spread = SHIFT if "shift" in names else 0.0
    down, right = (_uniform(count, spread, generator) if spread else torch.zeros(count) for _ in range(2))
    mirrored = (
        torch.rand(count, generator=generator) < 0.5
        if "flip" in names
        else torch.zeros(count, dtype=torch.bool)
    )
    rows = _source(height, zoom, down)
    columns = _source(width, zoom, right)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    first = torch.arange(count)[:, None, None] * (height * width)
    source = (first + rows[:, :, None] * width + columns[:, None, :]).reshape(-1).to(images.device)
    return images.reshape(-1, images.shape[3]).index_select(0, source).reshape(images.shape)


def _source(side: int, zoom: Tensor, shift: Tensor) -> Tensor:
    middle = (side - 1) / 2
    places = (torch.arange(side) - middle)[None] * zoom[:, None] + middle + shift[:, None] * side
    return places.round().long().clamp_(0, side - 1)


def _relit(images: Tensor, names: Sequence[str], generator: torch.Generator) -> Tensor:
    count = len(images)
    channels = images.shape[3] if "colour" in names else 1  # one table for all channels is faster to look up
    curve = (torch.arange(256, dtype=torch.float32) / 255).expand(count, channels, 256)
    if "light" in names:
        gamma = torch.exp2(torch.randn(count, 1, 1, generator=generator) * LIGHT_GAMMA)
        gain = torch.exp2(torch.randn(count, 1, 1, generator=generator) * LIGHT_GAIN)
        curve = curve.pow(gamma) * gain
    if "colour" in names:
        curve = curve * torch.exp2(torch.randn(count, channels, 1, generator=generator) * COLOUR_GAIN)
    table = curve.clamp(0, 1).contiguous().reshape(-1).to(images.device)
    offsets = (torch.arange(count * channels, dtype=torch.int32) * 256).reshape(count, 1, 1, channels)
    places = images.to(torch.int32).add_(offsets.to(images.device)).reshape(-1)
    return table.index_select(0, places).reshape(images.shape).permute(0, 3, 1, 2)


def _erased(images: Tensor, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    side = (torch.rand(count, generator=generator) * ERASE) * (torch.rand(count, generator=generator) < 0.5)
    top, left = torch.rand(count, generator=generator), torch.rand(count, generator=generator)
    rows, columns = torch.arange(height) / height, torch.arange(width) / width
    inside_rows = (rows >= top[:, None]) & (rows < (top + side)[:, None])
    inside_columns = (columns >= left[:, None]) & (columns < (left + side)[:, None])
    inside = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None].to(images.device)
    return torch.where(inside, 0.5, images)
