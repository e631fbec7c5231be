"""How common an image is among the training positives, as the debiased model sees them: its log-density.

Of more than two classes, among all training images, or among those of the classes that carry the model's VAE.

A DB-VAE sees them as latent codes, any other model by what its last layer sees.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.data import ImageTable
from equipoise.density import HistogramDensity, active_units
from equipoise.errors import DataError
from equipoise.files import read_tensors, write_tensors
from equipoise.nn.embedding import vector_store
from equipoise.run.hidden import has_hidden_layer, hidden_features
from equipoise.train.device import device_of
from equipoise.train.rarity import latent_codes

__all__ = [
    "Representation",
    "load_representation",
    "represent",
    "represented_rows",
    "save_representation",
]

FILE = "density.safetensors"
CHUNK = 8192  # images encoded at a time
SMOOTHING = 1e-3  # an empty bin is rare, not impossible


@dataclass(frozen=True, eq=False)
class Representation:
    """Histogram density over a model's active units, learned from the training positives, see `represented_rows`.

    Args:
        model: Encodes images.
        active: Which units vary, shape (k,).
        histogram: Density of the active ones.
        device: Where to encode.
    """

    model: Any
    active: Tensor
    histogram: HistogramDensity
    device: str = "auto"

    def log_density(self, table: ImageTable) -> NDArray[np.float64]:
        """Log-density of all images in nats, higher = more common, shape (n,); chunk by chunk."""
        found = np.empty(len(table))
        for start in range(0, len(table), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(table)))
            found[rows] = self.of_codes(_codes(self.model, table, rows, self.device))
        return found

    def of_codes(self, codes: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-density of codes with shape (n, k), shape (n,)."""
        found = np.empty(len(codes))
        for start in range(0, len(codes), CHUNK):
            part = torch.from_numpy(np.asarray(codes[start : start + CHUNK]))
            found[start : start + CHUNK] = self.histogram.log_prob(part[:, self.active]).numpy()
        return found


def represent(
    model: Any, table: ImageTable, *, bins: int = 10, device: str = "auto"
) -> tuple[Representation, NDArray[np.float64]] | None:
    """Learn the density of the images in `represented_rows`, and give theirs, in that order.

    None for a model that does not show what its last layer sees, or shows the same for all.
    """
    if not hasattr(model, "encode") and not has_hidden_layer(model):
        return None
    codes = _codes(model, table, represented_rows(model, table), device)
    active = active_units(torch.from_numpy(np.asarray(codes[:: max(1, len(codes) // CHUNK)])))
    if not bool(active.any()):
        return None
    histogram = HistogramDensity(bins, SMOOTHING)
    for start in range(0, len(codes), CHUNK):
        histogram.update(torch.from_numpy(np.asarray(codes[start : start + CHUNK]))[:, active])
    found = Representation(model, active, histogram, device)
    return found, found.of_codes(codes)


def represented_rows(model: Any, table: ImageTable) -> NDArray[np.int64]:
    """Rows of the images that a model's density is of, ascending: the positives; of more than two classes, those of the
    classes that carry its VAE, or all if it has none."""
    carrying = (1,) if table.two_classes else getattr(model, "vae_classes", None)
    if carrying is None:
        return np.arange(len(table))
    return np.flatnonzero(np.isin(table.labels, carrying)).astype(np.int64)


def _codes(model: Any, table: ImageTable, rows: NDArray[np.int64], device: str) -> NDArray[np.float32]:
    """Latent means or hidden features, shape (n, k); more than memory should hold lie in a temporary file."""
    if not hasattr(model, "encode"):
        codes: NDArray[np.float32] | None = None
        for start in range(0, len(rows), CHUNK):
            found = hidden_features(model, table.take(rows[start : start + CHUNK]), device=device)
            codes = vector_store(len(rows), found.shape[1]) if codes is None else codes
            codes[start : start + CHUNK] = found
        return np.zeros((0, 1), np.float32) if codes is None else codes
    return latent_codes(model, table, rows, device=device_of(device))[0]


def save_representation(found: Representation, folder: Path) -> None:
    """Write the density beside the model's weights."""
    tensors = {f"histogram.{name}": value for name, value in found.histogram.state_dict().items()}
    tensors["active"] = found.active
    header = {"bins": str(found.histogram.bins), "smoothing": repr(found.histogram.smoothing)}
    write_tensors(folder / FILE, tensors, header)


def load_representation(
    model: Any, folder: str | os.PathLike[str], *, device: str = "auto"
) -> Representation | None:
    """The density that lies beside a model; None if there is none.

    Raises:
        DataError: if the file is broken.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return None
    advice = "Remove the file to score without log-density."
    tensors, header = read_tensors(path, "the density of a model", advice)
    try:
        histogram = HistogramDensity(int(header["bins"]), float(header["smoothing"]))
        active = tensors.pop("active")
        histogram.load_state_dict({name.removeprefix("histogram."): value for name, value in tensors.items()})
        if active.dtype != torch.bool or active.shape != (_width(model) or len(active),):
            raise ValueError(f"active units of shape {tuple(active.shape)}, {active.dtype}")
        if not all(bool(value.isfinite().all()) for value in tensors.values()):
            raise ValueError("numbers that are not finite")
        tried = histogram.log_prob(torch.zeros(2, int(active.sum())))
        if tried.shape != (2,) or bool(tried.isnan().any()):
            raise ValueError("a density that is no number")
    except (KeyError, ValueError, RuntimeError, IndexError, TypeError, OverflowError) as error:
        told = f"no {error}" if isinstance(error, KeyError) else f"{error}".splitlines()[0]
        raise DataError(f"Expected the density of a model in {path}; got: {told}. {advice}") from error
    return Representation(model, active, histogram, device)


def _width(model: Any) -> int | None:
    """How many units the model's codes have, where it says."""
    latent = getattr(model, "latent", None)
    return latent if isinstance(latent, int) else None
