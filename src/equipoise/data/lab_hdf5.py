"""The labs' training file (MIT 6.S191 lab 2): HDF5 with `images` uint8 (N, 64, 64, 3) and `labels` (N, 1).

The file of 2021 holds its channels as BGR, the file of 2023 as RGB, and neither says so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.data.columns import array_of
from equipoise.data.source import Content, Source
from equipoise.errors import DataError, InputError, MissingExtraError
from equipoise.groups import text_of

__all__ = ["channel_order_of_faces", "lab_hdf5"]

ROWS = 512  # read at a time
FACES = 512  # looked at to tell the channel order
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
        DataError: if the file is not as said, or the channel order cannot be told.
    """
    if channel_order not in (None, "rgb", "bgr"):
        raise InputError(f'channel_order must be "rgb" or "bgr"; got {channel_order!r}. Choose one of these.')
    with _opened(path) as file:
        shape, dtype = _pictures(file, path)
        n = shape[0]
        columns = {
            name: np.asarray(item).reshape(n)
            for name, item in file.items()
            if name != "images" and getattr(item, "shape", None) in ((n,), (n, 1))
        }
        if dtype != np.uint8:
            raise DataError(f"Expected images of uint8 in {path}; got {dtype}. Convert them to 0…255.")
        note: tuple[str, ...] = ()
        if shape[-1] == 3 and channel_order is None:
            channel_order = _detected(file["images"], columns.get("labels"), path)
            note = (f"Channel order of {path.name}: {channel_order}, told from its faces.",)
    columns = {{"labels": "label"}.get(name, name): _plain(values) for name, values in columns.items()}
    return Source(
        f"lab-hdf5 {channel_order}",
        [f"{path}#{row}" for row in range(n)],
        functools.partial(_contents, path, shape[-1] == 3 and channel_order == "bgr"),
        pa.table(columns),
        [path],
        label="label" if "label" in columns else None,
        notes=note,
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


def _detected(images: Any, labels: NDArray[Any] | None, path: Path) -> ChannelOrder:
    advice = 'Say channel_order="bgr" (the file of 2021) or channel_order="rgb" (the file of 2023).'
    faces = np.flatnonzero(labels == 1) if labels is not None else np.zeros(0, np.int64)
    if not faces.size:
        raise DataError(
            f"Expected faces (label 1) in {path} to tell the channel order from; got none. {advice}"
        )
    some = np.unique(faces[np.linspace(0, len(faces) - 1, min(FACES, len(faces))).astype(int)])
    order, share = channel_order_of_faces(np.stack([images[row] for row in some]))
    if order is None:
        raise DataError(
            f"Expected faces in {path} to be redder than blue in one channel order; got {share:.0%} of them "
            f"with the first channel brighter than the last, which is not clear. {advice}"
        )
    return order


def _opened(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            f"Reading {path} needs h5py; it is not installed. Run: pip install 'equipoise[hdf5]'"
        ) from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"Expected an HDF5 file at {path}; got: {error}. Check the file.") from error


def _pictures(file: Any, path: Path) -> tuple[tuple[int, ...], Any]:
    images = file.get("images")
    shape = getattr(images, "shape", None)
    if shape is None or len(shape) != 4 or shape[-1] not in (1, 3) or not shape[0]:
        raise DataError(
            f"Expected a data set images (N, height, width, 3) in {path}; got "
            f"{shape or sorted(file.keys())}. Store the pictures under that name, channels last."
        )
    return tuple(shape), images.dtype


def _plain(values: NDArray[Any]) -> pa.Array:
    if values.dtype.kind in "OS":
        return pa.array([text_of(value) for value in values], pa.string())
    return pa.array(array_of(values))


def _contents(path: Path, reverse: bool) -> Iterator[Content]:
    with _opened(path) as file:
        images = file["images"]
        for begin in range(0, len(images), ROWS):
            for image in images[begin : begin + ROWS]:
                yield image[..., ::-1] if reverse else image
