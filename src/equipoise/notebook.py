"""What a notebook shows of a result: a small table, in which text of others is escaped; and numbers as short text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import islice

import numpy as np

from equipoise.rate import Rate
from equipoise.shown import harmless

__all__ = ["rate_text", "short", "table_html"]

MOST_ROWS = 30
MOST_NAME = 60


def rate_text(rate: Rate, digits: int = 3) -> str:
    """A rate and its 95 % interval in its own unit.

    Example:
        >>> rate_text(Rate(0.95, 0.93, 0.97, 400)), rate_text(Rate.undefined("no positives"))
        ('0.950 (0.930 to 0.970)', 'undefined: no positives')
    """
    if not rate.defined:
        return f"undefined: {rate.reason}"
    ends = (
        f" ({rate.low:.{digits}f} to {rate.high:.{digits}f})"
        if np.isfinite([rate.low, rate.high]).all()
        else ""
    )
    return f"{rate.value:.{digits}f}{ends}"


def short(name: str, most: int = MOST_NAME) -> str:
    """A name of others on one line, without characters that steer, cut off where it is long."""
    shown = harmless(name)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def table_html(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a notebook; of many rows the first ones, and how many more there are.

    Example:
        >>> table_html("Fit", ["seed"], [["0"]])
        '<table><caption>Fit</caption><thead><tr><th>seed</th></tr></thead><tbody><tr><td>0</td></tr></tbody></table>'
    """

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(short(cell, 200))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in islice(rows, MOST_ROWS))
    if len(rows) > MOST_ROWS:
        body += line([f"… and {len(rows) - MOST_ROWS:,} more", *[""] * (len(heads) - 1)], "td")
    return (
        f"<table><caption>{escape(short(title, 200))}</caption><thead>{line(heads, 'th')}</thead>"
        f"<tbody>{body}</tbody></table>"
    )
