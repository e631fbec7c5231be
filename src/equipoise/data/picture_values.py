"""Pictures as programs hold them: Pillow's, arrays and tensors, encoded bytes. Each becomes what a file would be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from equipoise.data.arrays import Layout
from equipoise.data.columns import array_of
from equipoise.errors import InputError
from equipoise.pictures.decode import Content

__all__ = ["content_of", "is_picture_like"]

CHANNELS = (1, 3, 4)


def is_picture_like(value: Any) -> bool:
    """Whether a value may be a picture: Pillow's, bytes, or an array of two dimensions or three."""
    if isinstance(value, Image.Image | bytes | bytearray):
        return True
    if isinstance(value, Mapping):
        return isinstance(value.get("bytes"), bytes)
    return hasattr(value, "__array__") and len(getattr(value, "shape", ())) in (2, 3)


def content_of(image: Any, *, where: str, layout: Layout | None = None) -> Content:
    """A picture as `decoded` takes it.

    Args:
        image: A picture of Pillow's, encoded bytes (also as {"bytes": …}), or an array or tensor (height, width),
            (height, width, channels) or (channels, height, width): uint8, booleans, floats in [0, 1], or grey uint16.
        where: Its place, for messages, for example "row 3".
        layout: "NHWC" or "NCHW": channels last or first. Needed only where the shape does not tell.

    Raises:
        InputError: if it is none of these.
    """
    if isinstance(image, Mapping) and isinstance(image.get("bytes"), bytes):
        image = image["bytes"]
    if isinstance(image, bytes | bytearray):
        return bytes(image)
    if isinstance(image, Image.Image):
        return _loaded(image)
    if not is_picture_like(image):
        raise InputError(
            f"Expected a picture in {where}: Pillow's, bytes of a file, or an array (height, width, channels) or "
            f"(channels, height, width); got {_kind(image)}. Convert it."
        )
    pixels = _eight_bits(_channels_last(array_of(image), layout, where), where)
    if pixels.dtype == np.uint16:
        return Image.fromarray(pixels)
    return Image.fromarray(pixels) if pixels.shape[-1] == 4 else pixels


def _loaded(image: Image.Image) -> Content:
    """A picture whose file is closed; a broken one as its file, of which decoding will say what is wrong."""
    try:
        image.load()
    except Exception:
        place = getattr(image, "filename", "")
        if place:
            image.close()
            return Path(os.fsdecode(place))
    return image


def _channels_last(pixels: NDArray[Any], layout: Layout | None, where: str) -> NDArray[Any]:
    if pixels.ndim == 2 and pixels.size:
        return pixels[..., None]
    last, first = pixels.shape[-1] in CHANNELS, pixels.shape[0] in CHANNELS
    if layout is None and last and first and pixels.size:
        raise InputError(
            f"Expected a shape that tells where the channels of the picture in {where} are; got {pixels.shape}. Say "
            'layout="NHWC" (channels last) or layout="NCHW" (channels first).'
        )
    if layout not in (None, "NHWC", "NCHW"):
        raise InputError(f'layout must be "NHWC" or "NCHW"; got {layout!r}. Choose one of these.')
    if not pixels.size or not (last if layout == "NHWC" else first if layout == "NCHW" else last or first):
        raise InputError(
            f"Expected a picture with 1, 3 or 4 channels, last or first, in {where}; got shape {pixels.shape}. "
            "Convert it."
        )
    return pixels if (layout or ("NHWC" if last else "NCHW")) == "NHWC" else np.moveaxis(pixels, 0, -1)


def _eight_bits(pixels: NDArray[Any], where: str) -> NDArray[Any]:
    """Pixels (height, width, channels) as uint8; 16 bits of grey stay, as (height, width)."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.uint16 and pixels.shape[-1] == 1:
        return np.ascontiguousarray(pixels[..., 0])
    if pixels.dtype.kind != "f":
        raise InputError(
            f"Expected pixels of uint8 (0…255), booleans, floats in [0, 1], or grey uint16, in {where}; got "
            f"{pixels.dtype} of shape {pixels.shape}. Convert them, for example pixels.astype(np.uint8)."
        )
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"Expected floats in [0, 1] in the picture of {where}; got {low:g}…{high:g}. Divide by 255, or leave out "
            "the normalisation: pictures are read as they are, and normalised by the network that takes them."
        )
    precise: NDArray[Any] = pixels.astype(np.promote_types(pixels.dtype, np.float32), copy=False)
    rounded: NDArray[Any] = np.rint(precise * 255)
    return rounded.astype(np.uint8)


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")
