"""Named child seeds, so that adding one source of chance does not move the numbers of another."""

from __future__ import annotations

import hashlib

from equipoise.errors import InputError

__all__ = ["child_seed"]


def child_seed(seed: int, *names: str | int) -> int:
    """A seed in [0, 2⁶³) that depends on `seed` and on the path of names, and on nothing else.

    Raises:
        InputError: if `seed` is negative.

    Example:
        >>> child_seed(0, "split") == child_seed(0, "split") != child_seed(0, "sampler")
        True
    """
    if seed < 0:
        raise InputError(f"A seed must be 0 or larger; got {seed}. Choose another seed.")
    text = "\x1f".join([str(seed), *map(str, names)]).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1
