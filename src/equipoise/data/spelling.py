"""Values that may be meant as one, or as none: text is taken as it is, and doubts about it are said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from equipoise.data.classes import no_label
from equipoise.data.columns import as_text
from equipoise.data.table import PATH, ImageTable

__all__ = ["doubts"]

SHOWN = 5
NUMBER = re.compile(r"[+-]?0*([0-9]*)(?:\.([0-9]*?)0*)?")


def doubts(tables: Sequence[ImageTable]) -> Iterator[str]:
    """In words, by column: values that differ only in how they are written, and values that may mean "missing".

    Args:
        tables: All tables whose groups are compared or kept apart, such as training and test data.

    Example:
        >>> import numpy as np
        >>> images = np.zeros((3, 4, 4, 3), np.uint8)
        >>> list(doubts([ImageTable.from_arrays(images, [0, 1, 1], {"site": ["1", "01", "2"]})]))
        ['Column site: 01 and 1 are different values, though they may be one written in two ways']
    """
    for name in dict.fromkeys(name for table in tables for name in table.attributes.column_names):
        columns = [table.attributes.column(name) for table in tables if name in table.attributes.column_names]
        if name == PATH or any(pa.types.is_nested(column.type) for column in columns):
            continue
        values = sorted(
            {value for column in columns for value in pc.unique(as_text(column)).to_pylist()} - {None}
        )
        alike: dict[str, list[str]] = {}
        for value in values:
            alike.setdefault(_meaning(value), []).append(value)
        for written in [some for some in alike.values() if len(some) > 1][:SHOWN]:
            yield (
                f"Column {name}: {' and '.join(written[:SHOWN])} are different values, though they may be one written "
                f"in {'two' if len(written) == 2 else 'several'} ways"
            )
        missing = [value for value in values if no_label(value)]
        if missing:
            yield (
                f"Column {name}: {' and '.join(missing[:SHOWN])} counts as a value; where nothing is known, leave the "
                "cell empty"
            )


def _meaning(value: str) -> str:
    folded = value.strip().casefold()
    found = NUMBER.fullmatch(folded) if folded.strip("+-.") else None
    if found is None:
        return folded
    sign = "-" if folded.startswith("-") else ""
    return f"{sign}{found[1] or 0}.{found[2] or ''}"
