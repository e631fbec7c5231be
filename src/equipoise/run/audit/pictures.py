"""The pictures of an audit: both ends of each risk, and examples of each kind.

They are small, however large the images are: all of them stand in one page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from equipoise.data import ImageTable
from equipoise.report.audit.record import AuditSlice, KindRecord, RiskRecord
from equipoise.report.audit.slices import picture_name
from equipoise.run.sheets import sheets_within, small_pictures, write_sheets

__all__ = ["write_audit_pictures"]

COLUMNS = 5  # as wide as a telephone
ROOM = 1_000_000  # bytes of all sheets together; the page holds them in a third more


def write_audit_pictures(
    folder: Path,
    table: ImageTable,
    risks: Mapping[str, RiskRecord],
    kinds: Mapping[str, KindRecord],
    slices: Sequence[AuditSlice],
) -> dict[str, str]:
    """Write contact sheets into folder/pictures, as PNG where that is small enough, else as JPEG.

    Args:
        folder: The audit's folder.
        table: All images.
        risks: Their rows at both ends are drawn.
        kinds: Their examples are drawn.
        slices: Their most typical images are drawn.

    Returns:
        name → file, relative to `folder`.
    """
    rows: dict[str, Sequence[int]] = {}
    for name, one in risks.items():
        rows |= {f"{name}_highest": one.highest, f"{name}_lowest": one.lowest}
        rows |= {f"{name}_highest_{label}": found for label, found in one.highest_of_label.items()}
    rows |= {f"kind_{kind.replace(' ', '_')}": one.examples for kind, one in kinds.items()}
    rows |= {picture_name(number): one.typical for number, one in enumerate(slices, 1)}
    drawn = small_pictures(table, rows)
    return write_sheets(folder, *sheets_within(ROOM, drawn, dict.fromkeys(drawn, COLUMNS)))
