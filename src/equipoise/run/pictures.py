"""The pictures of a run's report: the training images seen least and most, and what the model remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.data import ImageTable, contact_sheet
from equipoise.files import write_bytes
from equipoise.nn import pixels
from equipoise.run.representation import represented_rows
from equipoise.seeds import child_seed

__all__ = ["write_pictures"]

SHOWN = 32
COLUMNS = 8


def write_pictures(
    folder: Path,
    model: Any,
    train: ImageTable,
    test: ImageTable,
    seen: tuple[NDArray[np.int64], NDArray[np.float64]] | None,
    *,
    seed: int,
) -> dict[str, str]:
    """Write contact sheets into folder/pictures.

    Args:
        folder: The run's folder.
        model: The debiased model.
        train: Training data.
        test: Test data; its positives are reconstructed, of more than two classes all that the VAE learned from.
        seen: Rows of training images, the positives of two classes, and how common each counted as; None if nothing
            told.
        seed: Decides which test images are shown.

    Returns:
        name → file, relative to `folder`.
    """
    sheets: dict[str, bytes] = {}
    if seen is not None:
        order = seen[0][np.argsort(seen[1], kind="stable")]
        shown = min(SHOWN, len(order) // 2)
        if shown:
            sheets["least_represented"] = contact_sheet(train.batch(order[:shown]), columns=COLUMNS)
            sheets["most_represented"] = contact_sheet(train.batch(order[::-1][:shown]), columns=COLUMNS)
    rebuilt = represented_rows(model, test)
    if hasattr(model, "reconstruct") and len(rebuilt):
        chance = np.random.default_rng(child_seed(seed, "pictures"))
        columns = min(COLUMNS, len(rebuilt))
        whole = min(SHOWN // 2, len(rebuilt)) // columns * columns  # no row is left half empty
        some = test.batch(chance.permutation(rebuilt)[:whole])
        sheets["reconstructions"] = contact_sheet(_pairs(model, some, columns), columns=columns)
    for name, png in sheets.items():
        write_bytes(folder / "pictures" / f"{name}.png", png)
    return {name: f"pictures/{name}.png" for name in sheets}


def _pairs(model: Any, images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Rows of originals, each above the row of their reconstructions."""
    with torch.inference_mode():
        remembered = model.reconstruct(pixels(torch.from_numpy(images))).clamp(0, 1)
    back = (remembered * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    rows = [slice(start, start + columns) for start in range(0, len(images), columns)]
    return np.concatenate([block[row] for row in rows for block in (images, back)])
