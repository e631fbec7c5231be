"""Named child seeds, so that adding one source of chance does not move the numbers of another."""

from __future__ import annotations

import hashlib
import operator
from typing import Any

from equipoise.errors import InputError

__all__ = ["checked_seed", "child_seed"]

LIMIT = 2**63  # what TOML, Parquet and torch can hold


def checked_seed(seed: Any) -> int:
    """The seed as a plain int, whatever kind of whole number it came as (a NumPy one, say).

    Raises:
        InputError: if it is no whole number in [0, 2⁶³). True and 1.0 are none: they hardly mean a seed.

    Example:
        >>> checked_seed(3)
        3
    """
    try:
        truth = "bool" in str(getattr(seed, "dtype", type(seed).__name__))
        whole = None if truth else operator.index(seed)
    except TypeError:
        whole = None
    if whole is None:
        raise InputError(
            f"A seed must be a whole number, 0 or larger; got {seed!r} ({type(seed).__name__}). Give one such as 0."
        )
    if whole < 0:
        raise InputError(f"A seed must be 0 or larger; got {whole}. Choose another seed.")
    if whole >= LIMIT:
        raise InputError(f"A seed must be below 2⁶³; got {whole}. Choose a smaller seed.")
    return whole


def child_seed(seed: int, *names: str | int) -> int:
    """A seed in [0, 2⁶³) that depends on `seed` and on the path of names, and on nothing else.

    Raises:
        InputError: as `checked_seed` does.

    Example:
        >>> child_seed(0, "split") == child_seed(0, "split") != child_seed(0, "sampler")
        True
    """
    text = "\x1f".join([str(checked_seed(seed)), *map(str, names)]).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1
