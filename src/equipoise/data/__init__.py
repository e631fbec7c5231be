"""Data: every source of pictures becomes one `ImageTable`.

`read` opens what a path holds, `planted` draws the embedded set, `split` shares a table out without leaks.
"""

from __future__ import annotations

import importlib
from typing import Any

from equipoise.data.split import Split, split
from equipoise.data.table import ImageTable, Rejected

__all__ = ["ImageTable", "Rejected", "Split", "contact_sheet", "planted", "split"]


def __getattr__(name: str) -> Any:
    if name in ("contact_sheet", "planted"):
        value = getattr(importlib.import_module(f"equipoise.data.{name}"), name)
        globals()[name] = value  # the import has bound the module to this name
        return value
    raise AttributeError(f"module 'equipoise.data' has no attribute {name!r}")
