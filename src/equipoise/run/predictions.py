"""Tables of predictions: the numbers of a record, without pictures, networks or torch."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.data.columns import as_text
from equipoise.data.listing import ENDINGS, read_listing
from equipoise.data.table import PATH
from equipoise.data.text_file import regular
from equipoise.errors import DataError, InputError
from equipoise.fairness.one_vs_rest import scores_of_class
from equipoise.fairness.predictions import PredictionColumns, Predictions
from equipoise.files import open_regular
from equipoise.report.debias.page import write_report
from equipoise.report.debias.record import DataRecord, RunRecord, write
from equipoise.run.account import timing_record, versions
from equipoise.run.debias.numbers import Truth, measure
from equipoise.run.identity import Identity, Setting
from equipoise.run.measuring import Measuring
from equipoise.run.output import Output
from equipoise.run.slice_column import SLICE, check_slices, slice_column
from equipoise.seeds import checked_seed

__all__ = ["PredictionTables", "evaluate_predictions"]

Paths = Sequence[str | os.PathLike[str]]
BLOCK = 1 << 20  # bytes
SETTINGS = {
    "`probabilities`, ": "",  # found by the names of the classes
    "`label`": "`label_column`",
    "`score`": "`score_column`",
    "`prediction`": "`predicted_column`",
}
"""What `fairness` calls a setting → what it is called here."""


@dataclass(frozen=True)
class PredictionTables:
    """Tables of predictions, one a model, all of the same images in the same order.

    Args:
        paths: CSV, TSV, JSON lines or Parquet, with a column of labels and a score, a predicted class or a column of
            probabilities a class. The first is the baseline of the others.
        label_column: The true class; None looks for a column called so (label, target, class, …).
        score_column: Probability of the positive class; None looks for it, as for the next.
        predicted_column: The predicted class.
        positive_class: The class that a score is about, and whose detection is measured.
        logits: Scores are logits.
        slices: Table of slices that were found, joined by the column `path` as the column `slice`.
    """

    paths: Paths
    label_column: str | None = None
    score_column: str | None = None
    predicted_column: str | None = None
    positive_class: str | None = None
    logits: bool = False
    slices: str | os.PathLike[str] | None = None

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        return {
            "predictions": [os.fspath(path) for path in self.paths],
            "label_column": self.label_column,
            "score_column": self.score_column,
            "predicted_column": self.predicted_column,
            "positive_class": self.positive_class,
            "logits": self.logits or None,
            "slices": None if self.slices is None else os.fspath(self.slices),
        }

    def read(self, groups: Sequence[str], threshold: float) -> dict[str, Predictions]:
        """Model, named by its file, → what its table says.

        Raises:
            InputError: if there is none, a column is missing or says what it cannot, or tables are of different images.
            DataError: if a file cannot be read.
        """
        if not self.paths:
            raise InputError(
                "Expected at least one table of predictions; got none. Name a CSV or Parquet file."
            )
        names = names_of(self.paths)
        tables = [self._joined(columns_of(Path(path))) for path in self.paths]
        found = [self.said(*of, groups, threshold) for of in zip(self.paths, tables, strict=True)]
        classes = tuple(dict.fromkeys(name for one in found for name in one.classes))
        if any(one.classes != classes for one in found):  # one model calls images what the others never do
            found = [
                self.said(*of, groups, threshold, classes) for of in zip(self.paths, tables, strict=True)
            ]
        for path, one in zip(self.paths[1:], found[1:], strict=True):
            check_same_images(one, found[0], path)
        return dict(zip(names, found, strict=True))

    def _joined(self, table: pa.Table) -> pa.Table:
        """With the column of slices, if these were given."""
        if self.slices is None:
            return table
        paths = as_text(table.column(PATH)).to_pylist() if PATH in table.column_names else None
        column, _ = slice_column(paths, table.column_names, self.slices)
        check_slices(column.to_pylist())
        return table.append_column(SLICE, column)

    def said(
        self,
        path: str | os.PathLike[str],
        table: pa.Table,
        groups: Sequence[str],
        threshold: float,
        classes: Sequence[str] | None = None,
    ) -> Predictions:
        """What one table says; `classes` may be more than occur in it.

        Raises:
            InputError: if a column is missing or says what it cannot.
        """
        which = PredictionColumns(
            self.label_column, tuple(groups), score=self.score_column, prediction=self.predicted_column
        )
        try:
            return Predictions.of(
                table,
                which,
                positive=self.positive_class,
                classes=classes,
                threshold=threshold,
                logits=self.logits,
            )
        except InputError as error:
            said = functools.reduce(lambda text, names: text.replace(*names), SETTINGS.items(), str(error))
            raise InputError(f"{os.path.basename(path)}: {said}") from error


def names_of(paths: Paths) -> list[str]:
    """What models are called: their files without the ending, with as much of the folders as tells them apart."""
    places = [Path(path).with_suffix("").parts for path in paths]
    for depth in range(1, 1 + max(map(len, places), default=1)):
        names = ["/".join(place[-depth:]) for place in places]
        if len(set(names)) == len(names):
            return names
    raise InputError(
        f"Expected tables of different models; got {', '.join(map(str, paths))}. Name each file once."
    )


def columns_of(path: Path) -> pa.Table:
    """Columns of a table of predictions.

    Raises:
        DataError: if it cannot be read, or has no row.
    """
    if not path.exists():
        raise DataError(f"Expected a table of predictions at {path}; got nothing. Check the path.")
    if regular(path).suffix.lower() not in ENDINGS:
        raise DataError(
            f"Expected a table of predictions ending in {', '.join(ENDINGS)}; got {path}. Save it as one of these."
        )
    table, _ = read_listing(path)
    if not table.num_rows:
        raise DataError(f"Expected predictions in {path}; got no row. Check the file.")
    return table


def check_same_images(one: Predictions, first: Predictions, path: str | os.PathLike[str]) -> None:
    """Whether two tables are of the same images, as far as labels and groups tell.

    Raises:
        InputError: if they are not.
    """
    if one.n != first.n:
        raise InputError(
            f"Expected {first.n:,} rows in {path}, as in the first table; got {one.n:,}. Give predictions of the same "
            "images, in the same order."
        )
    unequal = np.flatnonzero(one.labels != first.labels)
    if unequal.size:
        row = int(unequal[0])
        raise InputError(
            f"Expected the labels of the first table in {path}; got {one.classes[one.labels[row]]!r} in place of "
            f"{first.classes[first.labels[row]]!r} in row {row} ({unequal.size:,} such rows). Give predictions of the "
            "same images, in the same order."
        )
    for mine, theirs in zip(one.groups, first.groups, strict=True):
        if not np.array_equal(np.array(mine.names)[mine.ids], np.array(theirs.names)[theirs.ids]):
            raise InputError(
                f"Expected the values of {mine.attribute!r} of the first table in {path}; got others. Give predictions "
                "of the same images, in the same order."
            )


def content_digest(path: str | os.PathLike[str]) -> str:
    """Hex digest of a file's bytes."""
    with open_regular(path) as file:
        digest = hashlib.blake2b(digest_size=16)
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def scores_and_truth(found: Mapping[str, Predictions]) -> tuple[dict[str, NDArray[Any]], Truth]:
    """Model → its scores, or the classes that it predicts; and what is known of the images.

    Without scores of all models nothing is known of other thresholds, and no class is detected.
    """
    first = next(iter(found.values()))
    scored = all(one.scores is not None for one in found.values())
    detected = None if first.positive is None or not scored else first.classes.index(first.positive)
    told: dict[str, NDArray[Any]] = {}
    for name, one in found.items():
        told[name] = one.predicted if one.scores is None or not scored else one.scores
        if len(one.classes) == 2 and detected is not None:
            told[name] = scores_of_class(told[name], detected, 2)
    return told, Truth(first.labels, first.classes, first.groups, detected)


