"""SELF: selective last-layer finetuning, on the pictures of which two classifiers disagree."""

from __future__ import annotations

import numpy as np

from equipoise.fix.axes import Coefficients
from equipoise.fix.regression import Floats, Ids
from equipoise.fix.rows import Rows
from equipoise.probabilities import sigmoid, softmax

__all__ = ["self_disagreement"]


def self_disagreement(
    rows: Rows, *, C: float = 1e-3, early: float = 1e-5, late: float = 1e-2, share: float = 0.2
) -> Coefficients:
    """Logistic regression on the rows of which a weak and a strong classifier disagree most, classes alike.

    Args:
        rows: To fit on.
        C: Strength.
        early: Of the weak classifier.
        late: Of the strong one.
        share: Of each class, in (0, 1].

    Source: LaBonte, Muthukumar, Kumar, 2023, Towards last-layer retraining for group robustness with fewer annotations
    (early-stop disagreement, by KL divergence). Differs from it in: last layers of two strengths, cross-fitted, stand
    for a network stopped early and one that was not; the same share of each class.
    """
    gap = _divergence(rows.first_stage(late, False), rows.first_stage(early, False))
    return rows.fitted(C, _most(gap, rows.labels, rows.classes, share))


def _divergence(first: Floats, second: Floats) -> Floats:
    """KL of the second's probabilities from the first's, nats, shape (n,)."""
    p, q = (np.clip(_probabilities(logits), 1e-12, 1) for logits in (first, second))
    return np.asarray((p * np.log(p / q)).sum(1))


def _probabilities(logits: Floats) -> Floats:
    if logits.shape[1] > 1:
        return softmax(logits)
    positive = sigmoid(logits[:, 0])
    return np.stack([1 - positive, positive], 1)


def _most(gap: Floats, labels: Ids, classes: int, share: float) -> Floats:
    """Weights of rows of largest gap in each class; 0 for the rest; classes alike, mean 1."""
    weights = np.zeros(len(gap))
    for label in range(classes):
        mine = np.flatnonzero(labels == label)
        kept = mine[np.argsort(-gap[mine], kind="stable")[: max(1, round(share * len(mine)))]]
        weights[kept] = 1 / len(kept)
    return np.asarray(weights / weights.mean())
