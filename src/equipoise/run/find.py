"""`find`: hidden groups by a table of predictions and vectors of its images, without the network.

It reads from top to bottom: table and vectors → words → slices → words of slices → pictures → record.
"""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equipoise.data.columns import as_text
from equipoise.data.vector_file import Vectors, list_vectors, only_vectors, vector_columns, vectors_in
from equipoise.errors import InputError
from equipoise.fairness.predictions import Predictions
from equipoise.intervals import proportion
from equipoise.report.find.page import write_find_report
from equipoise.report.find.record import FindData, FindRecord, write_find
from equipoise.run.account import peak_rss_bytes, versions
from equipoise.run.found_slices import known_columns, slices_record
from equipoise.run.identity import Identity, Setting
from equipoise.run.listed_pictures import ListedPictures
from equipoise.run.naming import Named, Naming
from equipoise.run.output import Output
from equipoise.run.predictions import PredictionTables, columns_of, content_digest
from equipoise.run.reading import Reading
from equipoise.run.slice_column import place_of
from equipoise.seeds import checked_seed, child_seed
from equipoise.slices import Found, Options
from equipoise.slices import find as slices_in
from equipoise.train import Engine

__all__ = ["Finding", "find"]

FILE = "slices.parquet"
SAID = (
    *("score", "scores", "probability", "prob", "logit", "y_score", "y_prob"),
    *("prediction", "predicted", "predicted_class", "predicted_label", "y_pred", "pred", "half"),
)
"""Columns that are called so say what a model said, or what a search did."""


@dataclass(frozen=True)
class Finding:
    """What slices are sought in, and how.

    Args:
        vectors: A file of vectors of the images, .npy or .parquet (`data.vector_file`); None takes a column of the
            table of predictions.
        embedding_column: The column of vectors, of the Parquet file or the table; None takes the only one.
        columns: Columns that slices are sought in and explained by; None takes those of 2 to 20 values that do not
            follow from the class and what the model said.
        together: Columns whose equal values belong together, such as a subject: they are on one side, and one image a
            class of them is counted.
        fdr: Share of false ones among slices, at most, on the mean.
        naming: Words that slices are compared with.
    """

    vectors: str | os.PathLike[str] | None = None
    embedding_column: str | None = None
    columns: Sequence[str] | None = None
    together: Sequence[str] = ()
    fdr: float = 0.1
    naming: Naming = field(default_factory=Naming)

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        return {
            "vectors": None if self.vectors is None else os.fspath(self.vectors),
            "embedding_column": self.embedding_column,
            "columns": None if self.columns is None else tuple(self.columns),
            "together": tuple(self.together) or None,
            "fdr": self.fdr,
            **self.naming.settings(),
        }


@dataclass(frozen=True, eq=False)
class _Given:
    """What was read, once it is known to fit."""

    table: pa.Table
    said: Predictions
    vectors: NDArray[Any]
    columns: list[str]
    notes: list[str]
    digests: dict[str, str]


