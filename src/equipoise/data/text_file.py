"""Text files that others wrote: ordinary files only, and in an encoding that they state or that is UTF-8."""

from __future__ import annotations

import codecs
from pathlib import Path

from equipoise import files
from equipoise.errors import DataError

__all__ = ["decoded_text", "regular"]

MARKS = (  # the longer first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ADVICE = "Save it as UTF-8: in a spreadsheet as `CSV UTF-8`, or with `iconv -f latin1 -t utf-8`"


def regular(path: Path) -> Path:
    """The path of an ordinary file; a pipe, a socket or a device would never end.

    Raises:
        DataError: if it is something else, or not there.
    """
    try:
        return files.regular(path)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise DataError(f"Expected an ordinary file at {path}; got {cause}. Check the path.") from error


def decoded_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with the byte-order mark that says so.

    Raises:
        DataError: if it cannot be read, is in another encoding, or holds null characters.
    """
    try:
        data = regular(path).read_bytes()
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"Expected to read {path}; got: {error.strerror or error}. Check its permissions."
        ) from error
    mark, encoding = next((entry for entry in MARKS if data.startswith(entry[0])), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, len(mark) + error.start) + 1
        raise DataError(
            f"Expected text in UTF-8 (or in UTF-16 with a byte-order mark) in {path}; got other bytes in line "
            f"{line} ({error.object[error.start : error.start + 4]!r} is not {encoding}). {ADVICE}."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"Expected text in {path}; got a null character in line {line}: it is another kind of file, or UTF-16 "
            f"without a byte-order mark. {ADVICE}."
        )
    return text
