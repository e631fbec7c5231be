"""Many small pictures in one PNG or JPEG."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError

__all__ = ["contact_sheet", "thumbnails"]

GAP = 2  # pixels between pictures


def contact_sheet(
    images: NDArray[np.uint8], *, columns: int = 10, scale: int = 1, quality: int | None = None
) -> bytes:
    """A PNG or JPEG with all images in rows, in their order, on white.

    Args:
        images: Shape (n, height, width, 1 or 3).
        columns: Images in a row.
        scale: Whole number by which each pixel is enlarged.
        quality: Of a JPEG, 1…95; None makes a PNG.

    Raises:
        InputError: if there are no images, or a number is not positive.

    Example:
        >>> contact_sheet(np.zeros((3, 8, 8, 3), np.uint8), columns=2)[:4]
        b'\\x89PNG'
    """
    from PIL import Image

    if images.ndim != 4 or not len(images) or images.shape[3] not in (1, 3) or images.dtype != np.uint8:
        raise InputError(
            "A contact sheet needs uint8 images of shape (n ≥ 1, height, width, 1 or 3); got shape "
            f"{images.shape} of {images.dtype}. Take them with ImageTable.batch."
        )
    if columns < 1 or scale < 1:
        raise InputError(f"columns and scale must be at least 1; got {columns} and {scale}. Raise them.")
    count, height, width, _ = images.shape
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    high, wide = height * scale, width * scale
    sheet = np.full((rows * (high + GAP) - GAP, columns * (wide + GAP) - GAP, 3), 255, np.uint8)
    for place, image in enumerate(images):
        top, left = (place // columns) * (high + GAP), (place % columns) * (wide + GAP)
        sheet[top : top + high, left : left + wide] = image.repeat(scale, 0).repeat(scale, 1)
    file, form = io.BytesIO(), "PNG" if quality is None else "JPEG"
    options = {} if quality is None else {"quality": quality}
    Image.fromarray(sheet).save(file, form, optimize=True, **options)
    return file.getvalue()


def thumbnails(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The same of at most `side` pixels a side, each the mean of the area that it covers; never enlarged."""
    from PIL import Image

    if images.shape[1] <= side and images.shape[2] <= side:
        return images
    return np.stack(
        [
            np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BOX))
            for one in (images[..., 0] if images.shape[3] == 1 else images)
        ]
    ).reshape(len(images), side, side, images.shape[3])
