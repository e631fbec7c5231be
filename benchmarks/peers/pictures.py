"""Pictures of FairFace at 64 × 64 as Parquet, and test pictures that somebody brings."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from equipoise.data import ImageTable, read
from equipoise.errors import InputError


def columns(file: Path, *names: str) -> list[np.ndarray]:
    """Columns of what annotators saw in the pictures, as text."""
    found = pq.read_table(file, columns=list(names))
    return [np.array(found.column(name).to_pylist()) for name in names]


def stored(file: Path, rows: np.ndarray) -> np.ndarray:
    """Pictures of some rows, uint8 (n, side, side, 3)."""
    found = pq.read_table(file, columns=["image"]).column("image").take(pa.array(rows)).to_pylist()
    return np.stack([np.asarray(Image.open(io.BytesIO(entry["bytes"])).convert("RGB")) for entry in found])


def brought(
    positives: Path, negatives: Path, column: str, *, side: int = 64
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Test pictures in place of the protocol's: images, targets, and the group column as text.

    Raises:
        InputError: if a file has no such column.
    """
    parts = [read(path, label=label, image_size=side) for path, label in ((positives, 1), (negatives, 0))]
    for path, part in zip((positives, negatives), parts, strict=True):
        if column not in part.attributes.column_names:
            raise InputError(
                f"Test pictures need a column {column!r}; got {', '.join(part.attributes.column_names)} in "
                f"{path.name}. Add it: errors are compared by it."
            )
    both = ImageTable.concat(parts)
    return both.batch(np.arange(len(both))), both.labels, np.array([str(v) for v in both.column(column)])
