"""What images of each class are called, as a matrix: a row a class, a column a prediction, darker where more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from equipoise.fairness import ClassEvaluation
from equipoise.fairness.class_counts import Mistakes
from equipoise.report.parts import words

__all__ = [
    "MATRIX_CLASSES",
    "Matrix",
    "MatrixCell",
    "MatrixRow",
    "called_matrix",
    "evaluated_matrix",
    "matrix",
]

MATRIX_CLASSES = 12
"""Classes that a page has room for; of more, a list says what is taken for what."""


@dataclass(frozen=True)
class MatrixCell:
    """How many images, and which share of their class; `shade` in [0, 1] darkens the cell by that share."""

    count: str
    share: str
    shade: float
    right: bool


@dataclass(frozen=True)
class MatrixRow:
    """The images of a class, by what they are called."""

    label: str
    images: str
    cells: Sequence[MatrixCell]


@dataclass(frozen=True)
class Matrix:
    """Label × prediction by one model; `untold` is set where a record of old tells only a part of its mistakes."""

    title: str
    classes: Sequence[str]
    rows: Sequence[MatrixRow]
    untold: bool


def matrix(title: str, images: Mapping[str, int], confusion: Mapping[str, Mistakes]) -> Matrix | None:
    """The matrix of a model; None of more classes than a page has room for, or of fewer than two.

    Args:
        title: What people read for the model.
        images: Class → how many images are of it.
        confusion: Class → what its wrong images are taken for; classes with wrong images only.
    """
    if not 2 <= len(images) <= MATRIX_CLASSES:
        return None
    rows = []
    for label, n in images.items():
        wrong = confusion.get(label, {"taken_for": {}, "other": 0})
        taken = wrong["taken_for"]
        counts = {**taken, label: n - sum(taken.values()) - wrong["other"]}
        cells = [_cell(counts.get(name, 0), n, name == label) for name in images]
        rows.append(MatrixRow(label, f"{n:,}", cells))
    return Matrix(title, list(images), rows, any(one["other"] for one in confusion.values()))


def evaluated_matrix(title: str, numbers: ClassEvaluation | None) -> Matrix | None:
    """The same of numbers by class; None where there are none."""
    if numbers is None:
        return None
    images = {name: numbers.recall[name].n for name in numbers.classes}
    return matrix(title, images, numbers.confusion)


def called_matrix(title: str, called: Mapping[str, Mapping[str, int]] | None) -> list[Matrix]:
    """The same of counts, label → prediction → images; empty where there are none."""
    if called is None:
        return []
    images = {label: sum(of.values()) for label, of in called.items()}
    wrong: dict[str, Mistakes] = {
        label: {"taken_for": {name: n for name, n in of.items() if name != label}, "other": 0}
        for label, of in called.items()
    }
    found = matrix(title, images, wrong)
    return [] if found is None else [found]


def _cell(count: int, images: int, right: bool) -> MatrixCell:
    share = count / images if images else 0.0
    said = words.percent(share, 0 if images < 1000 else 1) if images else "–"
    return MatrixCell(f"{count:,}", said, round(share, 3), right)
