"""The pictures of an audit: both ends of each risk, its mean images, and examples of each kind.

They are small, however large the images are: all of them stand in one page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from equipoise.data import ImageTable, thumbnails
from equipoise.report.audit.record import AuditSlice, KindRecord, RiskRecord
from equipoise.report.audit.slices import picture_name
from equipoise.risk import deciles
from equipoise.risk.analysis import MeanImages
from equipoise.run.audit.ranking import blocks
from equipoise.run.sheets import SIDE, sheets_within, write_sheets

__all__ = ["mean_pictures", "write_audit_pictures"]

COLUMNS = 5  # as wide as a telephone
MEANT = 2000  # images that mean images are of, at most: a tenth of them looks as all would
ROOM = 1_000_000  # bytes of all sheets together; the page holds them in a third more


def mean_pictures(
    table: ImageTable, ranks: Mapping[str, Float[ndarray, " n"]]
) -> dict[str, Float[ndarray, "parts height width channels"]]:
    """Score → mean image of each tenth by percentile, as thumbnails; of 2,000 images at random, if there are more."""
    chosen = np.arange(len(table))
    if len(table) > MEANT:
        chosen = np.sort(np.random.default_rng(0).choice(len(table), MEANT, replace=False))
    found = {name: MeanImages(deciles(values)[chosen]) for name, values in ranks.items()}
    for block in blocks(table.take(chosen)):
        small = thumbnails(block, SIDE)
        for one in found.values():
            one.add(small)
    return {name: one.means() for name, one in found.items()}


def write_audit_pictures(
    folder: Path,
    table: ImageTable,
    risks: Mapping[str, RiskRecord],
    kinds: Mapping[str, KindRecord],
    slices: Sequence[AuditSlice],
    means: Mapping[str, Float[ndarray, "parts height width channels"]],
) -> dict[str, str]:
    """Write contact sheets into folder/pictures, as PNG where that is small enough, else as JPEG.

    Args:
        folder: The audit's folder.
        table: All images.
        risks: Their rows at both ends are drawn.
        kinds: Their examples are drawn.
        slices: Their most typical images are drawn.
        means: Risk → mean image of each decile; one that is NaN stays white.

    Returns:
        name → file, relative to `folder`.
    """
    rows: dict[str, Sequence[int]] = {}
    for name, one in risks.items():
        rows |= {f"{name}_highest": one.highest, f"{name}_lowest": one.lowest}
        rows |= {f"{name}_highest_{label}": found for label, found in one.highest_of_label.items()}
    rows |= {f"kind_{kind.replace(' ', '_')}": one.examples for kind, one in kinds.items()}
    rows |= {picture_name(number): one.typical for number, one in enumerate(slices, 1)}
    shown = _thumbnails(table, sorted({row for chosen in rows.values() for row in chosen}))
    drawn = {name: np.stack([shown[row] for row in chosen]) for name, chosen in rows.items() if chosen}
    for name, images in means.items():
        drawn[f"{name}_deciles"] = np.nan_to_num(images, nan=255.0).round().astype(np.uint8)
    columns = {name: 10 if name.endswith("_deciles") else COLUMNS for name in drawn}
    return write_sheets(folder, *sheets_within(ROOM, drawn, columns))


def _thumbnails(table: ImageTable, rows: Sequence[int]) -> dict[int, UInt8[ndarray, "height width channels"]]:
    """Of some images, each read once, a few at a time."""
    places = [np.asarray(rows[start : start + COLUMNS]) for start in range(0, len(rows), COLUMNS)]
    small = [one for some in table.batches(places) for one in thumbnails(some, SIDE)]
    return dict(zip(rows, small, strict=True))
