"""What is said of a picture: why it cannot be used, or what was done to it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Note", "Unreadable"]

Note = Callable[[str], None]
"""Called with what was done to a picture beyond what every picture goes through."""


class Unreadable(Exception):
    """A picture cannot be used; the text is the reason. Readers turn it into a rejected picture."""
