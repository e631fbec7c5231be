"""Train, validation and test: stratified, seeded, and the same picture is never on two sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equipoise.data.side import SIDES, VALUES, side_named
from equipoise.data.table import ImageTable
from equipoise.errors import InputError
from equipoise.groups import Groups, text_of
from equipoise.seeds import child_seed

__all__ = ["Split", "check_together", "official_split", "split"]

Ids = NDArray[np.int64]

MOST_NAMED = 5


class Split(NamedTuple):
    """Three views on one table."""

    train: ImageTable
    validation: ImageTable
    test: ImageTable


def split(
    table: ImageTable,
    *,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    stratify: Sequence[str] = (),
    together: str | None = None,
) -> Split:
    """Split a table into train, validation and test.

    Each stratum (label × attributes) is shared out by `fractions`, as exactly as whole images allow; what
    rounding leaves over goes to the side that is short so far, so many tiny strata still add up to the right
    totals. A stratum with fewer images than sides is missing on some side. Which image goes where depends on
    the seed and on the pictures, not on their order in the table.

    Of more than two classes, each has an image on the training side (if that has a share), so a class of one image is
    learned and not tested; the sides' notes name the classes of which nothing is tested.

    Args:
        table: What is to be split.
        fractions: Shares of train, validation and test; they sum to 1. A side with share 0 is empty.
        seed: Another seed, another split.
        stratify: Attribute columns to be balanced besides the label.
        together: An attribute column, for example an identity, whose equal values stay on one side. Rows
            where it is missing stand alone.

    Returns:
        Views in the order of the table. Equal pictures are always on one side, even if their labels differ.

    Raises:
        InputError: if fractions are not three shares of 1, the table is empty or a column is not there.
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.shape != (3,) or not (shares >= 0).all() or not math.isclose(shares.sum(), 1, abs_tol=1e-9):
        raise InputError(
            f"fractions must be three shares ≥ 0 that sum to 1; got {fractions}. For example (0.7, 0.1, 0.2)."
        )
    if isinstance(stratify, str):
        raise InputError(f'stratify must be a list of columns; got "{stratify}". Write ["{stratify}"].')
    if not len(table):
        raise InputError("Expected images to split; got an empty table. Check how the table was made.")
    units = _units(table, together)
    child = child_seed(seed, "split")
    side = _sides(units, _strata(table, stratify), table.digests, shares, child)
    if not table.two_classes:
        if shares[0]:
            side[np.isin(units, _lacking(table.labels, units, side, _shuffle_keys(table.digests, child)))] = 0
        table = replace(table, notes=(*table.notes, *_untested(table, side, shares)))
    train, validation, test = (table.take(np.flatnonzero(side == index)) for index in range(3))
    return Split(train, validation, test)


def official_split(table: ImageTable, column: str) -> Split:
    """The split that a column of the data says: train, validation and test as they are called in data sets.

    Values count in any case: train or training; validation, valid, val or dev; test, testing, eval or evaluation;
    and CelebA's 0, 1 and 2. The validation side may be empty, the others may not.

    Raises:
        InputError: if there is no such column, a value is missing or means no side, or a side is empty.
    """
    values = [text_of(value) for value in table.column(column)]
    named = {value: None if value is None else side_named(value) for value in dict.fromkeys(values)}
    unknown = [value for value, side in named.items() if side is None]
    if unknown:
        shown = ", ".join("no value" if value is None else repr(value) for value in unknown[:5])
        known = "; ".join(f"{' or '.join(names)}" for names in VALUES.values())
        raise InputError(
            f"Expected a side of the split in every row of {column!r} ({known}); got {shown} in "
            f"{sum(named[value] is None for value in values)} of {len(values)} rows. Write one of these, or drop the "
            "rows."
        )
    sides = np.array([SIDES.index(named[value] or "") for value in values], np.int64)
    empty = [side for index, side in enumerate(SIDES) if side != "validation" and not (sides == index).any()]
    if empty:
        raise InputError(
            f"Expected rows for training and for testing in {column!r}; got none for {' and '.join(empty)} (its values "
            f"are {', '.join(map(str, named))}). Choose another column, or leave it out: then a share is held out."
        )
    return Split(*(table.take(np.flatnonzero(sides == index)) for index in range(3)))


