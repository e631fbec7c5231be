"""The hidden groups that a network fails on, found in the data without group labels, and what a fix did to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise import fix as fixes
from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.intervals import proportion
from equipoise.intervals.pairs import Pairs
from equipoise.nn import FeatureStore
from equipoise.probabilities import from_logits
from equipoise.report.fix.record import MendedSlice, SliceTrait
from equipoise.seeds import child_seed
from equipoise.slices import Found, Options, find

__all__ = ["Failing", "failing"]

Ids = NDArray[np.int64]
SHOWN = 10  # images of each slice
ABSENT = "no test image is in it"


@dataclass(frozen=True, eq=False)
class Failing:
    """What was found in the data.

    Args:
        found: The slices; None where they cannot be sought.
        note: Why there are none, in words; "" if there are some.
    """

    found: Found | None
    note: str

    @property
    def known(self) -> dict[str, Ids]:
        """For `fix.choose`: the slice of each image of the data, if there are any."""
        return {} if self.found is None or not self.found.slices else {"slices": self.found.ids}

    def mended(
        self,
        store: FeatureStore,
        table: ImageTable,
        before: Ids,
        after: Ids,
        attributes: Sequence[str] = (),
        *,
        seed: int = 0,
    ) -> list[MendedSlice]:
        """Errors in each slice on test images, by two last layers.

        Args:
            store: Features of the test images, which alone say, with the class, who is in a slice.
            table: The test images.
            before: What the one calls them, shape (n,).
            after: What the other does.
            attributes: Columns that slices are described by; finding them never saw them.
            seed: Of which images are shown.
        """
        if self.found is None or not self.found.slices:
            return []
        ids = self.found.assign(store.features, table.labels)
        wrong = [called != table.labels for called in (before, after)]
        found, chance = [], np.random.default_rng(child_seed(seed, "pictures"))
        for number, one in enumerate(self.found.slices):
            was, now = (of[ids == number] for of in wrong)
            n = len(was)
            rest = (ids != number) & np.isin(table.labels, table.labels[ids == number])
            traits = [_trait(table, name, ids == number, rest) for name in attributes]
            shown = chance.permutation(np.flatnonzero((ids == number) & wrong[0]))[:SHOWN]
            shown = shown[np.argsort(wrong[1][shown], kind="stable")]  # those that are right now first
            counts = (np.array([count]) for count in ((now & ~was).sum(), (was & ~now).sum(), n))
            found.append(
                MendedSlice(
                    one.name,
                    one.class_name,
                    n,
                    proportion(int(was.sum()), n, ABSENT),
                    proportion(int(now.sum()), n, ABSENT),
                    Pairs.of(*counts).rates(ABSENT)[0],
                    [trait for trait in traits if trait is not None],
                    shown.tolist(),
                    int((~wrong[1][shown]).sum()),
                )
            )
        return found


def failing(
    store: FeatureStore,
    table: ImageTable,
    current: NDArray[Any] | None,
    together: Sequence[Any],
    seed: int,
) -> Failing:
    """Slices of the data.

    Args:
        store: Features of the data.
        table: The data; its columns play no part.
        current: Logits of the network as it is, not trained on these images; None takes a plain last layer,
            cross-fitted.
        together: Columns whose equal values are on one side.
        seed: Of the folds and the halves.
    """
    logits = current
    if logits is None:
        logits = fixes.cross_fitted(
            store, table, together=together, classes=len(table.class_names), seed=seed
        )
    probabilities = np.asarray(from_logits(logits))
    try:
        found = find(
            store.features,
            table.labels,
            probabilities,
            together=[list(column) for column in together],
            class_names=table.class_names,
            options=Options(seed=child_seed(seed, "slices")),
        )
    except InputError as error:  # too few images, say: the fix goes on without
        return Failing(None, f"Hidden groups could not be sought. {error}")
    note = "" if found.slices else "No hidden group was found that fails more than the rest of its class."
    return Failing(found, note)


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
