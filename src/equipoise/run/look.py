"""What a source holds, before anything is trained on it."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable, contact_sheet, write_rejected
from equipoise.data.spelling import doubts
from equipoise.errors import InputError
from equipoise.files import write_bytes
from equipoise.groups import Groups
from equipoise.run.sources import Reading, Sources, check_attributes, embedded, read_one
from equipoise.seeds import child_seed

__all__ = ["described", "look"]

MANY = 20  # values beyond which a column is not counted unless asked for
COLUMNS = 8
CLASSES = 12  # told one by one where there are many


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
        chosen = _some_of_each(table, shown, np.random.default_rng(child_seed(seed, "sheet")))
        write_bytes(sheet, contact_sheet(table.batch(chosen), columns=COLUMNS))
    if rejected is not None:
        write_rejected(table, rejected)
    return table


def described(table: ImageTable, groups: Sequence[str] = ()) -> Iterator[str]:
    """A table in words: counts, what readers decided, groups, unreadable pictures."""
    size = f"{table.image_size}×{table.image_size}×{table.channels}"
    yield f"{len(table):,} images of {size}, fingerprint {table.fingerprint}"
    yield from _classes(table)
    if table.framing is not None and not table.framing.usual:
        yield f"  framed: {table.framing}"
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
        width = max(map(len, found.names))
        for name, count, among in zip(found.names, found.counts, _among(table, found), strict=True):
            yield f"  {name:{width}}  {count:>9,} images, {among}"
    for item in table.rejected[:10]:
        yield f"rejected: {item.path}: {item.reason}"
    if table.rejected:
        yield f"{len(table.rejected):,} pictures cannot be read"


def _classes(table: ImageTable) -> Iterator[str]:
    """How many images of each class; of many classes the smallest first, the rest folded."""
    ids, counts = np.unique(table.labels, return_counts=True)
    if table.two_classes:
        for label, count in zip(ids, counts, strict=True):
            yield f"  {('negatives (label 0)', 'positives (label 1)')[label]}: {count:,}"
        return
    order = np.argsort(counts, kind="stable")[: CLASSES if len(ids) > CLASSES + 1 else None]
    yield f"  {len(ids)} classes of {_span(counts)}, the smallest first:"
    width = max(len(table.class_names[ids[row]]) for row in order)
    for row in order:
        yield f"    {table.class_names[ids[row]]:{width}}  {counts[row]:>9,}"
    if len(order) < len(ids):
        rest = np.delete(counts, order)
        yield f"    and {len(rest)} more of {_span(rest)}"
    empty = len(table.class_names) - len(ids)
    if empty:
        yield f"  {empty} more {'classes are' if empty > 1 else 'class is'} named and without images"


def _span(counts: NDArray[np.int64]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,} to {high:,} images" if low < high else f"{low:,} {'images' if low > 1 else 'image'} each"


def _among(table: ImageTable, groups: Groups) -> Iterator[str]:
    """What the images of each group are of."""
    if table.two_classes:
        for among in np.bincount(groups.ids[table.positives], minlength=len(groups.names)):
            yield f"{among:>9,} of them positives"
        return
    cells = np.zeros((len(groups.names), len(table.class_names)), np.int64)
    np.add.at(cells, (groups.ids, table.labels), 1)
    occurring = cells[:, cells.any(axis=0)]
    for row in occurring:
        smallest = f", the smallest of {row.min():,}" if row.all() else ""
        yield f"of {(row > 0).sum():>{len(str(len(row)))}} of {len(row)} classes{smallest}"


def _some_of_each(table: ImageTable, shown: int, some: np.random.Generator) -> NDArray[np.int64]:
    """Rows for a contact sheet: positives, then negatives; of more classes as many of each as there is room for."""
    if table.two_classes:
        half = -(-shown // 2)
        rows = [some.permutation(rows)[:half] for rows in (table.positives, table.negatives)]
        return np.concatenate(rows)[:shown]
    order = some.permutation(len(table))
    order = order[np.argsort(table.labels[order], kind="stable")]
    labels = table.labels[order]
    rank = np.arange(len(order)) - np.searchsorted(labels, labels)  # of an image in its class
    chosen = order[np.argsort(rank, kind="stable")[:shown]]
    return chosen[np.argsort(table.labels[chosen], kind="stable")]
