"""Text of others, as it may be shown: names of groups, columns, files and classes, and messages that hold them.

A name may hold what steers a terminal (escapes, carriage returns), what turns the direction of writing around (so that
another name is read), line breaks (so that it looks like a line of ours), or what a spreadsheet would run as a formula.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["cell_value", "csv_text", "harmless", "one_line"]

_BREAKS = re.compile(r"\s*[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]\s*")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
QUOTE = "'"


def harmless(text: str) -> str:
    """The same text with � for each character that is no letter, mark, number, sign or plain space.

    That is: control characters and line breaks, marks that change the direction of writing or have no width, unpaired
    surrogates (of file names that are not UTF-8), and code points that mean nothing.

    Example:
        >>> harmless("a\\x1b[31mb")
        'a�[31mb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else "�" for c in text)


def one_line(text: str) -> str:
    """`harmless`, with a space where lines are broken: for messages, which may quote others in several lines."""
    return harmless(_BREAKS.sub(" ", text.strip()))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A CSV file's text. Text that a spreadsheet would run as a formula gets a ' in front; numbers stay numbers.

    Text that begins with ' itself gets one more, so that `cell_value` gives back every text as it was. Spaces and
    quotes in front do not hide a formula; text that is a plain number, such as "-1e-3", stays one.
    """
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for row in (header, *rows):
        cells = [_cell(value) for value in row]
        # a carriage return ends a row for readers, and is not quoted by itself
        broken = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoted if broken else plain).writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace").decode()


def cell_value(text: str) -> str:
    """What `csv_text` was given for a text that was read from its file.

    Example:
        >>> cell_value("'=1+1"), cell_value("plain")
        ('=1+1', 'plain')
    """
    return text[1:] if text.startswith(QUOTE) else text


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    bare = value.lstrip(" \u00a0\u3000\ufeff\"'")
    runs = bare.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
    return QUOTE + value if runs or value.startswith(QUOTE) else value
