"""Memory that workers share: who needs more than is free waits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

__all__ = ["Budget"]


class Budget:
    """Bytes that all threads of a process have together for one purpose.

    Whoever holds a share of one budget may wait for a share of another only if nobody does so the other way
    round.

    Args:
        total: Bytes, more than 0.

    Example:
        >>> budget = Budget(100)
        >>> with budget.share(60):
        ...     budget.free
        40
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def share(self, needed: int) -> Iterator[None]:
        """Wait until `needed` bytes are free, and hold them as long as the block lasts.

        Raises:
            ValueError: if that is more than the total: it would wait for ever.
        """
        if needed > self.total:
            raise ValueError(f"{needed:,} bytes are needed, more than the {self.total:,} that there are")
        with self._changed:
            self._changed.wait_for(lambda: self.free >= needed)
            self.free -= needed
        try:
            yield
        finally:
            with self._changed:
                self.free += needed
                self._changed.notify_all()
