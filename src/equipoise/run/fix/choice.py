"""The last layer that is chosen on some images: as `fix` does, and the second stage of `debias`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from equipoise import fix as fixes
from equipoise.data import ImageTable
from equipoise.nn import FeatureStore
from equipoise.report.parts.choice import ChoiceRecord, TriedFix
from equipoise.run.fix.failing import Failing, failing
from equipoise.run.fix.layers import group_ids
from equipoise.run.reading import Reading

__all__ = ["choice_record", "chosen_layer", "kept_together"]


def chosen_layer(
    store: FeatureStore,
    table: ImageTable,
    current: Any,
    *,
    together: Sequence[Any],
    seed: int,
    groups: Sequence[str] = (),
    validation_groups: Sequence[str] = (),
    **options: Any,
) -> tuple[fixes.Choice, Failing, float]:
    """What was chosen, the slices found in these images, and the seconds that both took.

    Args:
        store: Features of the images.
        table: The images.
        current: Logits of the network as it is, not trained on these images; None takes a plain last layer.
        together: Columns whose equal values are on one side.
        seed: Of the folds and the halves.
        groups: Columns that only measure.
        validation_groups: Columns whose values, of the rows that have one, are chosen by.
        options: `methods` and `price`, as `fix.choose` takes them.

    Raises:
        InputError: as `fix.choose` does.
    """
    began = time.perf_counter()
    by = "validation_groups" if validation_groups else "groups"
    measured: dict[str, Any] = {by: group_ids(table, validation_groups or groups)}
    slices = failing(store, table, current, together, seed)
    found = fixes.choose(
        store,
        table,
        current=current,
        **measured,
        known=dict(slices.known),
        together=together,
        classes=len(table.class_names),
        seed=seed,
        **options,
    )
    return found, slices, time.perf_counter() - began


def kept_together(table: ImageTable, reading: Reading) -> list[Any]:
    """Columns whose equal values are on one side: contents, and subjects if these are known."""
    found: list[Any] = [table.digests]
    return found if reading.together is None else [*found, table.column(reading.together)]


def choice_record(choice: fixes.Choice, groups: Sequence[str] = ()) -> ChoiceRecord:
    """What a record says of a choice.

    Args:
        choice: The choice.
        groups: Columns that it was made by.
    """
    tried = [
        TriedFix(
            title=one.name,
            method=one.method,
            merit=one.merit,
            accuracy=one.accuracy,
            balanced=one.balanced,
            worst_class=one.worst_class,
            worst_group=one.worst_group,
            may_win=one.may_win,
        )
        for one in choice.candidates
    ]
    return ChoiceRecord(
        chosen=choice.name,
        method=choice.chosen.method,
        rule=choice.rule,
        gain=choice.chosen.merit - choice.left.merit,
        doubt=choice.doubt,
        stability=choice.stability,
        notes=list(choice.notes),
        tried=tried,
        groups=list(groups),
        alike=[one.name for one in choice.alike],
    )
