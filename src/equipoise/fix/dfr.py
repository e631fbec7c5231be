"""DFR: deep feature reweighting, on groups that people gave."""

from __future__ import annotations

import numpy as np

from equipoise.fix.axes import Coefficients
from equipoise.fix.given import labelled
from equipoise.fix.rows import Rows, equal_weights
from equipoise.seeds import child_seed

__all__ = ["dfr", "groups_equal"]


def groups_equal(rows: Rows, *, C: float = 3e-4) -> Coefficients:
    """Logistic regression on rows of a known group, each cell of class × group alike.

    Source: Idrissi et al., 2022, Simple data balancing achieves competitive worst-group-accuracy (RWG). Differs from it
    in: only the last layer is trained.
    """
    rows, groups = labelled(rows)
    return rows.fitted(C, equal_weights(rows.labels, groups))


def dfr(rows: Rows, *, C: float = 1e-3, refits: int = 10) -> Coefficients:
    """The mean of logistic regressions, each on as many rows of every cell of class × group as the smallest has.

    Source: Kirichenko, Izmailov, Wilson, 2023, Last layer re-training is sufficient for robustness to spurious
    correlations, section 5. Differs from it in: the penalty is L2, not L1; its strength is given.
    """
    rows, groups = labelled(rows)
    cells = np.unique(np.stack([rows.labels, groups], 1), axis=0, return_inverse=True)[1].reshape(-1)
    fewest = int(np.bincount(cells).min())
    chance = np.random.default_rng(child_seed(rows.seed, "dfr"))
    order = [np.flatnonzero(cells == cell) for cell in range(cells.max() + 1)]
    layers: list[Coefficients] = []
    for _ in range(refits):
        weights = np.zeros(len(rows))
        for mine in order:
            weights[chance.choice(mine, fewest, replace=False)] = 1
        layers.append(rows.fitted(C, weights, start=layers[-1] if layers else None))
    return np.asarray(np.mean(layers, axis=0))
