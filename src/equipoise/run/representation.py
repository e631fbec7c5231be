"""How common an image is among the training positives, as the debiased model sees them: its log-density."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from equipoise.data import ImageTable
from equipoise.density import Histogram, active_units
from equipoise.errors import DataError
from equipoise.files import replacing
from equipoise.train.predict import device_of
from equipoise.train.rarity import latent_codes

__all__ = ["Representation", "load_representation", "represent", "save_representation"]

FILE = "density.safetensors"
CHUNK = 8192  # images encoded at a time
SMOOTHING = 1e-3  # an empty bin is rare, not impossible


@dataclass(frozen=True, eq=False)
class Representation:
    """Histogram density over a model's active latent units, learned from the training positives.

    Args:
        model: Encodes images.
        active: Which latent units vary, shape (k,).
        histogram: Density of the active ones.
        device: Where to encode.
    """

    model: Any
    active: Tensor
    histogram: Histogram
    device: str = "auto"

    def log_density(self, table: ImageTable, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Log-density of images in nats, higher = more common, shape (n,); chunk by chunk."""
        rows = np.arange(len(table)) if rows is None else rows
        found = [
            self.histogram.log_prob(codes[:, self.active]).numpy()
            for codes in _codes(self.model, table, rows, self.device)
        ]
        return np.concatenate(found) if found else np.zeros(0)


def represent(
    model: Any, table: ImageTable, *, bins: int = 10, device: str = "auto"
) -> Representation | None:
    """Learn the density of a table's positives; None for a model without a latent space, or with a dead one."""
    if not hasattr(model, "encode"):
        return None
    positives = table.positives
    first = next(iter(_codes(model, table, positives, device)))
    active = active_units(first)
    if not bool(active.any()):
        return None
    histogram = Histogram(bins, SMOOTHING)
    for codes in _codes(model, table, positives, device):
        histogram.update(codes[:, active])
    return Representation(model, active, histogram, device)


def _codes(model: Any, table: ImageTable, rows: NDArray[np.int64], device: str) -> Any:
    target = device_of(device)
    home = next(model.parameters()).device
    model.to(target)
    try:
        for start in range(0, len(rows), CHUNK):
            codes, _ = latent_codes(model, table, rows[start : start + CHUNK], device=target)
            yield torch.from_numpy(np.ascontiguousarray(codes))
    finally:
        model.to(home)


def save_representation(found: Representation, folder: Path) -> None:
    """Write the density beside the model's weights."""
    tensors = {
        f"histogram.{name}": value.contiguous() for name, value in found.histogram.state_dict().items()
    }
    tensors["active"] = found.active
    header = {"bins": str(found.histogram.bins), "smoothing": repr(found.histogram.smoothing)}
    with replacing(folder / FILE) as temporary:
        try:
            save_file(tensors, temporary, metadata=header)
        except SafetensorError as error:
            raise OSError(28 if "No space" in str(error) else 5, str(error)) from error


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
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        histogram = Histogram(int(header["bins"]), float(header["smoothing"]))
        active = tensors.pop("active")
        histogram.load_state_dict({name.removeprefix("histogram."): value for name, value in tensors.items()})
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise DataError(
            f"Expected the density of a model in {path}; got: {error}. Remove the file to score without log-density."
        ) from error
    return Representation(model, active, histogram, device)
