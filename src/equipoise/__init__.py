"""equipoise: find, measure and fix what an image classifier has not seen enough of.

No demographic labels are needed. Names that need torch arrive on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.rate import Rate

__version__: str

_SUBMODULES = (
    "data",
    "density",
    "fairness",
    "fix",
    "latent",
    "nn",
    "report",
    "resample",
    "risk",
    "run",
    "slices",
    "train",
)
_LATE = {
    "Groups": "equipoise.groups",
    "audit": "equipoise.run",
    "debias": "equipoise.run",
    "fit": "equipoise.train",
}

__all__ = ["EquipoiseError", "Groups", "Rate", "__version__", "audit", "debias", "fit", *_SUBMODULES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # a fifth of the time that --help takes

        return version("equipoise")
    if name in _SUBMODULES:
        return importlib.import_module(f"equipoise.{name}")
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'equipoise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
