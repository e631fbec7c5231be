"""From what a run of `augment` made to its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable, Split
from equipoise.fairness import AttributeDifference
from equipoise.groups import Groups
from equipoise.latent import Generator
from equipoise.latent.generator import decoded, sampled
from equipoise.latent.labelled import as_stored
from equipoise.report.augment.record import (
    AttributeNumbers,
    AugmentedData,
    AugmentedModel,
    GeneratorRecord,
    PairsRecord,
    ProtectedRecord,
)
from equipoise.run.augment.attribute_classifiers import AttributeClassifiers
from equipoise.run.augment.augmentation import Augmentation
from equipoise.run.augment.making_pairs import Made
from equipoise.run.augment.numbers import Measured
from equipoise.run.augment.protected import Protected
from equipoise.run.augment.target_models import TargetModel
from equipoise.run.generator_source import GeneratorSource
from equipoise.run.sheets import sheets_within, write_sheets
from equipoise.seeds import child_seed

__all__ = [
    "augmented_data",
    "generator_record",
    "measured_by",
    "model_record",
    "pairs_record",
    "protected_record",
    "write_augment_pictures",
]

Ints = NDArray[np.int64]
SHOWN = 32  # samples on the page, and pairs with show_edits
ROOM = 1_000_000  # bytes of all sheets together; the page holds them in a third more


def measured_by(tables: Split, known: Sequence[Protected], groups: Sequence[str]) -> dict[str, Measured]:
    """What models are measured by, what the headline is about first: annotated before discovered."""
    sides = {one.name: Measured(*one.groups("test"), one.groups("train")) for one in known}
    columns = {}
    for name in groups:
        if name not in sides:
            trained = name in tables.train.attributes.column_names
            columns[name] = Measured(
                *_column(tables.test, name), _column(tables.train, name) if trained else None
            )
    return sides | columns if all(one.annotated for one in known) else columns | sides


def _column(table: ImageTable, name: str) -> tuple[Groups, Ints]:
    """Groups of the rows that have a value, and these rows."""
    values = table.column(name)
    rows = np.flatnonzero([value is not None and value == value for value in values])
    return Groups.from_column([values[row] for row in rows], attribute=name), rows


def _agreement(one: Protected, train: ImageTable, groups: Sequence[str]) -> dict[str, float]:
    if one.annotated:
        return {}
    columns = [name for name in groups if name in train.attributes.column_names]
    return {name: one.agreement("train", train.groups(name), train.labels) for name in columns}


def augmented_data(
    tables: Split, given: dict[str, str], measured: Mapping[str, Measured], known: Sequence[Protected]
) -> AugmentedData:
    """What the images were, and how many of each cell each part held."""
    cells: dict[str, dict[str, dict[str, list[int]]]] = {}
    sides = {one.name: one for one in known}
    for part, table in tables._asdict().items():
        cells[part] = {}
        for name in measured:
            if name in sides:
                groups, rows = sides[name].groups(part)
            elif name in table.attributes.column_names:
                groups, rows = _column(table, name)
            else:
                continue
            labels = table.labels[rows]
            cells[part][name] = {
                group: [int(((groups.ids == i) & (labels == label)).sum()) for label in (0, 1)]
                for i, group in enumerate(groups.names)
            }
    rejected = {(item.path, item.reason) for table in tables for item in table.rejected}
    fingerprint = {part: table.fingerprint for part, table in tables._asdict().items()}
    return AugmentedData(fingerprint, given, cells, len(rejected))


def write_augment_pictures(
    folder: Path, generator: Generator, made: Made, seed: int, *, edits: bool
) -> dict[str, str]:
    """Write samples into folder/pictures, as PNG where that is small enough; edited images only if asked for."""
    latents = sampled(generator, SHOWN, seed=child_seed(seed, "samples"))
    drawn, columns = {"samples": as_stored(decoded(generator, latents))}, {"samples": 8}
    if edits:
        pair = np.asarray(made.table.column("pair"))
        rows = np.flatnonzero(np.isin(pair, np.unique(pair)[:SHOWN]))
        drawn["edits"] = made.table.batch(rows)
        columns["edits"] = 4 * len(rows) // len(np.unique(pair[rows]))
    return write_sheets(folder, *sheets_within(ROOM, drawn, columns))


def protected_record(
    one: Protected, train: ImageTable, groups: Sequence[str], eyes: AttributeClassifiers
) -> ProtectedRecord:
    """What is said of a protected attribute."""
    return ProtectedRecord(
        list(one.sides), one.found, _agreement(one, train, groups), eyes.accuracy[one.name]
    )


def generator_record(maker: GeneratorSource, image_size: int, *, trained: bool) -> GeneratorRecord:
    """What is said of the generator."""
    return GeneratorRecord(
        maker.source, maker.generator.latent, image_size, trained, maker.steps, maker.seconds
    )


def pairs_record(made: Made, how: Augmentation, real: int) -> PairsRecord:
    """What is said of the pairs beside so many real images."""
    return PairsRecord(
        count=len(np.unique(np.asarray(made.table.column("pair")))),
        keep=how.keep,
        variant=how.variant,
        as_meant=made.as_meant,
        target_kept=made.target_kept,
        changed=made.changed,
        share=len(made.table) / (len(made.table) + real),
        cosines=made.cosines,
        table="pairs",
    )


def model_record(
    one: TargetModel, numbers: dict[str, AttributeNumbers], changes: dict[str, AttributeDifference]
) -> AugmentedModel:
    """What is said of a model."""
    return AugmentedModel(
        title=one.title,
        role=one.role,
        sees=one.sees,
        threshold=one.judged.threshold_probability,
        steps=one.fit.steps,
        seconds=one.fit.seconds,
        numbers=numbers,
        changes=changes,
    )
