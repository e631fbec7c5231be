"""The list of pictures that could not be read."""

from __future__ import annotations

import csv
import io
import os

from equipoise.data.table import ImageTable
from equipoise.files import write_text

__all__ = ["write_rejected"]


def write_rejected(table: ImageTable, path: str | os.PathLike[str]) -> None:
    """Write `table.rejected` as CSV with the header path,reason; without such pictures, the header alone.

    Raises:
        DataError: if the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "reason"))
    writer.writerows((item.path, item.reason) for item in table.rejected)
    write_text(path, text.getvalue())
