"""The labs' training file (MIT 6.S191 lab 2): HDF5 with `images` uint8 (N, 64, 64, 3) and `labels` (N, 1).

The file of 2021 holds its channels as BGR, the file of 2023 as RGB, and neither says so.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.data.hdf5 import column, data_sets, opened
from equipoise.data.source import Source
from equipoise.errors import DataError, InputError
from equipoise.pictures.decode import MAX_PIXELS, Content

__all__ = ["channel_order_of_faces", "lab_hdf5"]

ROWS = 512  # read at a time, fewer where they are large
READ_BYTES = 16 << 20
FACES = 512  # looked at to tell the channel order, fewer where they are large
FACES_BYTES = 256 << 20
LEAST_PIXELS = 16
CLEAR = 0.65  # share of faces that must agree
ChannelOrder = Literal["rgb", "bgr"]


def lab_hdf5(path: Path, *, channel_order: ChannelOrder | None = None) -> Source:
    """Pictures of the labs' file; other data sets in it with one value a picture are attributes.

    Args:
        path: The HDF5 file.
        channel_order: How the channels lie; without it, `channel_order_of_faces` looks at the positives.

    Raises:
        MissingExtraError: if h5py is not installed.
        InputError: if the channel order is none of the two.
        DataError: if the file is not as said, points at other files (`hdf5`), or the channel order cannot be
            told.
    """
    if channel_order not in (None, "rgb", "bgr"):
        raise InputError(f'channel_order must be "rgb" or "bgr"; got {channel_order!r}. Choose one of these.')
    with opened(path) as file:
        found = data_sets(file, path)
        shape = _pictures(found, path)
        n = shape[0]
        values = {
            name: column(item, name, path)
            for name, item in found.items()
            if name != "images" and item.shape in ((n,), (n, 1))
        }
        columns = {name: array for name, array in values.items() if array is not None}
        notes = _left_out(path, set(file) - {"images", *columns})
        columns = {{"labels": "label"}.get(name, name): array for name, array in columns.items()}
        if shape[-1] == 3 and channel_order is None:
            channel_order = _detected(found["images"], columns.get("label"), path)
            notes = (f"Channel order of {path.name}: {channel_order}, told from its faces.", *notes)
    return Source(
        f"lab-hdf5 {channel_order}",
        [f"{path}#{row}" for row in range(n)],
        functools.partial(_contents, path, shape[-1] == 3 and channel_order == "bgr"),
        pa.table(columns),
        [path],
        label="label" if "label" in columns else None,
        notes=notes,
    )


def channel_order_of_faces(faces: NDArray[np.uint8]) -> tuple[ChannelOrder | None, float]:
    """Channel order of pictures of faces, and the share whose first channel is brighter than their last.

    Skin of every tone reflects more red than blue, so in the middle of a face the red mean is above the blue
    one unless the light is strongly blue. At least 65 % of the faces must agree, otherwise the order is None.

    Args:
        faces: Pictures with shape (n, height, width, 3), n ≥ 1.
    """
    height, width = faces.shape[1:3]
    middle = faces[:, height // 4 : height - height // 4, width // 4 : width - width // 4]
    means = middle.reshape(len(faces), -1, 3).mean(axis=1)
    first_brighter = float(np.mean(means[:, 0] > means[:, 2]))
    last_brighter = float(np.mean(means[:, 0] < means[:, 2]))
    order: ChannelOrder | None = None
    if first_brighter >= CLEAR:
        order = "rgb"
    elif last_brighter >= CLEAR:
        order = "bgr"
    return order, first_brighter


def _detected(images: Any, labels: pa.Array | None, path: Path) -> ChannelOrder:
    advice = 'Say channel_order="bgr" (the file of 2021) or channel_order="rgb" (the file of 2023).'
    numbers = labels.to_numpy(zero_copy_only=False) if labels is not None else np.zeros(0, np.int64)
    faces = np.flatnonzero(numbers == 1)
    if not faces.size:
        raise DataError(
            f"Expected faces (label 1) in {path} to tell the channel order from; got none. {advice}"
        )
    most = max(1, min(FACES, len(faces), FACES_BYTES // math.prod(images.shape[1:])))
    some = np.unique(faces[np.linspace(0, len(faces) - 1, most).astype(int)])
    order, share = channel_order_of_faces(np.stack([images[row] for row in some]))
    if order is None:
        raise DataError(
            f"Expected faces in {path} to be redder than blue in one channel order; got {share:.0%} of them "
            f"with the first channel brighter than the last, which is not clear. {advice}"
        )
    return order


def _pictures(found: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    """The shape of the pictures, checked."""
    if "labels" in found and "label" in found:
        raise DataError(f"Expected labels or label in {path}; got both. Remove or rename one of them.")
    images = found.get("images")
    shape: tuple[int, ...] = getattr(images, "shape", None) or ()
    if images is None or len(shape) != 4 or shape[-1] not in (1, 3) or not all(shape):
        raise DataError(
            f"Expected a data set images (N, height, width, 3) in {path}; got "
            f"{shape or sorted(found)}. Store the pictures under that name, channels last."
        )
    if images.dtype != np.uint8:
        raise DataError(f"Expected images of uint8 in {path}; got {images.dtype}. Convert them to 0…255.")
    if not LEAST_PIXELS <= shape[1] * shape[2] <= MAX_PIXELS:
        raise DataError(
            f"Expected images of {LEAST_PIXELS} to {MAX_PIXELS:,} pixels in {path}; got {shape[1]} × {shape[2]}. "
            "Store them in another size."
        )
    return shape


def _left_out(path: Path, names: set[str]) -> tuple[str, ...]:
    listed = ", ".join(sorted(names))
    return (f"Left out of {path.name}, not one number or text a picture: {listed}.",) if names else ()


def _contents(path: Path, reverse: bool) -> Iterator[Content]:
    with opened(path) as file:
        images = data_sets(file, path)["images"]
        rows = max(1, min(ROWS, READ_BYTES // math.prod(images.shape[1:])))
        for begin in range(0, len(images), rows):
            for image in images[begin : begin + rows]:
                yield image[..., ::-1] if reverse else image
