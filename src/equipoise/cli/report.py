"""`equipoise report`: the report of a run's folder again."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path
from typing import Any

from equipoise.cli.saying import say
from equipoise.cli.settings import General

__all__ = ["report"]


def report(folder: Path, /, *, general: General = General()) -> int:
    """Render report.html again from a folder's record and pictures, and print what it says.

    Args:
        folder: The folder of a finished run, evaluation, audit, find, fix, augment or sweep.
    """
    from equipoise.report import (
        audit_text,
        augment_text,
        find_text,
        fix_text,
        read,
        read_audit,
        read_augment,
        read_find,
        read_fix,
        read_sweep,
        sweep_text,
        text,
        write_audit_report,
        write_augment_report,
        write_find_report,
        write_fix_report,
        write_report,
        write_sweep_report,
    )
    from equipoise.report.parts.versioned import fitting

    kinds: dict[str, Any] = {
        "audit.json": (read_audit, audit_text, write_audit_report),
        "augment.json": (read_augment, augment_text, write_augment_report),
        "find.json": (read_find, find_text, write_find_report),
        "fix.json": (read_fix, fix_text, write_fix_report),
        "sweep.json": (read_sweep, sweep_text, write_sweep_report),
    }
    name = next((name for name in kinds if (folder / name).exists()), "record.json")
    reader, words, writer = kinds.get(name, (read, text, write_report))
    record = reader(folder)
    with fitting(folder / name):
        said, page = words(record), writer(folder)
    if not general.quiet:
        say(*said.split("\n"), "")
    say(f"Report: {page}")
    return 0
