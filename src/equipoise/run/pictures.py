"""The pictures of a run's report: the training images seen least and most, and what the model remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.data import ImageTable, thumbnails
from equipoise.nn import pixels
from equipoise.run.representation import represented_rows
from equipoise.run.sheets import SIDE, sheets_within, write_sheets
from equipoise.seeds import child_seed

__all__ = ["write_pictures"]

SHOWN = 32
COLUMNS = 8
ROOM = 700_000  # bytes of all sheets together


def write_pictures(
    folder: Path,
    model: Any,
    train: ImageTable,
    test: ImageTable,
    seen: tuple[NDArray[np.int64], NDArray[np.float64]] | None,
    *,
    seed: int,
) -> dict[str, str]:
    """Write contact sheets into folder/pictures, as PNG where that is small enough, else as JPEG.

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
    drawn: dict[str, NDArray[np.uint8]] = {}
    if seen is not None:
        order = seen[0][np.argsort(seen[1], kind="stable")]
        shown = min(SHOWN, len(order) // 2)
        if shown:
            drawn["least_represented"] = thumbnails(train.batch(order[:shown]), SIDE)
            drawn["most_represented"] = thumbnails(train.batch(order[::-1][:shown]), SIDE)
    rebuilt = represented_rows(model, test)
    if hasattr(model, "reconstruct") and len(rebuilt):
        chance = np.random.default_rng(child_seed(seed, "pictures"))
        columns = min(COLUMNS, len(rebuilt))
        whole = min(SHOWN // 2, len(rebuilt)) // columns * columns  # no row is left half empty
        some = test.batch(chance.permutation(rebuilt)[:whole])
        drawn["reconstructions"] = thumbnails(_pairs(model, some, columns), SIDE)
    in_a_row = {name: min(COLUMNS, len(rebuilt)) if name == "reconstructions" else COLUMNS for name in drawn}
    return write_sheets(folder, *sheets_within(ROOM, drawn, in_a_row))


def _pairs(model: Any, images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Rows of originals, each above the row of their reconstructions."""
    with torch.inference_mode():
        remembered = model.reconstruct(pixels(torch.from_numpy(images))).clamp(0, 1)
    back = (remembered * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    rows = [slice(start, start + columns) for start in range(0, len(images), columns)]
    return np.concatenate([block[row] for row in rows for block in (images, back)])
