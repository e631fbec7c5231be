"""How long something will take, said once it is measured, and then how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable

from equipoise.nn import Pace

__all__ = ["Telling"]

MEASURED = 2  # batches: the first one is slow
LONG_S = 10.0  # what takes less need not be told
EVERY_S = 30.0  # between two lines


class Telling:
    """Takes how far a stage is, batch by batch, and says what people want to know of it.

    Args:
        say: Takes a line.
        what: What goes on, as in "features of the images to audit".
        clock: Seconds.
    """

    def __init__(
        self, say: Callable[[str], None], what: str, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.say, self.what, self.clock = say, what, clock
        self.batches, self.last = 0, clock()
        self.began, self.estimated = self.last, False
        self.passes = False  # over the same pictures, which are counted each time

    def __call__(self, pace: Pace) -> None:
        """How far it is."""
        self.batches += 1
        if pace.waiting:
            self.say(f"{self.what}: {pace}")
            return
        now = self.clock()
        if not self.estimated:
            if self.batches < MEASURED:
                return
            self.estimated = True
            if pace.remaining >= LONG_S:
                pictures = "" if self.passes else f"{pace.total:,} pictures, "
                rate = "" if self.passes else f" ({pace.rate:.{0 if pace.rate >= 10 else 1}f} a second)"
                self.say(f"{self.what}: {pictures}about {_duration(pace.remaining)}{rate}")
                self.last = now
        elif now - self.last >= EVERY_S and pace.done < pace.total:
            left = f"{pace.done / pace.total:.0%}, about {_duration(pace.remaining)} left"
            self.say(f"{self.what}: {left if self.passes else pace}")
            self.last = now

    def taken(self, total: int) -> Callable[[int], None]:
        """The same for who goes over pictures several times and only counts them, so many in all."""
        self.passes = True

        def told(done: int) -> None:
            rate = done / max(self.clock() - self.began, 1e-9)
            self(Pace(done, total, rate, max(0, total - done) / rate))

        return told


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
