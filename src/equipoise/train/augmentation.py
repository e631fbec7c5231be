"""Augmentation of uint8 batches as two look-ups: where each pixel comes from, and what its value becomes.

Both work on uint8 in the layout of the cache, so a batch is augmented, scaled to [0, 1] and brought to
channels-last floats in one go. All chance comes from one CPU generator, so a device does not change it; drawing is
apart from changing, so that a device can change batches that were drawn for ahead of time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from equipoise.nn import pixels

__all__ = ["augmented", "changed", "drawn_changes"]

SHIFT = 0.08  # of the side, either way
ZOOM = 0.12  # of the scale, either way
LIGHT_GAMMA = 0.5  # standard deviation of log₂ γ
LIGHT_GAIN = 0.2  # standard deviation of log₂ gain
COLOUR_GAIN = 0.15  # standard deviation of log₂ gain of each channel
ERASE = 0.35  # largest side of the erased square, as a share of the image's side


def augmented(
    images: UInt8[Tensor, "batch height width channels"],
    names: Sequence[str],
    *,
    generator: torch.Generator,
    rank: int = 0,
    replicas: int = 1,
) -> Float[Tensor, "batch channels height width"]:
    """A training batch, augmented and as float in [0, 1].

    Args:
        images: Stored pixels, 0…255.
        names: "flip" (left–right, half of the images), "shift" (up to 8 % of the side), "zoom" (up to 12 %,
            nearest neighbour), "light" (gamma and gain), "colour" (gain of each channel), "erase" (a grey square
            in half of the images).
        generator: A CPU generator, the only source of chance.
        rank: Of the process that has these images; they are every `replicas`-th of the whole batch, from this one on.
        replicas: Processes, whose generators are alike: an image is changed as by one process.
    """
    whole = (len(images) * replicas, *images.shape[1:])
    drawn = drawn_changes(whole, names, generator=generator)
    return changed(images, {name: values[rank::replicas] for name, values in drawn.items()})


def drawn_changes(
    shape: Sequence[int], names: Sequence[str], *, generator: torch.Generator
) -> dict[str, Tensor]:
    """What `changed` needs to augment a batch of shape (batch, height, width, channels), on the CPU.

    Returns:
        Tensors whose shapes depend on `shape` and `names` alone: "rows" and "columns" that pixels come from
        (batch, side), "light" (batch, 1 or channels, 256), the value of each stored one, and "erased rows" and
        "erased columns" (batch, side).
    """
    count, height, width, channels = shape
    found: dict[str, Tensor] = {}
    if {"flip", "shift", "zoom"} & set(names):
        found["rows"], found["columns"] = _places(count, height, width, names, generator)
    if {"light", "colour"} & set(names):
        found["light"] = _light(count, channels, names, generator)
    if "erase" in names:
        found["erased rows"], found["erased columns"] = _square(count, height, width, generator)
    return found


def changed(
    images: UInt8[Tensor, "batch height width channels"], changes: Mapping[str, Tensor]
) -> Float[Tensor, "batch channels height width"]:
    """A batch on any device, changed as was drawn on the same device; nothing is read back from it."""
    if "rows" in changes:
        images = _moved(images, changes["rows"], changes["columns"])
    out = _relit(images, changes["light"]) if "light" in changes else pixels(images)
    if "erased rows" not in changes:
        return out
    inside = (changes["erased rows"][:, :, None] & changes["erased columns"][:, None, :])[:, None]
    return out.masked_fill_(inside, 0.5)


def _uniform(count: int, spread: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * spread


def _places(
    count: int, height: int, width: int, names: Sequence[str], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    zoom = torch.exp2(_uniform(count, ZOOM, generator)) if "zoom" in names else torch.ones(count)
    spread = SHIFT if "shift" in names else 0.0
    down, right = (_uniform(count, spread, generator) if spread else torch.zeros(count) for _ in range(2))
    mirrored = (
        torch.rand(count, generator=generator) < 0.5
        if "flip" in names
        else torch.zeros(count, dtype=torch.bool)
    )
    columns = _source(width, zoom, right)
    return _source(height, zoom, down), torch.where(mirrored[:, None], columns.flip(1), columns)


def _source(side: int, zoom: Tensor, shift: Tensor) -> Tensor:
    middle = (side - 1) / 2
    places = (torch.arange(side) - middle)[None] * zoom[:, None] + middle + shift[:, None] * side
    return places.round().long().clamp_(0, side - 1)


def _moved(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    count, height, width, channels = images.shape
    first = torch.arange(count, device=images.device)[:, None, None] * (height * width)
    source = (first + rows[:, :, None] * width + columns[:, None, :]).reshape(-1)
    return images.reshape(-1, channels).index_select(0, source).reshape(images.shape)


def _light(count: int, channels: int, names: Sequence[str], generator: torch.Generator) -> Tensor:
    if "colour" not in names:
        channels = 1  # one table for all channels is faster to look up
    curve = (torch.arange(256, dtype=torch.float32) / 255).expand(count, channels, 256)
    if "light" in names:
        gamma = torch.exp2(torch.randn(count, 1, 1, generator=generator) * LIGHT_GAMMA)
        gain = torch.exp2(torch.randn(count, 1, 1, generator=generator) * LIGHT_GAIN)
        curve = curve.pow(gamma) * gain
    if "colour" in names:
        curve = curve * torch.exp2(torch.randn(count, channels, 1, generator=generator) * COLOUR_GAIN)
    return curve.clamp(0, 1)


def _relit(images: Tensor, light: Tensor) -> Tensor:
    count, tables = light.shape[:2]
    first = torch.arange(count * tables, dtype=torch.int32, device=images.device) * 256
    places = images.to(torch.int32).add_(first.reshape(count, 1, 1, tables)).reshape(-1)
    return light.reshape(-1).index_select(0, places).reshape(images.shape).permute(0, 3, 1, 2)


def _square(count: int, height: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    side = (torch.rand(count, generator=generator) * ERASE) * (torch.rand(count, generator=generator) < 0.5)
    top, left = torch.rand(count, generator=generator), torch.rand(count, generator=generator)
    rows, columns = torch.arange(height) / height, torch.arange(width) / width
    inside_rows = (rows >= top[:, None]) & (rows < (top + side)[:, None])
    return inside_rows, (columns >= left[:, None]) & (columns < (left + side)[:, None])
