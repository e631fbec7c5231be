"""Thresholds a group: where the group may be asked for in use, each has biases of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from equipoise.errors import InputError
from equipoise.fix.checks import checked_ids, checked_labels, checked_logits
from equipoise.fix.logit_adjustment import shifts_of
from equipoise.fix.regression import Floats

__all__ = ["group_thresholds"]


def group_thresholds(logits: ArrayLike, labels: ArrayLike, groups: ArrayLike, *, classes: int = 2) -> Floats:
    """What to add to the logits of each group, so that its recall is most alike over classes.

    No layer can do this: the group of a picture must be known when it is judged. In many places that is not allowed.

    Args:
        logits: Of rows that the layer was not fitted on, shape (n, K), or (n,) of two classes.
        labels: Class ids 0…K−1, shape (n,).
        groups: Group ids 0…G−1, shape (n,).
        classes: K.

    Returns:
        Shape (G, K); of two classes with one logit, add column 1 less column 0.

    Raises:
        InputError: if shapes do not fit, or a group has no row of a class.

    Source: Hardt, Price, Srebro, 2016, Equality of opportunity in supervised learning (thresholds a group). Differs
    from it in: recall is made alike over the classes of each group, not over groups at a cost; nothing is random.
    """
    ids = checked_labels(labels, len(np.asarray(labels)))
    found = checked_logits(logits, len(ids), classes)
    parts = checked_ids(groups, len(ids), "groups", lowest=0)
    if int(ids.max(initial=0)) >= classes:
        raise InputError(f"Labels must be 0…{classes - 1}; got {ids.max()}. Check `classes`.")
    many = int(parts.max(initial=-1)) + 1
    counts = np.zeros((many, classes), np.int64)
    np.add.at(counts, (parts, ids), 1)
    if not counts.all() or not counts.size:
        group, label = np.argwhere(counts == 0)[0] if counts.size else (0, 0)
        raise InputError(
            f"Expected rows of each class in each group; got none of class {label} in group {group}. Leave the group "
            "out, or join it with another."
        )
    return np.stack([shifts_of(found[parts == g], ids[parts == g], classes) for g in range(many)])
