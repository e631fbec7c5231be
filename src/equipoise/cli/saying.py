"""What a command prints: lines, in which names of others steer no terminal and break no line."""

from __future__ import annotations

import sys

from equipoise.shown import harmless

__all__ = ["say", "say_aside"]


def say(*lines: str) -> None:
    """Results, to standard output."""
    print(*map(harmless, lines), sep="\n")


def say_aside(*lines: str) -> None:
    """What goes on, and errors, to standard error."""
    print(*map(harmless, lines), sep="\n", file=sys.stderr, flush=True)
