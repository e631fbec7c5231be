"""Settings by the names of their flags: what a run says of `test_share` is shown as --test-share."""

from __future__ import annotations

import re

from equipoise.cli.invocation import ARGUMENTS

__all__ = ["with_flags"]

NAMED = re.compile(r"`([a-z][a-z0-9_]*)`")


def with_flags(text: str) -> str:
    """The text with every setting in backticks that is a flag of the command that runs as that flag.

    What is no flag of it stays as it is.
    """
    if NAMED.search(text) is None:
        return text
    known = _flags()

    def flag(match: re.Match[str]) -> str:
        name = f"--{match[1].replace('_', '-')}"
        return name if name in known else match[0]

    return NAMED.sub(flag, text)


def _flags() -> set[str]:
    """The flags of the command that runs; none if it is not known."""
    from equipoise.cli.app import app

    command = next((word for word in ARGUMENTS.get()[:1] if word in app), None)
    if command is None:
        return set()
    return {name for argument in app[command].assemble_argument_collection() for name in argument.names}
