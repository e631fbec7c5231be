"""`equipoise report`: the report of a run's folder again."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path

from equipoise.cli.settings import General

__all__ = ["report"]


def report(folder: Path, /, *, general: General = General()) -> int:
    """Render report.html again from a folder's record and pictures, and print what it says.

    Args:
        folder: The folder of a finished run, evaluation, audit, augment or sweep.
    """
    from equipoise.report import (
        audit_text,
        augment_text,
        read,
        read_audit,
        read_augment,
        read_sweep,
        sweep_text,
        text,
        write_audit_report,
        write_augment_report,
        write_report,
        write_sweep_report,
    )

    if (folder / "audit.json").exists():
        said, page = audit_text(read_audit(folder)), write_audit_report(folder)
    elif (folder / "augment.json").exists():
        said, page = augment_text(read_augment(folder)), write_augment_report(folder)
    elif (folder / "sweep.json").exists():
        said, page = sweep_text(read_sweep(folder)), write_sweep_report(folder)
    else:
        said, page = text(read(folder)), write_report(folder)
    if not general.quiet:
        print(said, end="\n\n")
    print(f"Report: {page}")
    return 0
