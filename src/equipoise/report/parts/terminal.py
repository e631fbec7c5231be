"""Sentences and tables for the terminal: plain text, the same words as the page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from equipoise.rate import Rate
from equipoise.report.parts import words
from equipoise.shown import harmless

__all__ = ["aligned", "blocks", "number", "short", "wrapped"]

NAME = 30  # longest name in full
WIDTH = 96


def blocks(parts: Iterable[str]) -> str:
    """Blocks of lines, one blank line between them; empty ones are left out."""
    return "\n\n".join(filter(None, parts)).replace(words.SPACE, " ")


def aligned(heads: list[str], rows: list[list[str]], foot: list[list[str]]) -> list[str]:
    """Lines of a table; a head "at 0.5: plain" stands on two lines."""
    heads, rows, foot = (
        [*map(harmless, heads)],
        *([[*map(harmless, row)] for row in some] for some in (rows, foot)),
    )
    split = [head.split(": ", 1) if ": " in head else ["", head] for head in heads]
    top = [parts[0] for parts in split]
    bottom = [short(parts[1], 20) for parts in split]
    head_rows = [top, bottom] if any(top) else [bottom]
    widths = [max(len(row[i]) for row in (*head_rows, *rows, *foot)) for i in range(len(heads))]

    def line(row: list[str]) -> str:
        cells = [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in _indexed(row, widths)]
        return "  ".join(cells).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [*map(line, head_rows), rule, *map(line, rows)]
    return lines if not foot else [*lines, rule, *map(line, foot)]


def _indexed(row: list[str], widths: list[int]) -> list[tuple[int, tuple[str, int]]]:
    return list(enumerate(zip(row, widths, strict=True)))


def number(rate: Rate | None, scale: float, digits: int) -> str:
    """A rate and its interval: "4.1 [3.0, 5.2]"."""
    if rate is None or not rate.defined:
        return "undefined"
    ends = words.interval(rate, scale, digits).replace(" to ", ", ")
    return words.decimal(rate.value * scale, digits) + (f" [{ends}]" if ends else "")


def short(name: str, most: int = NAME) -> str:
    """A name on one line, without characters that steer a terminal."""
    shown = harmless(name)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def wrapped(line: str) -> str:
    """A sentence in lines of 96, without characters that steer a terminal."""
    return textwrap.fill(harmless(line), WIDTH, subsequent_indent="  ")
