"""The plain facts of a record: what the data were, which versions ran, and what it cost."""

from __future__ import annotations

import contextlib
import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from equipoise.data import ImageTable
from equipoise.report.debias.record import DataRecord, TimingRecord

__all__ = ["data_record", "peak_rss_bytes", "timing_record", "versions"]

PACKAGES = ("equipoise", "torch", "lightning-fabric", "numpy", "pyarrow", "pillow", "safetensors")


def data_record(
    tables: Mapping[str, ImageTable], sources: Mapping[str, str], attributes: Sequence[str]
) -> DataRecord:
    """What each side of the split held; empty sides are left out."""
    present = {side: table for side, table in tables.items() if len(table)}
    rejected = {(item.path, item.reason) for table in present.values() for item in table.rejected}
    return DataRecord(
        fingerprint={side: table.fingerprint for side, table in present.items()},
        counts={side: _counts(table) for side, table in present.items()},
        sources=dict(sources),
        group_counts={
            side: {
                attribute: _by_group(table, attribute)
                for attribute in attributes
                if attribute in table.columns
            }
            for side, table in present.items()
        },
        rejected=len(rejected),
    )


def _counts(table: ImageTable) -> dict[str, int]:
    """Images by class."""
    if table.two_classes:
        return {"positives": len(table.positives), "negatives": len(table.negatives)}
    counts = np.bincount(table.labels, minlength=len(table.class_names))
    return dict(zip(table.class_names, counts.tolist(), strict=True))


def _by_group(table: ImageTable, attribute: str) -> dict[str, int]:
    """Positives by group; of more than two classes, all images."""
    groups = table.groups(attribute)
    rows = table.positives if table.two_classes else slice(None)
    counts = np.bincount(groups.ids[rows], minlength=len(groups.names))
    return {
        name: int(count)
        for group, (name, count) in enumerate(zip(groups.names, counts, strict=True))
        if count or group not in groups.unknown
    }


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def timing_record(began: float, *, steps: int, seconds: float) -> TimingRecord:
    """Cost so far.

    Args:
        began: `time.perf_counter()` at the start.
        steps: Optimiser steps of the run's main model, 0 if nothing was trained.
        seconds: What they took.
    """
    return TimingRecord(
        steps_per_s=steps / seconds if seconds > 0 else 0.0,
        wall_s=time.perf_counter() - began,
        peak_rss_bytes=peak_rss_bytes(),
    )


def peak_rss_bytes() -> int:
    """Largest resident memory so far of this process or of one that it started.

    Linux counts into this process's ru_maxrss what it was before `exec`, and so its parent; VmHWM is its own.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        own = int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * unit
