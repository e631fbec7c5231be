"""A last layer without a thought of groups: what the others are measured by."""

from __future__ import annotations

from equipoise.fix.axes import Coefficients
from equipoise.fix.rows import Rows, equal_weights

__all__ = ["classes_equal", "plain"]


def plain(rows: Rows, *, C: float = 1e-3) -> Coefficients:
    """Logistic regression, each row alike."""
    return rows.fitted(C)


def classes_equal(rows: Rows, *, C: float = 1e-3) -> Coefficients:
    """Logistic regression, each class alike.

    Source: LaBonte, Muthukumar, Kumar, 2023, Towards last-layer retraining for group robustness with fewer annotations
    (class-balanced last-layer retraining). Differs from it in: rows are weighted, not drawn.
    """
    return rows.fitted(C, equal_weights(rows.labels))
