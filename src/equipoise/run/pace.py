"""How far a pass of a network is, in lines."""

from __future__ import annotations

import time
from collections.abc import Callable

from equipoise.nn import Pace

__all__ = ["said"]

FIRST_S = 2.0  # of a pass, which tell how long it will take
EVERY_S = 30.0


def said(say: Callable[[str], None]) -> Callable[[Pace], None]:
    """What to call after each batch: a line as soon as it is known how long the pass takes, then every half minute."""
    began, noted = 0.0, 0.0

    def told(pace: Pace) -> None:
        nonlocal began, noted
        now = time.perf_counter()
        if pace.done < pace.total and (not began or pace.waiting):
            began, noted = now, now + FIRST_S - EVERY_S
        if pace.waiting or (now - noted >= EVERY_S and pace.done < pace.total):
            say(f"Features: {pace}.")
            noted = now
        if pace.done >= pace.total:
            began = 0.0

    return told
