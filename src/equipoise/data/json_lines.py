"""JSON lines: an object a line, its keys the columns; and single objects as such rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from equipoise.data.columns import named
from equipoise.data.text_file import decoded_text
from equipoise.errors import DataError

__all__ = ["json_row", "read_json_lines"]


def read_json_lines(path: Path) -> tuple[pa.Table, tuple[str, ...]]:
    """A table, and in words what was decided about it.

    All columns are text, numbers as they are written in the file; true and false become True and False, as in the
    CSV of a data frame, lists and objects stay JSON. null, NaN and a key that a line lacks are null.

    Raises:
        DataError: if a line is not an object, or a key stands twice.
    """
    lines = [
        (number, line)
        for number, line in enumerate(decoded_text(path).split("\n"), 1)  # U+2028 may stand in a text
        if line.strip()
    ]
    rows = [_row(line, number, path) for number, line in lines]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    names, notes = named(keys, path)
    columns = {
        name: pa.array([row.get(key) for row in rows], pa.string())
        for key, name in zip(keys, names, strict=True)
        if name
    }
    return pa.table(columns), notes


def _row(line: str, number: int, path: Path) -> dict[str, str | None]:
    try:
        return json_row(line)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"Expected a JSON object in every line of {path}; got in line {number}: {error}. Correct that line."
        ) from error


def json_row(text: str) -> dict[str, str | None]:
    """Keys and values of a JSON object as text, see `read_json_lines`.

    Raises:
        ValueError: if it is no JSON object, or a key stands twice.
        RecursionError: if it is nested too deep.
    """
    row = json.loads(
        text,
        parse_int=_Number,
        parse_float=_Number,
        parse_constant=lambda name: None,
        object_pairs_hook=_object,
    )
    if not isinstance(row, dict):
        raise ValueError(f"{type(row).__name__} in place of an object")
    texts = {key: _text(value) for key, value in row.items()}
    "".join(filter(None, (*texts, *texts.values()))).encode()  # half of a pair of surrogates is no text
    return texts


class _Number(str):
    """A number as it is written."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return row


def _text(value: Any) -> str | None:
    text = value if isinstance(value, str) else None if value is None else _json(value)
    return text if text and text.strip() else None


def _json(value: Any) -> str:
    match value:
        case _Number():
            return str(value)
        case bool():
            return str(value)
        case list():
            return f"[{', '.join(map(_json, value))}]"
        case dict():
            return f"{{{', '.join(f'{json.dumps(key)}: {_json(item)}' for key, item in value.items())}}}"
        case _:
            return json.dumps(value, ensure_ascii=False)
