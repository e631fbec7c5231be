"""The pictures of a fix: of each hidden group, test images that were called wrong before, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from equipoise.data import ImageTable
from equipoise.report.fix.record import MendedSlice, picture_name
from equipoise.run.sheets import sheets_within, small_pictures, write_sheets

__all__ = ["write_fix_pictures"]

COLUMNS = 5  # as wide as a telephone
ROOM = 1_000_000  # bytes of all sheets together; the page holds them in a third more


def write_fix_pictures(folder: Path, table: ImageTable, slices: Sequence[MendedSlice]) -> dict[str, str]:
    """Write contact sheets into folder/pictures, as PNG where that is small enough, else as JPEG.

    Args:
        folder: The fix's folder.
        table: The test images.
        slices: What they show of each.

    Returns:
        name → file, relative to `folder`.
    """
    drawn = small_pictures(table, {picture_name(number): one.shown for number, one in enumerate(slices, 1)})
    return write_sheets(folder, *sheets_within(ROOM, drawn, dict.fromkeys(drawn, COLUMNS)))
