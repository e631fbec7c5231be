"""Settings that a job does not look at, refused rather than passed over."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from equipoise.errors import InputError

__all__ = ["check_unused"]


def check_unused(job: str, given: Any, *names: str, why: str) -> None:
    """Whether nothing was asked of a job that it does not do: these fields are as they are by default.

    Args:
        job: Its name.
        given: A dataclass with settings.
        names: Fields that the job does not look at.
        why: What it does in place of that, in words: "which …".

    Raises:
        InputError: if one was set.
    """
    usual = {field.name: field.default for field in fields(given)}
    asked = {name: value for name in names if not _same(value := getattr(given, name), usual[name])}
    if asked:
        got = ", ".join(value if isinstance(value, str) else type(value).__name__ for value in asked.values())
        raise InputError(
            f"Expected no {' and no '.join(f'`{name}`' for name in asked)} for {job}, which {why}; got {got}. "
            "Leave them out."
        )


def _same(value: Any, usual: Any) -> bool:
    return value is usual or (isinstance(value, str | int | float | tuple) and bool(value == usual))
