"""What is explored: the folder of a run, or a table of predictions; its rows, models, risks, and where pictures lie."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from equipoise.data.listing import ENDINGS, read_listing
from equipoise.data.manifest import PATH_NAMES
from equipoise.errors import DataError, InputError
from equipoise.explore.calls import Calls, PredictedColumns, calls_of
from equipoise.files import read_toml, regular
from equipoise.report import read, read_audit, read_augment, read_fix
from equipoise.sharing import shared_path

__all__ = ["Opened", "PredictedColumns", "opened"]

SCORES, SETTINGS, METADATA = "scores.parquet", "settings.toml", "equipoise"
SLICES, SLICE = "slices.parquet", "slice"
RECORDS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "audit.json": ("audit", read_audit),
    "fix.json": ("fix", read_fix),
    "augment.json": ("augment", read_augment),
    "record.json": ("run", read),
}
MOST_ROWS = 5_000_000


@dataclass(frozen=True, eq=False)
class Opened:
    """What a run says of its pictures.

    Args:
        title: What people read.
        kind: "audit", "run", "fix", "augment" or "table".
        columns: A row a picture.
        calls: What each model says of each row, and the true classes.
        risks: Column of risk → what it is called; higher means less to be trusted.
        groups: Columns that the run compared.
        settings: Of the run, as in settings.toml; empty of a table.
        home: The folder beside which selections are kept.
        features: Name of the kept features, below `features/` in the cache; None where none are known.
        notes: What was taken for what, in words.
    """

    title: str
    kind: str
    columns: pa.Table
    calls: Calls
    risks: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    home: Path = Path(".")
    features: str | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @property
    def path_column(self) -> str | None:
        """The column that names pictures; None without."""
        return next((name for name in PATH_NAMES if name in self.columns.column_names), None)

    @property
    def paths(self) -> list[str | None]:
        """What each row calls its picture."""
        if self.path_column is None:
            return [None] * len(self)
        found = self.columns.column(self.path_column).to_pylist()
        return [None if path is None else str(path) for path in found]


def opened(place: str | os.PathLike[str], which: PredictedColumns | None = None) -> Opened:
    """Read the folder of a run or a table of predictions.

    Args:
        place: A folder that `debias`, `evaluate`, `audit`, `fix` or `augment` wrote, or a CSV, TSV, JSON lines or
            Parquet file with a row a picture.
        which: Of a table: which column says what.

    Raises:
        InputError: if the columns asked for are not there.
        DataError: if nothing of this lies there, it is of another version, or it is damaged.
    """
    path = Path(place)
    if path.is_dir():
        if which is not None and any(vars(which).values()):
            raise InputError(
                f"The columns of a run's folder are known; got `label_column` or the like for {path}. Leave them "
                f"out, or give the table itself, {path / SCORES}."
            )
        return _of_folder(path)
    if not path.exists():
        raise DataError(
            f"Expected a run's folder or a table of predictions at {path}; got nothing. Check the path."
        )
    if regular(path).suffix.lower() not in ENDINGS:
        raise DataError(
            f"Expected a run's folder, or a table ending in {', '.join(ENDINGS)}; got {path}. Give one of these."
        )
    table = _rows(path)
    calls = calls_of(table, which or PredictedColumns())
    title = shared_path(os.fspath(path))
    return Opened(
        title, "table", table, calls, home=path.with_name(f"{path.stem}-explored"), notes=calls.notes
    )


def _of_folder(folder: Path) -> Opened:
    file = next((name for name in RECORDS if (folder / name).exists()), None)
    if file is None:
        raise DataError(
            f"Expected the folder of a finished run at {folder}, with {', '.join(RECORDS)}; got none of these. Give "
            "the folder that a command wrote (`out`), or wait until it has finished."
        )
    kind, reader = RECORDS[file]
    record = reader(folder)  # another version is refused by its name
    if not (folder / SCORES).exists():
        raise DataError(
            f"Expected {SCORES}, a row a picture, in {folder}; got none beside {file}. `equipoise audit {folder}` or "
            f"`equipoise evaluate {folder}` with your pictures writes one; a table of predictions is explored by its "
            "own path."
        )
    table, notes = _with_slices(_rows(folder / SCORES), folder / SLICES)
    settings = {}
    if (folder / SETTINGS).exists():
        settings = read_toml(
            folder / SETTINGS, "a run's settings", "Without the file, pictures are not found."
        )
    name = record.model.title if kind == "audit" else None
    risks = {column: one.title for column, one in record.risks.items()} if kind == "audit" else {}
    groups = settings.get("groups", ())
    calls = calls_of(table, PredictedColumns(), model=name, written=True)
    return Opened(
        title=shared_path(os.fspath(folder)),
        kind=kind,
        columns=table,
        calls=calls,
        risks={column: title for column, title in risks.items() if column in table.column_names},
        groups=(SLICE, *(one for one in groups if isinstance(one, str)))
        if isinstance(groups, list)
        else (SLICE,),
        settings=settings,
        home=folder / "explored",
        features=_kept(folder / SCORES),
        notes=(*calls.notes, *notes),
    )


def _rows(path: Path) -> pa.Table:
    table, _ = read_listing(path)
    if not 0 < table.num_rows <= MOST_ROWS:
        raise DataError(
            f"Expected 1…{MOST_ROWS:,} rows in {path}; got {table.num_rows:,}. Check the file, or explore a part of it."
        )
    return table.combine_chunks()


def _with_slices(table: pa.Table, file: Path) -> tuple[pa.Table, tuple[str, ...]]:
    """With the column `slice` of the hidden groups that an audit found, where it found some."""
    if not file.exists() or SLICE in table.column_names:
        return table, ()
    found, _ = read_listing(file)
    same = found.num_rows == table.num_rows and {"path", SLICE} <= set(found.column_names)
    if same and "path" in table.column_names:
        same = found.column("path").to_pylist() == table.column("path").to_pylist()
    if not same:
        return table, (f"{file.name} is of other pictures than {SCORES}; its slices are not shown.",)
    return table.append_column(SLICE, found.column(SLICE)), ()


def _kept(path: Path) -> str | None:
    """The name under which a run kept the features of these rows; its table says it."""
    try:
        said = json.loads((pq.read_schema(path).metadata or {}).get(METADATA.encode(), b"{}"))
        name = said["features"]
    except (pa.ArrowException, ValueError, KeyError, TypeError, RecursionError):
        return None
    return name if isinstance(name, str) and name.isalnum() else None
