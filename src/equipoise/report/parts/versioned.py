"""A record as one JSON file that says which schema it has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.files import read_json, write_json
from equipoise.report.parts.typed_json import decode, encode
from equipoise.sharing import shareable

__all__ = ["fitting", "read_versioned", "write_versioned"]

Record = TypeVar("Record")


def write_versioned(record: Any, target: Path) -> Path:
    """Write a dataclass with a field `schema_version` atomically, without places of this machine, and give the path.

    Raises:
        InputError: if the record does not fit its own schema.
        DataError: if the file cannot be written.
    """
    content: dict[str, Any] = encode(shareable(record))
    content = {"schema_version": content.pop("schema_version"), **content}
    _decoded(type(record), content, record.schema_version, "a record")
    write_json(target, content)
    return target


def read_versioned(kind: type[Record], target: Path, version: int, *, what: str) -> Record:
    """Read such a file.

    Args:
        kind: The dataclass.
        target: The file.
        version: Of the schema that can be read.
        what: What it is called in messages, as in "an audit".

    Raises:
        DataError: if there is none, it is not JSON, or not of this schema version.
    """
    content = read_json(target, what, "Give the folder of a finished run, or make it again.")
    try:
        return shareable(_decoded(kind, content, version, what))
    except InputError as error:
        raise DataError(f"{target} cannot be used. {error}") from error


@contextmanager
def fitting(path: str | os.PathLike[str]) -> Iterator[None]:
    """Around what is made of a record that was read: if its parts contradict one another, that is said.

    Raises:
        DataError: in place of what went wrong.
    """
    try:
        yield
    except EquipoiseError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise DataError(
            f"Expected a record in {os.fspath(path)} whose parts fit one another; got {type(error).__name__}: "
            f"{error}. The file is damaged or was changed by hand: make it again. --debug shows where."
        ) from error


def _decoded(kind: type[Record], content: Any, version: int, what: str) -> Record:
    found = content.get("schema_version") if isinstance(content, dict) else None
    if found != version or isinstance(found, bool):
        raise InputError(
            f"Expected {what} of schema version {version}; got version {found!r}. "
            "Read it with the equipoise that wrote it, or make it again."
        )
    record: Record = decode(kind, content)
    return record
