"""Arrays that a user brings, as tables hold them: uint8 pictures with channels last, whole numbers as labels."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from equipoise.data.columns import array_of
from equipoise.errors import InputError

__all__ = ["Layout", "UInt8Images", "channels_last", "class_ids", "stored"]

UInt8Images = NDArray[np.uint8]
Layout = Literal["NHWC", "NCHW"]

CHUNK = 1024  # images converted at a time


def channels_last(images: NDArray[Any], layout: Layout | None) -> NDArray[Any]:
    """Images with shape (n, size, size, channels), whatever layout they came in.

    Raises:
        InputError: if their shape is none of images, or does not tell the layout.
    """
    if images.ndim == 3:
        images, layout = images[..., None], "NHWC"
    if images.ndim != 4 or not images.size:
        raise InputError(
            "Images must be (n, size, size, channels), (n, channels, size, size) or (n, size, size), n ≥ 1; "
            f"got shape {images.shape}. Stack them into one array of equal sizes."
        )
    _, one, two, three = images.shape
    last, first = one == two and three in (1, 3), two == three and one in (1, 3)
    if layout is None and last and first:
        raise InputError(
            f"The layout of images with shape {images.shape} cannot be told from the shape. "
            'Say layout="NHWC" (channels last) or layout="NCHW" (channels first).'
        )
    if layout not in (None, "NHWC", "NCHW"):
        raise InputError(f'layout must be "NHWC" or "NCHW"; got {layout!r}. Choose one of these.')
    if not (last if layout == "NHWC" else first if layout == "NCHW" else last or first):
        raise InputError(
            "Images must be square with 1 or 3 channels, (n, size, size, channels) or (n, channels, size, "
            f"size); got shape {images.shape}. Crop or resize them to a square and drop an alpha channel."
        )
    return images if (layout or ("NHWC" if last else "NCHW")) == "NHWC" else images.transpose(0, 2, 3, 1)


def stored(images: NDArray[Any]) -> UInt8Images:
    """Images as uint8; floats in [0, 1] are scaled and rounded.

    Raises:
        InputError: if they are of another type or range, or not finite.
    """
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            f"Images must be uint8 (0…255) or float in [0, 1]; got {images.dtype}. "
            "Convert them, for example images.astype(np.uint8)."
        )
    out = np.empty(images.shape, np.uint8)
    for begin in range(0, len(images), CHUNK):
        block = images[begin : begin + CHUNK]
        if not np.isfinite(block).all():
            bad = begin + int(np.flatnonzero(~np.isfinite(block).all(axis=(1, 2, 3)))[0])
            raise InputError(
                f"Pixels must be finite; got NaN or infinity in image {bad}. Remove or repair such images."
            )
        low, high = float(block.min()), float(block.max())
        if low < 0 or high > 1:
            raise InputError(
                f"Float images must be in [0, 1]; got {low:g}…{high:g} from image {begin} on. "
                "Divide by 255, undo the normalisation, or give uint8."
            )
        out[begin : begin + CHUNK] = np.rint(block * 255)
    return out


def class_ids(labels: Any, n: int) -> NDArray[np.int64]:
    """Labels as class ids, shape (n,).

    Raises:
        InputError: if they are not one whole number ≥ 0 an image.
    """
    values = array_of(labels)
    if np.ma.is_masked(values):
        raise InputError(
            f"Expected a label an image; got {int(np.ma.getmaskarray(values).sum())} masked ones. Drop these images."
        )
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (n,):
        raise InputError(f"Labels must be one an image, shape ({n},); got {values.shape}. Check the lengths.")
    if values.dtype.kind not in "buif":
        raise InputError(
            f"Labels must be whole numbers ≥ 0; got {values.dtype}. Encode class names as numbers."
        )
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        row = int(np.flatnonzero(~(np.isfinite(values) & (values == np.rint(values))))[0])
        raise InputError(
            f"Labels must be whole numbers ≥ 0; got {values[row]} at row {row}. Repair or drop such rows."
        )
    ids = values.astype(np.int64)
    if (ids < 0).any():
        row = int(np.flatnonzero(ids < 0)[0])
        raise InputError(
            f"Labels must be whole numbers ≥ 0 (1 = positive); got {ids[row]} at row {row}. "
            "Map -1/1 labels to 0/1 first."
        )
    return ids
