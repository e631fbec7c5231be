"""From the logits of a run to its numbers: cells, worst cell, gap, accuracy, average precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from equipoise.fairness import attribute_metrics, threshold_at_equal_error
from equipoise.groups import Groups
from equipoise.intervals import Proportions, gap
from equipoise.rate import Rate

RATES = ("worst_cell_accuracy", "average_accuracy", "balanced_accuracy", "ap", "deo", "ba", "kl")
REPLICATES = 500


def of_rate(rate: Rate) -> dict[str, float]:
    """A rate with its interval over pictures."""
    return {"value": rate.value, "low": rate.low, "high": rate.high}


def probabilities(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -50, 50)))


def numbers(
    test: np.ndarray,
    target: np.ndarray,
    groups: Groups,
    *,
    held_out: np.ndarray,
    held_out_target: np.ndarray,
    names: tuple[str, str],
    signs: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """What a run comes to at probability 0.5, and at the threshold of equal error on the held-out part.

    Args:
        test: Logits of the test part; `target` and `groups` are its own.
        target: 0 or 1.
        groups: What errors are compared by.
        held_out: Logits of the held-out part, with `held_out_target`.
        held_out_target: 0 or 1.
        names: Of target 0 and 1.
        signs: Which groups went with target 1 in training, for bias amplification.
    """

    def at(logit: float) -> dict[str, Any]:
        found = attribute_metrics(
            probabilities(test),
            target,
            groups,
            threshold=float(probabilities(np.array([logit]))[0]),
            signs=signs,
            bins=np.linspace(0, 1, 21),
            replicates=REPLICATES,
        )
        cells = {f"{names[c.target]} × {c.group}": of_rate(c.accuracy) | {"n": c.n} for c in found.cells}
        worst = [name for name, cell in cells.items() if cell["value"] == found.worst_cell_accuracy.value]
        return {name: of_rate(getattr(found, name)) for name in RATES} | {
            "gap": of_rate(gap_of((test >= logit) == target, target, groups)),
            "worst_cell": worst[0] if worst else None,
            "cells": cells,
        }

    limit = threshold_at_equal_error(held_out, held_out_target)
    moved = at(limit)
    del moved["cells"]
    return {"at_half": at(0.0), "at_held_out": moved | {"logit": limit}}


def gap_of(right: np.ndarray, target: np.ndarray, groups: Groups) -> Rate:
    """Best less worst accuracy of a cell."""
    ids, k = target * len(groups.names) + groups.ids, 2 * len(groups.names)
    n, hits = np.bincount(ids, minlength=k), np.bincount(ids[right], minlength=k)
    if not n.all():
        return Rate.undefined("a cell has no pictures", int(n.sum()))
    return gap(Proportions(hits, n))
