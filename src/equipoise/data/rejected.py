"""The list of pictures that could not be read."""

from __future__ import annotations

import os

from equipoise.data.table import ImageTable
from equipoise.files import write_text
from equipoise.sharing import shared_path
from equipoise.shown import csv_text, one_line

__all__ = ["write_rejected"]


def write_rejected(table: ImageTable, path: str | os.PathLike[str]) -> None:
    """Write `table.rejected` as CSV with the header path,reason; without such pictures, the header alone.

    What a spreadsheet would run as a formula is quoted; `equipoise.shown.cell_value` gives the text as it was.

    Raises:
        DataError: if the file cannot be written.
    """
    rows = [(shared_path(item.path), one_line(item.reason)) for item in table.rejected]
    write_text(path, csv_text(("path", "reason"), rows))
