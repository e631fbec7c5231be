"""The pictures of an audit: both ends of each risk, and examples of each kind.

They are small, however large the images are: all of them stand in one page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from equipoise.data import ImageTable
from equipoise.report.audit.record import AuditSlice, KindRecord, RiskRecord
from equipoise.report.audit.slices import picture_name
from equipoise.report.parts.wrong import WrongPictures
from equipoise.run.audit.failing import class_names_of
from equipoise.run.audit.view import Looked
from equipoise.run.sheets import sheets_within, small_pictures, write_sheets
from equipoise.run.wrong import Cells, Said, by_group, write_wrong
from equipoise.slices import Found

__all__ = ["write_audit_pictures", "write_audit_wrong"]

COLUMNS = 5  # as wide as a telephone
ROOM = 900_000  # bytes of all sheets together; the page holds them in a third more


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


def write_audit_wrong(
    folder: Path,
    table: ImageTable,
    seen: Looked,
    groups: Sequence[str],
    found: Found | None,
    *,
    title: str,
    seed: int,
) -> WrongPictures:
    """What the model calls wrong, by class and group; without columns of groups in the slices, of the half that tests
    them, and without slices by class."""
    names = class_names_of(table, seen.probabilities.shape[1])
    rows, called = np.arange(len(table)), seen.logits.argmax(axis=1)
    said = Said(title, called, seen.probabilities[rows, called], names)
    cells = by_group(table.labels, names, [table.groups(name) for name in groups])
    if not groups and found is not None and found.slices:
        slices = found.slices
        cells = Cells("slice", [(np.where(found.testing, found.ids, -1), lambda cell: slices[cell].name)])
    return write_wrong(folder, table, said, cells, seed=seed)
