"""The report of a search for hidden groups: a record in, one self-contained page out."""

from __future__ import annotations

import os
from pathlib import Path

from equipoise.report.audit.slices import slices_page
from equipoise.report.find.record import FIND, FindRecord
from equipoise.report.find.words import FIND_LIMITS, find_headline
from equipoise.report.parts import tables, words
from equipoise.report.parts.page import rendered, write_page
from equipoise.report.parts.tables import Column, Table
from equipoise.report.parts.words import Headline

__all__ = ["find_html", "write_find_report"]


def find_html(record: FindRecord, folder: str | os.PathLike[str] | None = None) -> str:
    """The report as the text of one HTML file.

    Args:
        record: What was found.
        folder: Its folder, where the pictures lie. A picture that is not there is said to be missing.
    """
    title, sentences = find_headline(record)
    return rendered(
        "find.html.j2",
        record,
        headline=Headline(title, "unknown", sentences, ()),
        slices=slices_page(record.slices, record.pictures, folder, "slices.parquet"),
        facts=_facts(record),
        settings=[
            tables.pairs("Settings", record.settings),
            tables.pairs("Versions", record.versions),
        ],
        limits=FIND_LIMITS,
    )


def write_find_report(folder: str | os.PathLike[str]) -> Path:
    """Render folder/find.json and the pictures it names into folder/report.html, atomically.

    Raises:
        DataError: if there is no record that can be read, or the folder cannot be written.
    """
    return write_page(folder, FIND, find_html)


def _facts(record: FindRecord) -> list[Table]:
    """What was looked at."""
    data = record.data
    rows = [[tables.name(name), tables.count(count)] for name, count in data.labels.items()]
    facts = {"Time": words.duration(record.wall_s), "Memory": f"{record.peak_rss_bytes / 1e6:,.0f} MB"}
    if record.slices.words is not None:
        facts["Words tested"] = ", ".join(record.slices.words.words)
    return [
        tables.pairs("Sources", data.sources),
        Table("Images", [Column("Class", numeric=False), Column("Images")], rows),
        tables.pairs("Fingerprints", data.fingerprint),
        tables.pairs("Time and words", facts),
    ]