def check_together(sides: Split, together: str) -> None:
    """Make sure that rows with one value of a column stand on one side of a split that others made.

    Raises:
        InputError: if a value stands on two sides, or there is no such column.
    """
    seen: dict[str, str] = {}
    torn: dict[str, str] = {}
    for name, side in zip(SIDES, sides, strict=True):
        if not len(side):
            continue
        for value in {text_of(value) for value in side.column(together)} - {None}:
            if value in seen:
                torn[str(value)] = f"{seen[value]} and {name}"
            else:
                seen[str(value)] = name
    if torn:
        first = min(torn)
        raise InputError(
            f"Expected every {together} on one side of the split; got {len(torn)} on two, for example {first} in "
            f"{torn[first]}. Take them off one side, or let a share be held out: that keeps them together."
        )


def _units(table: ImageTable, together: str | None) -> Ids:
    """Ids of the sets of rows that must not be torn apart: linked by equal pictures or equal `together`."""
    same_picture = np.unique(table.digests, return_inverse=True)[1].reshape(-1).astype(np.int64)
    if together is None:
        return same_picture
    values = table.column(together)
    found = Groups.from_column(values)
    same_value, alone = found.ids.copy(), ~found.known
    same_value[alone] = same_value.max() + 1 + np.arange(alone.sum())
    units = same_picture
    while True:  # every row takes the smallest id among those it is linked to, until nothing changes
        before = units
        for links in (same_value, same_picture):
            smallest = np.full(links.max() + 1, len(table), np.int64)
            np.minimum.at(smallest, links, units)
            units = smallest[links]
        if np.array_equal(before, units):
            return units


def _strata(table: ImageTable, stratify: Sequence[str]) -> Ids:
    columns = [table.groups(attribute).ids for attribute in stratify]
    keys = np.stack([table.labels, *columns], axis=1)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _sides(units: Ids, strata: Ids, digests: NDArray[np.uint64], shares: NDArray[Any], seed: int) -> Ids:
    _, first, unit_of, sizes = np.unique(units, return_index=True, return_inverse=True, return_counts=True)
    unit_of = unit_of.reshape(-1)
    stratum = strata[first].copy()
    np.minimum.at(stratum, unit_of, strata)
    digest = digests[first].copy()
    np.minimum.at(digest, unit_of, digests)
    order = np.lexsort((_shuffle_keys(digest, seed), stratum))
    side = np.empty(len(sizes), np.int64)
    carry = np.zeros(3)  # images that a side is short of so far
    for members in np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1):
        total = int(sizes[members].sum())
        ends = np.cumsum(_quotas(total, shares, carry))
        middles = np.cumsum(sizes[members]) - sizes[members] / 2
        side[members] = np.searchsorted(ends[:2], middles)
        given = np.bincount(side[members], weights=sizes[members], minlength=3)
        carry = np.clip(carry + shares * total - given, -1, 1)
    return side[unit_of]


def _lacking(labels: Ids, units: Ids, side: Ids, keys: NDArray[np.uint64]) -> Ids:
    """A unit of each class that has none on the training side."""
    order = np.lexsort((keys, labels))
    classes, first = np.unique(labels[order], return_index=True)
    return units[order[first[~np.isin(classes, labels[side == 0])]]]


def _untested(table: ImageTable, side: Ids, shares: NDArray[Any]) -> tuple[str, ...]:
    """In words, classes without an image on the test side, if there is one."""
    classes, counts = np.unique(table.labels, return_counts=True)
    untested = np.flatnonzero(~np.isin(classes, table.labels[side == 2]))
    if not shares[2] or not len(untested):
        return ()
    order = untested[np.argsort(counts[untested], kind="stable")]
    listed = ", ".join(f"{table.class_names[classes[row]]} ({counts[row]})" for row in order[:MOST_NAMED])
    more = f" and {len(order) - MOST_NAMED} more" if len(order) > MOST_NAMED else ""
    return (
        f"{len(order)} of {len(classes)} classes have too few images for the test side; nothing is measured of them: "
        f"{listed}{more}",
    )


def _quotas(total: int, shares: NDArray[Any], carry: NDArray[Any]) -> NDArray[Any]:
    """Whole images a side: the largest remainders win what is left over."""
    ideal = np.where(shares > 0, np.clip(shares * total + carry, 0, None), 0)
    ideal *= total / ideal.sum() if ideal.sum() > 0 else 0
    quotas = np.floor(ideal + 1e-9)
    left = int(total - quotas.sum())
    # stable: at a tie the larger share wins
    ranking = np.lexsort((-shares, -np.round(ideal - quotas, 9)))
    quotas[ranking[:left]] += 1
    return quotas


def _shuffle_keys(digests: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """A seeded hash of each digest (the finaliser of SplitMix64): sorting by it is a shuffle."""
    key = digests ^ np.uint64(seed)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))
