"""`equipoise report`: the report of a run's folder again."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path

from equipoise.cli.settings import General

__all__ = ["report"]


def report(folder: Path, /, *, general: General = General()) -> int:
    """Render report.html again from a folder's record.json and pictures, and print the group table.

    Args:
        folder: The folder of a finished run or evaluation.
    """
    from equipoise.report import read, text, write_report

    record = read(folder)
    page = write_report(folder)
    if not general.quiet:
        print(text(record), end="\n\n")
    print(f"Report: {page}")
    return 0
