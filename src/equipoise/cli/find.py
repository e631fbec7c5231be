"""`equipoise find`: hidden groups, from predictions and vectors alone."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import (
    ENGINE,
    EVALUATION,
    FOLDER,
    Continuing,
    General,
    Names,
    WordVectors,
)

__all__ = ["find"]

TABLE = Group.create_ordered("Table")
SEARCH = Group.create_ordered("Search")
PICTURES = Group.create_ordered("Pictures")


@Parameter(name="*", group=TABLE)
@dataclass(frozen=True)
class Table:
    """Which column of the table of predictions says what; without, it is looked for."""

    label_column: str | None = None
    """The true class."""
    score_column: str | None = None
    """Probability of --positive-class."""
    predicted_column: str | None = None
    """The predicted class."""
    positive_class: str | None = None
    """The class that a score is about."""
    logits: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Scores are logits, not probabilities."""


@Parameter(name="*", group=SEARCH)
@dataclass(frozen=True)
class Search:
    """What hidden groups are sought in."""

    vectors: Path | None = None
    """Vectors of the images: .npy of shape (images, dimensions) in the order of the table, or Parquet with a column of
    lists, told by `path` where both have it. If not given, the table has a column of them."""
    embedding_column: str | None = None
    """The column of vectors, of --vectors or the table, where there are several."""
    columns: Names | None = None
    """Columns that groups are sought in and explained by; leave out what tells the answer. If not given, those of 2 to
    20 values that do not follow from the class and what the model said."""
    together: Names = ()
    """Columns, such as a subject, whose equal values belong together: one image a class of them is counted."""
    fdr: float = 0.1
    """Share of false ones among the groups that are found, at most, on the mean."""


@Parameter(name="*", group=PICTURES)
@dataclass(frozen=True)
class Listed:
    """Pictures that the table names: for the page, and for --text-encoder."""

    path_column: str | None = None
    """Column of their paths, which count from the table's folder; one called path, file, … is found."""
    allow_outside: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Let paths lead out of the table's folder."""
    cache: str | None = None
    """Folder for decoded images and features; if not given $EQUIPOISE_CACHE, else the user's cache folder."""


def find(
    predictions: Path,
    *,
    table: Table = Table(),
    search: Search = Search(),
    words: WordVectors = WordVectors(),
    pictures: Listed = Listed(),
    seed: Annotated[int, Parameter(group=EVALUATION)] = 0,
    device: Annotated[str, Parameter(group=ENGINE)] = "auto",
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/find"),
    overwrite: Annotated[bool, Parameter(group=FOLDER, negative=(), show_default=False)] = False,
    general: General = General(),
) -> int:
    """Find hidden groups that a model fails on, by a table of what it predicted and vectors of the images: no network
    is needed, and no group labels. `equipoise audit` does the same with the network.

    Args:
        predictions: CSV, TSV, JSON lines or Parquet, a row an image that the model was not trained on, with a label and
            a score, a predicted class, or a column of probabilities a class.
        seed: Of the halves: one finds, the other tests.
        device: Of --text-encoder: auto, cpu, cuda or mps.
        out: Folder for find.json, report.html and slices.parquet, which other commands take as --groups.
        overwrite: Replace the search that lies in the folder.
    """
    from equipoise import report, run
    from equipoise.cli.conversion import engine_of, output_of

    record = run.find(
        run.PredictionTables((predictions,), **asdict(table)),
        run.Finding(**asdict(search), naming=run.Naming(**asdict(words))),
        reading=run.Reading(**asdict(pictures)),
        seed=seed,
        engine=engine_of(device, general),
        output=output_of(out, general, Continuing(overwrite=overwrite)),
    )
    say(*report.find_text(record).split("\n"))
    say("", f"Report: {out / 'report.html'}")
    return 0
