"""The wrong pictures of a run's worst cells: chosen by seed, written as thumbnails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import NDArray

from equipoise.data import ImageTable, thumbnails
from equipoise.groups import CROSS, Groups
from equipoise.intervals import proportion
from equipoise.intervals.proportions import Proportions
from equipoise.report.debias.models import main_models
from equipoise.report.debias.record import RunRecord
from equipoise.report.parts.wrong import WrongCell, WrongPicture, WrongPictures
from equipoise.run.measuring import Measuring
from equipoise.run.sheets import SIDE, sheets_within, write_sheets
from equipoise.seeds import child_seed
from equipoise.sharing import shared_path

__all__ = ["Cells", "Said", "by_class", "by_group", "with_wrong", "worst_cells", "write_wrong"]

CELLS = 4
SHOWN = 12  # of a cell
ROOM = 200_000  # bytes of all thumbnails together; a page holds them in a third more


@dataclass(frozen=True, eq=False)
class Said:
    """What a model says of images.

    Args:
        model: What people read for it.
        called: Class ids, shape (n,).
        probability: That it gives these classes, in [0, 1], shape (n,).
        class_names: Of labels and calls, by id.
    """

    model: str
    called: Int[ndarray, " n"]
    probability: Float[ndarray, " n"]
    class_names: Sequence[str]

    @classmethod
    def of(
        cls, model: str, probabilities: NDArray[Any], class_names: Sequence[str], threshold: float = 0.5
    ) -> Said:
        """From the probability of the positive class, shape (n,), or of each class, (n, K), which decide as in all
        numbers of a record: the highest; of a vector, positive from the threshold on."""
        values = np.asarray(probabilities, np.float64)
        if values.ndim == 2:
            called = np.asarray(probabilities).argmax(axis=1)
            return cls(model, called, values[np.arange(len(values)), called], class_names)
        called = (np.asarray(probabilities) >= threshold).astype(np.int64)
        return cls(model, called, np.where(called, values, 1 - values), class_names)


@dataclass(frozen=True, eq=False)
class Cells:
    """Parts of the images; those of one attribute do not overlap.

    Args:
        by: What a part is, in words.
        parts: (ids, names) an attribute: the part of each image, shape (n,), −1 of one in none, and their names by id.
    """

    by: str
    parts: Sequence[tuple[Int[ndarray, " n"], Callable[[int], str]]]


def by_class(labels: Int[ndarray, " n"], class_names: Sequence[str]) -> Cells:
    """A cell a class."""
    return Cells("class", [(labels, lambda cell: class_names[cell])])


def by_group(labels: Int[ndarray, " n"], class_names: Sequence[str], groups: Sequence[Groups]) -> Cells:
    """Class × group, attribute by attribute; images without a value are in no cell. Without groups, a cell a class."""
    if not groups:
        return by_class(labels, class_names)

    def named(one: Groups) -> Callable[[int], str]:
        which = f"{one.attribute} " if len(groups) > 1 else ""
        return lambda cell: (
            f"{class_names[cell // len(one.names)]}{CROSS}{which}{one.names[cell % len(one.names)]}"
        )

    parts = [(np.where(one.known, labels * len(one.names) + one.ids, -1), named(one)) for one in groups]
    return Cells(f"class × {' or '.join(one.attribute for one in groups)}", parts)


def worst_cells(cells: Cells, wrong: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Name and images of the cells whose share of wrong images has the highest lower limit; at most four, each with a
    wrong image."""
    found: list[tuple[float, str, NDArray[np.bool_]]] = []
    for ids, name in cells.parts:
        inside = ids >= 0
        n = np.bincount(ids[inside])
        hits = np.bincount(ids[inside & wrong], minlength=len(n))
        lows = Proportions(hits, n).low()
        ranked = sorted(np.flatnonzero(hits).tolist(), key=lambda cell: -lows[cell])[:CELLS]
        found += [(float(lows[cell]), name(cell), ids == cell) for cell in ranked]
    found.sort(key=lambda cell: -cell[0])
    return [(name, inside) for _, name, inside in found[:CELLS]]


def write_wrong(folder: Path, table: ImageTable, said: Said, cells: Cells, *, seed: int) -> WrongPictures:
    """Draw up to twelve wrong pictures of each of the worst cells by seed, and write thumbnails into folder/pictures.

    Args:
        folder: Of the run.
        table: The images, in the order of scores.parquet.
        said: What the model says of them.
        cells: What to tell apart.
        seed: Of the run. A picture's chance to be shown does not depend on how sure the model is.
    """
    wrong = said.called != table.labels
    order = np.random.default_rng(child_seed(seed, "wrong pictures")).permutation(len(table))
    chosen = []
    for name, inside in worst_cells(cells, wrong):
        rows = order[(inside & wrong)[order]][:SHOWN]
        rows = rows[np.argsort(-said.probability[rows], kind="stable")]
        chosen.append((name, proportion(int((inside & wrong).sum()), int(inside.sum())), rows.tolist()))
    files = _write_thumbnails(folder, table, sorted({row for _, _, rows in chosen for row in rows}))
    paths = table.column("path") if "path" in table.attributes.column_names else [None] * len(table)
    names = said.class_names

    def shown(row: int) -> WrongPicture:
        path = None if paths[row] is None else shared_path(str(paths[row]))
        label, prediction = names[table.labels[row]], names[said.called[row]]
        return WrongPicture(row, path, label, prediction, float(said.probability[row]), files[row])

    return WrongPictures(
        said.model,
        cells.by,
        [WrongCell(name, rate, [shown(row) for row in rows]) for name, rate, rows in chosen],
    )


def with_wrong(
    record: RunRecord,
    folder: Path,
    table: ImageTable,
    probabilities: Mapping[str, NDArray[Any]],
    measuring: Measuring,
) -> RunRecord:
    """The record of a run with the wrong pictures of the model that its page is about.

    Args:
        record: Of it.
        folder: Where thumbnails go.
        table: The test images.
        probabilities: Model → what it says of them, as `Said.of` takes it.
        measuring: What columns are groups, and from which probability on images are positives.
    """
    shown = (*reversed(main_models(record)), *probabilities)
    name = next(name for name in shown if name is not None and name in probabilities)
    said = Said.of(record.models[name].title, probabilities[name], table.class_names, measuring.threshold)
    groups = [table.groups(attribute) for attribute in measuring.groups]
    cells = by_group(table.labels, table.class_names, groups)
    return replace(record, wrong=write_wrong(folder, table, said, cells, seed=record.seed))


def _write_thumbnails(folder: Path, table: ImageTable, rows: Sequence[int]) -> dict[int, str]:
    """Row → file of its thumbnail; those of an earlier run are gone."""
    for old in (folder / "pictures").glob("wrong_*"):
        old.unlink()
    if not rows:
        return {}
    drawn = {f"wrong_{row}": thumbnails(table.batch([row]), SIDE) for row in rows}
    files = write_sheets(folder, *sheets_within(ROOM, drawn, dict.fromkeys(drawn, 1)))
    return {row: files[f"wrong_{row}"] for row in rows}
