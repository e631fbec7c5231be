"""GroupDRO of the last layer, on groups that people gave."""

from __future__ import annotations

import numpy as np

from equipoise.fix.axes import Coefficients
from equipoise.fix.given import labelled
from equipoise.fix.regression import logits_of, probability_of_label
from equipoise.fix.rows import Rows

__all__ = ["group_dro"]


def group_dro(rows: Rows, *, C: float = 3e-4, rate: float = 1.0, rounds: int = 15) -> Coefficients:
    """Logistic regression with weights of the cells of class × group that move to those with the largest loss.

    Source: Sagawa et al., 2020, Distributionally robust neural networks for group shifts, algorithm 1. Differs from it
    in: only the last layer is trained, to its solution each round, and the mean of the last half of rounds is taken.
    """
    rows, groups = labelled(rows)
    cells = np.unique(np.stack([rows.labels, groups], 1), axis=0, return_inverse=True)[1].reshape(-1)
    counts = np.bincount(cells)
    shares = np.full(len(counts), 1 / len(counts))
    layers: list[Coefficients] = []
    for _ in range(rounds):
        layers.append(
            rows.fitted(C, len(rows) * (shares / counts)[cells], start=layers[-1] if layers else None)
        )
        right = probability_of_label(logits_of(rows.coordinates, layers[-1]), rows.labels)
        losses = np.bincount(cells, -np.log(np.maximum(right, 1e-12))) / counts
        shares *= np.exp(rate * (losses - losses.max()))
        shares /= shares.sum()
    return np.asarray(np.mean(layers[rounds // 2 :], axis=0))
