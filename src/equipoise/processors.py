"""How many processors this process may use, and how many processes a launcher started beside it."""

from __future__ import annotations

import os

__all__ = ["available", "launched"]


def available() -> int:
    """Processors that the system gives to this process, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launched() -> int:
    """Processes of one job that `torchrun` started, this one among them; 1 without it."""
    size = os.environ.get("WORLD_SIZE", "") if "TORCHELASTIC_RUN_ID" in os.environ else ""
    return int(size) if size.isdecimal() and int(size) > 0 else 1
