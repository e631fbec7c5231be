"""How good a last layer is for those who fail, without knowing who they are.

Some class-balanced classifiers of different strengths are fitted beside the candidates; none has seen the rows that it
is asked about. What one of them gets wrong is where a shortcut does not hold, or what is hard. A candidate's merit is
the mean of its accuracy on the worst cell of class × "the reference gets this wrong", averaged over references, and,
counted two and a half times, of the mean recall of classes. By the first alone what turns everything round would win,
by the second what mends nothing. Measured against real groups, this ranks candidates where the worst class, balanced
accuracy or clusters do not (docs/fix.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equipoise.fix.rows import Rows, equal_weights

__all__ = [
    "REFERENCES",
    "cell_accuracies",
    "doubt_of_difference",
    "merged",
    "merit",
    "reference_layers",
    "worst_cell",
]

REFERENCES = (1e-4, 1e-3, 1e-2)
SMALLEST = 10
RECALL = 2.5  # how much the mean recall counts beside the worst found cell
REPLICATES = 200
Bools = NDArray[np.bool_]
Ids = NDArray[np.int64]
Floats = NDArray[np.float64]


def reference_layers(rows: Rows) -> list[NDArray[np.float64]]:
    """Coefficients of the references."""
    balance = equal_weights(rows.labels)
    found = [rows.fitted(REFERENCES[0], balance)]
    for C in REFERENCES[1:]:
        found.append(rows.fitted(C, balance, start=found[-1]))
    return found


def merged(cells: Ids, smallest: int = SMALLEST) -> Ids:
    """Cells with fewer rows than `smallest` as one; −1 for its rows if it is too small still.

    Args:
        cells: Ids ≥ 0, shape (n,); −1 is no cell.
        smallest: Rows.
    """
    known = cells >= 0
    counts = np.bincount(cells[known], minlength=1)
    small = known & (counts[np.maximum(cells, 0)] < smallest)
    found = cells.copy()
    found[small] = len(counts) if small.sum() >= smallest else -1
    return found


def worst_cell(right: Bools, cells: Ids, counts: NDArray[np.int64] | None = None) -> float:
    """Lowest accuracy of the cells; NaN if there are none.

    Args:
        right: Shape (n,).
        cells: Ids, shape (n,); −1 is none.
        counts: How often each row counts; None is once.
    """
    found = cell_accuracies(right, cells, counts)
    return float(found.min()) if len(found) else float("nan")


def cell_accuracies(right: Bools, cells: Ids, counts: NDArray[np.int64] | None = None) -> Floats:
    """Accuracy of each cell that has rows."""
    known = cells >= 0
    weights = np.ones(int(known.sum())) if counts is None else counts[known].astype(np.float64)
    sizes = np.bincount(cells[known], weights)
    hits = np.bincount(cells[known], weights * right[known])
    return np.asarray(hits[sizes > 0] / sizes[sizes > 0])


def merit(
    right: Bools, cells: list[Ids], labels: Ids | None = None, counts: NDArray[np.int64] | None = None
) -> float:
    """Mean over references of the worst cell; with labels, of that and, 2.5 times, of the mean recall of classes."""
    found = float(np.mean([worst_cell(right, some, counts) for some in cells]))
    if labels is None:
        return found
    return (found + RECALL * float(cell_accuracies(right, labels, counts).mean())) / (1 + RECALL)


def doubt_of_difference(
    first: list[Bools], second: list[Bools], cells: list[list[Ids]], labels: Ids | None, seed: int
) -> float:
    """Standard error of the difference of two candidates' merits, over images: a bootstrap.

    Args:
        first: Which rows it gets right, one a seed.
        second: Likewise.
        cells: Of each seed, those of the references.
        labels: As `merit` takes them.
        seed: Of the bootstrap.
    """
    chance, rows = np.random.default_rng(seed), len(first[0])
    found = np.empty(REPLICATES)
    for number in range(REPLICATES):
        counts = np.bincount(chance.integers(0, rows, rows), minlength=rows)
        found[number] = np.mean(
            [
                merit(a, some, labels, counts) - merit(b, some, labels, counts)
                for a, b, some in zip(first, second, cells, strict=True)
            ]
        )
    return float(found.std(ddof=1))
