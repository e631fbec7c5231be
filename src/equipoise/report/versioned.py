"""A record as one JSON file that says which schema it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from equipoise.errors import DataError, InputError
from equipoise.files import read_bytes, write_json
from equipoise.report.typed_json import decode, encode

__all__ = ["read_versioned", "write_versioned"]

Record = TypeVar("Record")


def write_versioned(record: Any, target: Path) -> Path:
    """Write a dataclass with a field `schema_version` atomically, and give the path.

    Raises:
        InputError: if the record does not fit its own schema.
        DataError: if the file cannot be written.
    """
    content: dict[str, Any] = encode(record)
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
    try:
        content = json.loads(read_bytes(target))
    except OSError as error:
        raise DataError(
            f"Expected {what} at {target}; got: {error.strerror or error}. Give the folder of a finished run."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"Expected JSON in {target}; got something else ({error}). Make it again.") from error
    try:
        return _decoded(kind, content, version, what)
    except InputError as error:
        raise DataError(f"{target} cannot be used. {error}") from error


def _decoded(kind: type[Record], content: Any, version: int, what: str) -> Record:
    found = content.get("schema_version") if isinstance(content, dict) else None
    if found != version or isinstance(found, bool):
        raise InputError(
            f"Expected {what} of schema version {version}; got version {found!r}. "
            "Read it with the equipoise that wrote it, or make it again."
        )
    record: Record = decode(kind, content)
    return record
