"""Hidden groups that a network fails on, before and after a fix: found on one half of the test images, counted on the
other, which played no part in finding them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equipoise import slices
from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.fix import Axes
from equipoise.intervals import Pairs, proportion
from equipoise.report.fix.record import MendedSlice, SliceTrait
from equipoise.run.fix.layers import called

__all__ = ["Mended", "mended_slices"]

AXES = 16


class Mended(NamedTuple):
    """Hidden groups, worst first, and why there are none."""

    slices: list[MendedSlice]
    notes: list[str]


def mended_slices(
    features: Any,
    table: ImageTable,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    *,
    attributes: Sequence[str] = (),
    seed: int,
) -> Mended:
    """Slices of the network as it was, each with its errors before and after; and why there are none.

    They are sought on leading axes of the features, all of equal variance: in the features as they are, what a network
    goes by drowns what else it sees.

    Args:
        features: Of the test images, shape (n, d).
        table: The test images.
        before: Logits before the fix, shape (n,) of two classes, (n, K) of more.
        after: The same after it.
        attributes: Columns whose values are compared once slices are found; finding never sees them.
        seed: Of the halves.
    """
    try:
        axes = Axes.of(features, most=AXES)(features)
        found = slices.find(
            axes / np.maximum(axes.std(0), 1e-6),
            table.labels,
            before,
            class_names=table.class_names,
            together=[table.digests.tolist()],
            options=slices.Options(seed=seed),
        )
    except InputError as error:
        return Mended([], [f"Hidden groups were not sought: {error}"])
    right = called(before) == table.labels, called(after) == table.labels
    told = []
    for place, one in enumerate(found.slices):
        rows = (found.ids == place) & found.testing
        rest = found.testing & (found.ids != place) & (table.labels == table.labels[rows][0])
        n = int(rows.sum())
        won, lost = (int((rows & mine & ~other).sum()) for mine, other in (right, right[::-1]))
        change = Pairs.of(*(np.array([count]) for count in (won, lost, n))).rates("no test images")[0]
        wrong = [proportion(int((rows & ~mine).sum()), n) for mine in right]
        traits = [trait for name in attributes if (trait := _trait(table, name, rows, rest)) is not None]
        told.append(MendedSlice(one.name, one.class_name, n, wrong[0], wrong[1], change, traits))
    return Mended(told, [] if told else [str(found).splitlines()[0]])


def _trait(
    table: ImageTable, attribute: str, rows: NDArray[np.bool_], rest: NDArray[np.bool_]
) -> SliceTrait | None:
    """The value that a slice has most above the rest of its class."""
    groups = table.groups(attribute)
    counts = [np.bincount(groups.ids[mine], minlength=len(groups.names)) for mine in (rows, rest)]
    if not all(count.sum() for count in counts):
        return None
    shares = [count / count.sum() for count in counts]
    value = int(np.argmax(shares[0] - shares[1]))
    inside, others = (proportion(int(count[value]), int(count.sum())) for count in counts)
    return SliceTrait(attribute, groups.names[value], inside, others)
