"""Picture quality: simple measures of what is wrong with a picture as a picture, whatever it shows.

Five measures on the luma (0.299 R + 0.587 G + 0.114 B) of 8-bit images, each higher = worse.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from equipoise.errors import InputError
from equipoise.processors import available

__all__ = ["PictureQuality", "picture_quality"]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
PIXELS = 1 << 18  # that are measured at a time: what is made of them stays in the processor's cache


class PictureQuality(NamedTuple):
    """Measures of each picture, each higher = worse.

    Args:
        darkness: 1 − the 95th percentile of luma, in [0, 1]: even the bright parts are dark.
        overexposure: The 5th percentile of luma, in [0, 1]: even the dark parts are bright.
        flatness: 1 − the range between those two percentiles, in [0, 1]: low contrast.
        blur: −log₁₀ of the variance of the Laplacian, in luma², plus 10⁻⁸: few edges.
        noise: Standard deviation of noise in luma, estimated from second differences that straight edges cancel in.

    Source: blur: J. L. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000; noise:
    J. Immerkær, Fast noise variance estimation, CVIU 1996.
    """

    darkness: Float[ndarray, " n"]
    overexposure: Float[ndarray, " n"]
    flatness: Float[ndarray, " n"]
    blur: Float[ndarray, " n"]
    noise: Float[ndarray, " n"]


def picture_quality(batches: Iterable[UInt8[ndarray, "batch height width channels"]]) -> PictureQuality:
    """Measure pictures, some at a time.

    Args:
        batches: 8-bit pictures with 1 or 3 channels, at least 3 pixels a side.

    Raises:
        InputError: if there are none, or they are something else.
    """
    parts: list[tuple[Float[ndarray, " batch"], ...]] = []
    with ThreadPoolExecutor(available()) as pool:
        for batch in map(_checked, batches):
            step = max(1, PIXELS // (batch.shape[1] * batch.shape[2]))
            pieces = (batch[start : start + step] for start in range(0, len(batch), step))
            parts += pool.map(_measured, pieces)
    if not parts:
        raise InputError("Expected pictures to measure; got none. Give batches of uint8 images.")
    return PictureQuality(*(np.concatenate(values).astype(np.float64) for values in zip(*parts, strict=True)))


def _measured(images: UInt8[ndarray, "batch height width channels"]) -> tuple[Float[ndarray, " batch"], ...]:
    pixels = images.astype(np.float32) / 255
    luma = pixels @ LUMA if images.shape[3] == 3 else pixels[..., 0]
    # sorted first: it is a third of the time of percentiles of what is in disorder
    ordered = np.sort(luma.reshape(len(luma), -1), axis=1)
    low, high = (_quantile(ordered, share) for share in (0.05, 0.95))
    # Second differences down and across; together the Laplacian, one after the other Immerkær's mask.
    down = luma[:, 2:, 1:-1] - 2 * luma[:, 1:-1, 1:-1] + luma[:, :-2, 1:-1]
    across = luma[:, 1:-1, 2:] - 2 * luma[:, 1:-1, 1:-1] + luma[:, 1:-1, :-2]
    rows = luma[:, 2:] - 2 * luma[:, 1:-1] + luma[:, :-2]
    both = rows[:, :, 2:] - 2 * rows[:, :, 1:-1] + rows[:, :, :-2]
    blur = -np.log10((down + across).var(axis=(1, 2), dtype=np.float64) + 1e-8)
    noise = np.sqrt(np.pi / 2) / 6 * np.abs(both).mean(axis=(1, 2), dtype=np.float64)
    return 1 - high, low, 1 - (high - low), blur, noise


def _quantile(ordered: Float[ndarray, "batch n"], share: float) -> Float[ndarray, " batch"]:
    """Of each sorted row, between its two neighbours as `np.percentile` does it."""
    place = share * (ordered.shape[1] - 1)
    below = int(place)
    pair = ordered[:, below : below + 2]
    return np.asarray(np.percentile(pair, 100 * (place - below), axis=1))


def _checked(
    images: UInt8[ndarray, "batch height width channels"],
) -> UInt8[ndarray, "batch height width channels"]:
    if (
        images.ndim != 4
        or images.shape[3] not in (1, 3)
        or images.dtype != np.uint8
        or min(images.shape[1:3]) < 3
    ):
        raise InputError(
            "Expected uint8 pictures of shape (n, height ≥ 3, width ≥ 3, 1 or 3); got shape "
            f"{images.shape} of {images.dtype}. Take them with ImageTable.batch."
        )
    return images