def find(
    tables: PredictionTables,
    finding: Finding,
    *,
    reading: Reading = Reading(),
    seed: int = 0,
    engine: Engine = Engine(),
    output: Output = Output("runs/find"),
) -> FindRecord:
    """Seek hidden groups that a model fails on by a table of what it predicted and vectors of the images; write
    find.json, slices.parquet and report.html.

    Args:
        tables: One table of predictions, a row an image.
        finding: Vectors, columns, words.
        reading: How pictures that the table names are found and kept; they are looked at for the page, and by a text
            encoder.
        seed: Of the halves.
        engine: The device of a text encoder.
        output: The folder, and who is told.

    Raises:
        InputError: if the table does not say what it must, or table, vectors and words do not fit together.
        DataError: if a file cannot be read, or the folder cannot be used.
    """
    began, say = time.perf_counter(), output.say
    options = Options(finding.fdr, seed=child_seed(checked_seed(seed), "slices"))
    if len(tables.paths) != 1:
        raise InputError(
            f"Expected one table of predictions to find slices in; got {len(tables.paths)}. Name one."
        )
    settings = _settings(tables, finding, reading) | {"seed": seed, "device": engine.device}
    words = finding.naming.loaded()
    brought = {} if words is None else words.brought
    with output.open(Identity(settings, brought), last="find.json", resume=True) as folder:
        say("Reading the predictions.")
        known = _read(tables, finding)
        pictures = _pictures(Path(tables.paths[0]), known, words, reading)
        folder = folder.settled(known.digests)
        for note in known.notes:
            say(note)
        found, seconds = _searched(known, finding, options, say)
        folder.begin()  # all that can be known to be wrong is known
        model = None if words is None else words.model
        seen = partial(pictures.vectors, model, engine, say) if model is not None else lambda: known.vectors
        near = None if words is None else words.of(found, known.said.labels, seen)
        sought = slices_record(found, known.columns, seconds, near)
        found.write(folder.path / FILE, pictures.paths)
        record = FindRecord(
            command=output.command or "equipoise.run.find(...)",
            settings=dict(settings),
            seed=seed,
            versions=versions(),
            data=_account(known, finding, tables),
            accuracy=proportion(int((known.said.predicted == known.said.labels).sum()), known.said.n),
            slices=sought,
            pictures=pictures.write(folder.path, sought.found, say),
            wall_s=time.perf_counter() - began,
            peak_rss_bytes=peak_rss_bytes(),
        )
        write_find(record, folder.path)
        write_find_report(folder.path)
    return record


def _settings(tables: PredictionTables, finding: Finding, reading: Reading) -> dict[str, Setting]:
    """What the run's settings say."""
    return {
        "command": "find",
        **tables.settings() | {"predictions": os.fspath(tables.paths[0])},
        **finding.settings(),
        "path_column": reading.path_column,
        "allow_outside": reading.allow_outside or None,
        "cache": None if reading.cache is None else os.fspath(reading.cache),
    }


def _read(tables: PredictionTables, finding: Finding) -> _Given:
    """Table and vectors, row by row of the same images.

    Raises:
        InputError: if they do not fit together.
    """
    path = Path(tables.paths[0])
    table = columns_of(path)
    said = tables.said(path, table, (), 0.5)
    for name in (*(finding.columns or ()), *finding.together):
        if name not in table.column_names:
            raise InputError(
                f"Expected a column {name!r} in {path.name}; it has {', '.join(table.column_names)}. Name one of these."
            )
    vectors, notes = _vectors(table, path, finding)
    if finding.columns is not None:
        columns = list(finding.columns)
    else:
        asked = [tables.label_column, tables.score_column, tables.predicted_column, *finding.together]
        usual = known_columns(table, (), [*filter(None, asked), *SAID])
        columns = [name for name in usual if not _follows(_texts(table, name), said)]
        left = [name for name in usual if name not in columns]
        if left:
            notes.append(
                f"Not sought in {', '.join(left)}: that follows from the class and what the model said. `columns` "
                "names what slices are sought in."
            )
    digests = {"predictions": content_digest(path)}
    if finding.vectors is not None:
        digests["vectors"] = content_digest(finding.vectors)
    return _Given(table, said, vectors, columns, [*said.notes, *notes], digests)


def _searched(
    known: _Given, finding: Finding, options: Options, say: Callable[[str], None]
) -> tuple[Found, float]:
    """The slices, and the seconds of the processor that it took."""
    many, width = known.vectors.shape
    say(f"Looking for hidden groups in {many:,} images, {width:,} numbers each.")
    began = time.process_time()
    found = slices_in(
        known.vectors,
        known.said.labels,
        known.said.predicted if known.said.scores is None else known.said.scores,
        columns={name: _texts(known.table, name) for name in known.columns},
        together=[_texts(known.table, name) for name in finding.together],
        class_names=known.said.classes,
        options=options,
    )
    return found, time.process_time() - began


