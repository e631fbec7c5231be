"""What a source holds, before anything is trained on it."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from equipoise.data import ImageTable, contact_sheet, write_rejected
from equipoise.data.spelling import doubts
from equipoise.errors import InputError
from equipoise.files import write_bytes
from equipoise.run.sources import Reading, Sources, check_attributes, embedded, read_one
from equipoise.seeds import child_seed

__all__ = ["described", "look"]

MANY = 20  # values beyond which a column is not counted unless asked for
COLUMNS = 8


def look(
    sources: Sources = Sources(),
    *,
    reading: Reading = Reading(max_rejected=1.0),
    groups: Sequence[str] = (),
    seed: int = 0,
    sheet: str | os.PathLike[str] | None = None,
    shown: int = 64,
    rejected: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> ImageTable:
    """Read sources as `debias` would, one class alone too; draw a contact sheet, list what cannot be read.

    Raises:
        InputError: if a column is missing or an option does not fit.
        DataError: if a source cannot be read, or a file cannot be written.
    """
    if shown < 1:
        raise InputError(f"`shown` must be 1 or larger; got {shown}. 64 makes a sheet of 8 by 8.")
    sources.check_untested("look")
    reading.check_unsplit("look")
    given = [
        read_one(source, label, reading, progress=progress)
        for source, label in ((sources.positives, 1), (sources.negatives, 0), (sources.data, None))
        if source is not None
    ]
    table = ImageTable.concat(given) if given else embedded(sources.images, reading, seed)
    check_attributes(table, groups, what="data")
    if sheet is not None:
        some = np.random.default_rng(child_seed(seed, "sheet"))
        half = -(-shown // 2)
        chosen = np.concatenate(
            [some.permutation(rows)[:half] for rows in (table.positives, table.negatives)]
        )
        rest = some.permutation(len(table))[:shown]
        write_bytes(
            sheet, contact_sheet(table.batch(chosen[:shown] if len(chosen) else rest), columns=COLUMNS)
        )
    if rejected is not None:
        write_rejected(table, rejected)
    return table


def described(table: ImageTable, groups: Sequence[str] = ()) -> Iterator[str]:
    """A table in words: counts, what readers decided, groups, unreadable pictures."""
    size = f"{table.image_size}×{table.image_size}×{table.channels}"
    yield f"{len(table):,} images of {size}, fingerprint {table.fingerprint}"
    for label, count in zip(*np.unique(table.labels, return_counts=True), strict=True):
        name = {0: "negatives (label 0)", 1: "positives (label 1)"}.get(int(label), f"label {label}")
        yield f"  {name}: {count:,}"
    copies = len(table) - len(np.unique(table.digests))
    if copies:
        yield f"  {copies:,} images are copies of others (equal pixels)"
    yield from table.notes
    yield from doubts([table])
    for attribute in groups or [name for name in table.attributes.column_names if name != "path"]:
        found = table.groups(attribute)
        if not groups and len(found.names) > MANY:
            yield f"{attribute}: {len(found.names):,} different values"
            continue
        yield f"{attribute}:"
        positives = np.bincount(found.ids[table.positives], minlength=len(found.names))
        width = max(map(len, found.names))
        for name, count, among in zip(found.names, found.counts, positives, strict=True):
            yield f"  {name:{width}}  {count:>9,} images, {among:>9,} of them positives"
    for item in table.rejected[:10]:
        yield f"rejected: {item.path}: {item.reason}"
    if table.rejected:
        yield f"{len(table.rejected):,} pictures cannot be read"
