"""Embeddings: pictures → vectors, by any network.

What counts as rare is decided by the representation. A VAE of pixels spends its codes on light and background; a
network that was taught otherwise, such as a self-supervised one, may tell apart what matters.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.files import reserve
from equipoise.nn.backbone import FeatureExtractor
from equipoise.nn.passes import ManyPictures, run_over

__all__ = ["embed", "vector_store"]

IN_MEMORY = 1 << 28  # bytes of vectors; more go to a temporary file


def embed(
    module: nn.Module,
    pictures: ManyPictures,
    *,
    rows: ArrayLike | None = None,
    device: torch.device | None = None,
) -> Float32[ndarray, "n d"]:
    """Vectors of pictures under a network, one row a picture, for `fit` and `log_prob` of any density.

    The network runs in evaluation mode, and is left where and as it was. Up to 256 MB of vectors
    lie in memory, more in a temporary file.

    Args:
        module: Images (batch, channels, height, width) in [0, 1] → vectors (batch, d), or (batch, d, 1, 1). What it
            needs beyond that, such as another size or normalised pixels, it does itself.
        pictures: A table, an array (n, height, width, channels) of uint8, or a function that gives an iterator
            over such arrays.
        rows: Of a table: only these positions, in this order.
        device: Where the network runs; None runs it where it is.

    Raises:
        InputError: if the network cannot take the pictures, does not give finite vectors of one length, or there are
            no pictures.

    Example:
        >>> class MeanColour(nn.Module):
        ...     def forward(self, images):
        ...         return images.mean((2, 3))
        >>> pictures = np.zeros((100, 8, 8, 3), np.uint8)
        >>> pictures[0, ..., 2] = 255
        >>> vectors = embed(MeanColour(), pictures)
        >>> from equipoise.density import NeighbourDensity
        >>> int(NeighbourDensity(5).fit(vectors).log_prob(vectors, leave_one_out=True).argmin())
        0
    """
    if not isinstance(module, nn.Module):
        raise InputError(
            f"Expected a torch nn.Module that gives vectors of images; got {type(module).__name__}. "
            "Put a function into a module's forward."
        )
    if isinstance(module, FeatureExtractor):
        module.backbone.check_pictures(pictures)
    total = len(np.asarray(rows)) if rows is not None else None if callable(pictures) else len(pictures)
    found: NDArray[np.float32] | None = None
    parts: list[NDArray[np.float32]] = []
    width: int | None = None

    def keep(place: slice, out: Any) -> None:
        nonlocal found, width
        vectors = _vectors(module, out, place)
        if width is None:
            width = vectors.shape[1]
            found = vector_store(total, width) if total is not None else None
        if vectors.shape[1] != width:
            raise InputError(
                f"Expected vectors of one length from {_name(module)}; got {width} and then "
                f"{vectors.shape[1]}. Give all pictures in one size, or pool over it."
            )
        if found is None:
            parts.append(vectors.copy())  # a network may write all its results into the same memory
        else:
            found[place] = vectors

    run_over(module, pictures, keep, call=lambda images: _called(module, images), rows=rows, device=device)
    if width is None:
        raise InputError("Expected at least one picture to embed; got none. Check where they come from.")
    return np.concatenate(parts) if found is None else found


def vector_store(rows: int, dimensions: int, dtype: Any = np.float32) -> NDArray[Any]:
    """Room for vectors, zeros: in memory, or where they are many in a temporary file that goes with it."""
    if rows * dimensions * np.dtype(dtype).itemsize <= IN_MEMORY:
        return np.zeros((rows, dimensions), dtype)
    with tempfile.NamedTemporaryFile() as file:  # the map holds it open, and it goes with the map
        found = np.memmap(file, dtype, "w+", shape=(rows, dimensions))
        try:
            reserve(file.name)
        except OSError as error:
            raise DataError(
                f"Expected room for {rows:,} vectors of {dimensions} numbers in {tempfile.gettempdir()}; got: "
                f"{error.strerror or error}. Free some space, or set TMPDIR to a folder that has it."
            ) from error
        return found


def _called(module: nn.Module, images: Tensor) -> Any:
    try:
        return module(images)
    except EquipoiseError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"{_name(module)} must take images of shape (batch, {', '.join(map(str, images.shape[1:]))}) in [0, 1]; "
            f"got this error from it: {error}. Adapt it, or read the images in the size that it takes."
        ) from error


def _vectors(module: nn.Module, out: Any, place: slice) -> NDArray[np.float32]:
    count = place.stop - place.start
    if isinstance(out, Tensor) and out.ndim == 4 and out.shape[2:] == (1, 1):
        out = out.flatten(1)
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != count or not out.shape[1]:
        got = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise InputError(
            f"{_name(module)} must give one vector an image, shape (batch, d); got {got} for {count} images. "
            "Pool and flatten its output in forward."
        )
    vectors: NDArray[np.float32] = out.float().cpu().numpy()
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InputError(
            f"Vectors must be finite; got NaN or infinity from {_name(module)} for picture "
            f"{place.start + int((~finite).argmax())}. Look at that picture, or at the network's weights."
        )
    return vectors


def _name(module: nn.Module) -> str:
    return type(module).__name__
