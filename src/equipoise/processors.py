"""How many processors this process may use."""

from __future__ import annotations

import os

__all__ = ["available"]


def available() -> int:
    """Processors that the system gives to this process, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
