"""What people share holds no place of this machine: neither folders above what was given, nor a user's or host's name.

A path below the current folder is written relative to it; of any other absolute path its last part stays, behind "…/".
What was given stands word for word in a run's settings.toml alone, which resuming needs; it and checkpoints are local.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

__all__ = ["shareable", "shared_path"]

Content = TypeVar("Content")

AWAY = "…/"
# a path within a sentence or a command: up to a blank, a quote or what ends a clause
_WITHIN = re.compile(r"(?<![\w.…~/])(?:file://)?(/[^\s/'\"`,;:()<>|=]+)+/?")
# of records: what the user gave, and errors. Names of groups and columns, and sentences about them, are left alone
_FIELDS = ("command", "settings", "sources", "source", "error")


def shared_path(path: str, below: str | None = None) -> str:
    """An absolute path as others may see it; other text is given back as it is.

    Args:
        path: As it was found.
        below: A folder or file that was given: what lies below the folder keeps its whole way from it on.

    Example:
        >>> shared_path("/home/her/faces/dark/1.png", below="/home/her/faces")
        '…/faces/dark/1.png'
    """
    if not os.path.isabs(path):
        return path
    clean, here = os.path.normpath(path), os.getcwd()
    if clean.startswith(os.path.join(here, "")):
        return clean[len(os.path.join(here, "")) :]
    if clean == here:
        return "."
    given = os.path.abspath(below) if below else ""
    # the folder itself keeps its name, so that two of them can be told apart
    above = os.path.join(os.path.dirname(os.path.dirname(given) if os.path.isfile(given) else given), "")
    if given and clean.startswith(above):
        return AWAY + clean[len(above) :]
    return AWAY + os.path.basename(clean)


def shareable(content: Content) -> Content:
    """A record, or a part of one, without places of this machine in what the user gave and in errors.

    Example:
        >>> shareable("equipoise score /data/runs/a --out=/tmp/s.parquet")
        'equipoise score …/a --out=…/s.parquet'
    """
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        return dataclasses.replace(
            content, **_of_fields({f.name: getattr(content, f.name) for f in dataclasses.fields(content)})
        )
    return cast(Content, _cleaned(content))


def _of_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _cleaned(value) if name in _FIELDS else _searched(value) for name, value in values.items()}


def _searched(value: Any) -> Any:
    """Records within: dataclasses, and lists and mappings of them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return shareable(value)
    if isinstance(value, list):
        return [_searched(item) for item in value]
    if isinstance(value, dict):
        return {key: _searched(item) for key, item in value.items()}
    return value


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, os.PathLike):
        return _text(os.fspath(value))
    if isinstance(value, list | tuple):
        return type(value)(map(_cleaned, value))
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items()}
    return value


def _text(text: str) -> str:
    if os.path.isabs(text) and (os.path.exists(text) or not _WITHIN.sub("", text).strip()):
        return shared_path(text)
    here, home = os.getcwd(), os.path.expanduser("~")
    for folder, instead in ((here, ""), (home, AWAY)):
        if folder != "/":
            text = re.sub(rf"(?<![\w.…~/]){re.escape(folder)}/", instead, text)
    return _WITHIN.sub(lambda found: shared_path(found.group(0).removeprefix("file://")), text)