def account_of(first: Predictions, digests: Mapping[str, str], tables: PredictionTables) -> DataRecord:
    """What was measured."""
    counts = np.bincount(first.labels, minlength=len(first.classes)).tolist()
    by_group = {
        groups.attribute: dict(zip(groups.names, groups.counts.tolist(), strict=True))
        for groups in first.groups
    }
    sources = {
        f"predictions of {name}": os.fspath(path) for name, path in zip(digests, tables.paths, strict=True)
    }
    return DataRecord(
        fingerprint={"test": next(iter(digests.values()))},
        counts={"test": dict(zip(first.classes, counts, strict=True))},
        sources=sources,
        group_counts={"test": by_group},
        rejected=0,
    )


def evaluate_predictions(
    tables: PredictionTables,
    *,
    measuring: Measuring = Measuring(),
    seed: int = 0,
    output: Output = Output("runs/evaluate"),
) -> RunRecord:
    """Measure models by tables of what they predicted: class by class and by group, as `evaluate` measures networks.

    Args:
        tables: The tables.
        measuring: Columns of groups, false-positive rate, threshold, replicates.
        seed: Of chance in intervals.
        output: The folder, and who is told.

    Raises:
        InputError: if a table does not say what it must, or tables are of different images.
        DataError: if a file cannot be read, or the folder cannot be used.
    """
    began, say = time.perf_counter(), output.say
    measuring, seed = measuring.checked(), checked_seed(seed)
    measuring.check_whole("tables of predictions")
    settings: dict[str, Setting] = {
        "command": "evaluate",
        **tables.settings(),
        **{name: value for name, value in measuring.settings().items() if name != "controls"},
        "seed": seed,
    }
    with output.open(Identity(settings), resume=True) as folder:
        say("Reading the predictions.")
        found = tables.read(measuring.groups, measuring.threshold)
        first = next(iter(found.values()))
        for note in dict.fromkeys(note for one in found.values() for note in one.notes):
            say(note)
        digests = {name: content_digest(path) for name, path in zip(found, tables.paths, strict=True)}
        folder = folder.settled(digests)
        folder.begin()
        measured = measure(*scores_and_truth(found), say=say, seed=seed, **measuring.options())
        record = RunRecord(
            command=output.command or "equipoise.run.evaluate_predictions(...)",
            recipe={"name": "predictions"},
            settings=dict(settings),
            seed=seed,
            versions=versions(),
            data=account_of(first, digests, tables),
            fpr=measuring.fpr,
            **measured.parts(),
            resampling=None,
            timing=timing_record(began, steps=0, seconds=0.0),
        )
        write(record, folder.path)
        write_report(folder.path)
    return record