def _vectors(table: pa.Table, path: Path, finding: Finding) -> tuple[NDArray[Any], list[str]]:
    """The vector of each row, and in words how they were told apart."""
    if finding.vectors is None:
        if finding.embedding_column is None and not vector_columns(table):
            raise InputError(
                f"Expected `vectors` of the images of {path.name}, or a column of them in it; got neither. Give the "
                "file, or name the column, `embedding_column`."
            )
        name = finding.embedding_column or only_vectors(table, path)
        return list_vectors(table, name), [f"Vectors from column {name!r}"]
    file = Path(os.fspath(finding.vectors))
    found = vectors_in(file, finding.embedding_column)
    names = as_text(table.column("path")).to_pylist() if "path" in table.column_names else None
    if found.paths is not None and names is not None:
        return _joined(found, names, path, file)
    if len(found.values) != table.num_rows:
        raise InputError(
            f"Expected a vector for each of {table.num_rows:,} rows of {path.name}; {file.name} has "
            f"{len(found.values):,}. Give vectors of the same images in the same order, or in Parquet with a column "
            "`path` in both."
        )
    return found.values, [f"Vectors of {file.name} are taken to be in the order of the rows of {path.name}"]


def _joined(
    found: Vectors, names: Sequence[str | None], path: Path, file: Path
) -> tuple[NDArray[Any], list[str]]:
    """Vectors by the paths of their pictures."""
    places: dict[str, int] = {}
    for row, name in enumerate(found.paths or ()):
        if name is not None and places.setdefault(place_of(name), row) != row:
            raise InputError(
                f"Expected one vector a picture in {file.name}; got two of {name!r}. Paths must tell pictures apart."
            )
    rows = [-1 if name is None else places.get(place_of(name), -1) for name in names]
    lacking = [row for row, place in enumerate(rows) if place < 0]
    if lacking:
        raise InputError(
            f"Expected a vector of every picture of {path.name} in {file.name}, by `path`; got none of "
            f"{names[lacking[0]]!r} in row {lacking[0]} ({len(lacking):,} of {len(rows):,} rows have none). Embed the "
            "same pictures, named alike."
        )
    spare = len(places) - len(set(rows))
    return found.values[rows], [
        f"Vectors of {file.name} are told by `path`"
        + (f"; {spare:,} others in it play no part" if spare else "")
    ]


def _texts(table: pa.Table, name: str) -> list[str | None]:
    found: list[str | None] = as_text(table.column(name)).to_pylist()
    return found


def _follows(values: Sequence[str | None], said: Predictions) -> bool:
    """Whether a value follows from the class and what the model said, as that does itself, or whether it was right."""
    cells = said.labels * len(said.classes) + said.predicted
    known = dict(zip(cells.tolist(), values, strict=True))
    return all(known[cell] == value for cell, value in zip(cells.tolist(), values, strict=True))


def _pictures(path: Path, known: _Given, words: Named | None, reading: Reading) -> ListedPictures:
    """The pictures that the table names, where it does.

    Raises:
        InputError: if words are to be compared with pictures that are not there, or by vectors of another space.
    """
    found = ListedPictures(path, known.table, reading)
    if words is not None and words.model is not None:
        found.check()
    elif words is not None and words.vectors.shape[1] != known.vectors.shape[1]:
        raise InputError(
            f"Expected vectors of words of {known.vectors.shape[1]} numbers, as those of the images; got "
            f"{words.vectors.shape[1]}. Take both of one model that knows pictures and texts, or name it, "
            "`text_encoder`."
        )
    return found


def _account(known: _Given, finding: Finding, tables: PredictionTables) -> FindData:
    counts = np.bincount(known.said.labels, minlength=len(known.said.classes)).tolist()
    sources = {"predictions": os.fspath(tables.paths[0])}
    if finding.vectors is not None:
        sources["vectors"] = os.fspath(finding.vectors)
    return FindData(
        fingerprint=dict(known.digests),
        sources=sources,
        labels=dict(zip(known.said.classes, counts, strict=True)),
        dimensions=int(known.vectors.shape[1]),
        notes=list(known.notes),
    )
