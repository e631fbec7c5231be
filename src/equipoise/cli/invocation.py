"""The arguments that a command was called with, for its record."""

from __future__ import annotations

import shlex
from contextvars import ContextVar

__all__ = ["ARGUMENTS", "command_line"]

ARGUMENTS: ContextVar[tuple[str, ...]] = ContextVar("arguments", default=())


def command_line() -> str:
    """The command as a shell would take it."""
    return shlex.join(["equipoise", *ARGUMENTS.get()])
