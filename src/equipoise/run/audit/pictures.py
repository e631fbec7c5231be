"""The pictures of an audit: both ends of each risk, its mean images, and examples of each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from equipoise.data import ImageTable, contact_sheet
from equipoise.files import write_bytes
from equipoise.report.audit.record import KindRecord, RiskRecord

__all__ = ["write_audit_pictures"]

COLUMNS = 5  # as wide as a telephone


def write_audit_pictures(
    folder: Path,
    table: ImageTable,
    risks: Mapping[str, RiskRecord],
    kinds: Mapping[str, KindRecord],
    means: Mapping[str, Float[ndarray, "parts height width channels"]],
) -> dict[str, str]:
    """Write contact sheets into folder/pictures.

    Args:
        folder: The audit's folder.
        table: All images.
        risks: Their rows at both ends are drawn.
        kinds: Their examples are drawn.
        means: Risk → mean image of each decile; one that is NaN stays white.

    Returns:
        name → file, relative to `folder`.
    """
    rows: dict[str, Sequence[int]] = {}
    for name, one in risks.items():
        rows |= {f"{name}_highest": one.highest, f"{name}_lowest": one.lowest}
        rows |= {f"{name}_highest_{label}": found for label, found in one.highest_of_label.items()}
    rows |= {f"kind_{kind.replace(' ', '_')}": one.examples for kind, one in kinds.items()}
    sheets = {
        name: contact_sheet(table.batch(chosen), columns=COLUMNS) for name, chosen in rows.items() if chosen
    }
    for name, images in means.items():
        strip = np.nan_to_num(images, nan=255.0).round().astype(np.uint8)
        sheets[f"{name}_deciles"] = contact_sheet(strip, columns=len(strip))
    for name, png in sheets.items():
        write_bytes(folder / "pictures" / f"{name}.png", png)
    return {name: f"pictures/{name}.png" for name in sheets}
