"""How much of the disk decoded pictures may take."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

from equipoise.errors import InputError

__all__ = ["USUAL", "allowed_bytes", "check_limit", "in_words"]

USUAL = 0.1  # of the free disk
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(%|[kmgt]?b|[kmgt])?\s*", re.IGNORECASE)


def check_limit(limit: str | float | None) -> tuple[float, bool]:
    """A number, and whether it is a share of the free disk rather than bytes.

    Args:
        limit: Bytes as "10 GB" or "500 MB", a share of the free disk as 0.25 or "25 %", 0 for none; None is a tenth.

    Raises:
        InputError: if it is something else.

    Example:
        >>> check_limit("10 GB"), check_limit("25 %"), check_limit(None)
        ((10000000000.0, False), (0.25, True), (0.1, True))
    """
    found = SIZE.fullmatch("" if limit is None else str(limit))
    if limit is None:
        return USUAL, True
    if found is None:
        raise _not_a_limit(limit)
    number, unit = float(found[1]), (found[2] or "").lower()
    if unit == "%":
        number /= 100
    elif unit or (isinstance(limit, int) and number > 1):
        return number * UNITS[unit.removesuffix("b")], False
    if number > 1:
        raise _not_a_limit(limit)
    return number, True


def allowed_bytes(limit: str | float | None, folder: Path) -> int:
    """Bytes that pictures may take in a folder, which need not exist yet.

    Raises:
        InputError: as `check_limit`.
    """
    number, share = check_limit(limit)
    if not share:
        return math.floor(number)
    there = next((place for place in (folder, *folder.absolute().parents) if place.exists()), Path.cwd())
    return math.floor(number * shutil.disk_usage(there).free)


def in_words(size: float) -> str:
    """Bytes for people.

    Example:
        >>> in_words(12_345_678), in_words(900)
        ('12.3 MB', '900 bytes')
    """
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} bytes"


def _not_a_limit(limit: object) -> InputError:
    return InputError(
        f"`cache_limit` must be bytes with a unit, as 10GB or 500MB, or a share of the free disk, as 0.25 or 25%; got "
        f"{limit!r}. 0 keeps no pixels."
    )
