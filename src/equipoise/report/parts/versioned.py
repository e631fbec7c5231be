"""A record as one JSON file that says which schema it has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from equipoise.errors import DataError, EquipoiseError, InputError
from equipoise.files import read_json, write_json
from equipoise.report.parts.typed_json import decode, encode
from equipoise.sharing import shareable

__all__ = ["Schema", "fitting"]

Record = TypeVar("Record")


@dataclass(frozen=True)
class Schema(Generic[Record]):
    """A kind of record, and the file that holds it.

    Args:
        record: The dataclass; it has a field `schema_version`.
        file: Its name in a run's folder.
        version: Of the schema that can be read.
        what: What it is called in messages, as in "an audit".
    """

    record: type[Record]
    file: str
    version: int
    what: str

    def to_json(self, record: Record) -> dict[str, Any]:
        """The record as plain JSON values, `schema_version` first.

        Raises:
            InputError: if a setting has no JSON form; the message names the place.
        """
        content: dict[str, Any] = encode(record)
        return {"schema_version": content.pop("schema_version"), **content}

    def from_json(self, content: Any) -> Record:
        """The record that `to_json` turned into `content`.

        Raises:
            InputError: if the schema version is another, a key is missing or unknown, or a value of another type.
        """
        if not isinstance(content, dict) or "schema_version" not in content:
            raise InputError(
                f"Expected {self.what}, a JSON object with the key schema_version; got {_shape(content)}. "
                f"Choose the {self.file} of a run's folder."
            )
        version = content["schema_version"]
        if version != self.version or isinstance(version, bool):
            versions = content.get("versions")
            by = versions.get("equipoise") if isinstance(versions, dict) else None
            raise InputError(
                f"Expected {self.what} of schema version {self.version}; got version {version!r}"
                + (f", written by equipoise {by}" if by else "")
                + ". Read it with the equipoise that wrote it, or run it again with this one."
            )
        record: Record = decode(self.record, content)
        return record

    def write(self, record: Record, path: str | os.PathLike[str]) -> Path:
        """Write a record atomically to a file, or to a folder, without places of this machine, and give its path.

        Raises:
            InputError: if the record does not fit its own schema (it could not be read back).
            DataError: if the file cannot be written.
        """
        content = self.to_json(shareable(record))
        self.from_json(content)
        target = self._file(path)
        write_json(target, content)
        return target

    def read(self, path: str | os.PathLike[str]) -> Record:
        """Read a record from a file, or from a folder.

        Raises:
            DataError: if there is no such file, it is not JSON, or not a record of this schema version.
        """
        target = self._file(path)
        content = read_json(target, self.what, f"Give the folder of a finished run, or its {self.file}.")
        try:
            return shareable(self.from_json(content))  # somebody else's may hold places of a machine
        except InputError as error:
            raise DataError(f"{target} cannot be used. {error}") from error

    def _file(self, path: str | os.PathLike[str]) -> Path:
        target = Path(path)
        return target if target.suffix == ".json" and not target.is_dir() else target / self.file


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


def _shape(content: Any) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    return "an object without it" + (f" (its keys: {', '.join(list(content)[:5])})" if content else "")
