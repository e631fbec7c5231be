"""A bar while pictures are decoded, on a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from equipoise.shown import harmless

__all__ = ["decoding"]


@contextlib.contextmanager
def decoding(title: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """What to call with the number of pictures decoded and of all; None where no bar is to be shown."""
    if not shown or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"Reading {escape(harmless(title))}", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
