"""`one_vs_rest`: detection numbers of one class against all others, from scores of any number of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness.class_calls import checked_classes, class_ids
from equipoise.fairness.evaluation import Evaluation, evaluate
from equipoise.groups import Groups
from equipoise.probabilities import Probabilities, from_logits

__all__ = ["one_vs_rest", "scores_of_class"]


# Keywords of a public door, each a choice of its own.
def one_vs_rest(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: Groups | Sequence[Groups] = (),
    *,
    positive: str,
    classes: Sequence[str],
    fpr: float = 0.01,
    threshold: float = 0.5,
    intersections: bool = True,
    negatives: Literal["all", "group"] = "all",
    replicates: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """All that `evaluate` says of one class: its images are the positives, those of all other classes the negatives.

    Args:
        scores: Probabilities of the classes, shape (n, K); those of `from_logits` keep their logits and are ranked by
            the log-odds of the class against the rest. Of two classes also a vector: probabilities of the second.
        labels: True class of each image, ids 0…K−1.
        positive: Name of the class.
        classes: Names of the classes, by id.

    Other arguments: as for `evaluate`.

    Raises:
        InputError: if the class has no such name, scores do not have a column a class, or as `evaluate`.

    Example:
        >>> found = one_vs_rest(
        ...     [[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.1, 0.3, 0.6]], [0, 1, 2], positive="b", classes=["a", "b", "c"]
        ... )
        >>> found.tpr.value, found.fpr.value, found.positives, found.negatives
        (1.0, 0.0, 1, 2)
    """
    names = checked_classes(classes)
    if positive not in names:
        raise InputError(
            f"The positive class must be one of {', '.join(names[:10])}{', …' if len(names) > 10 else ''}; got "
            f"{positive!r}. Name one of the classes."
        )
    position = names.index(positive)
    return evaluate(
        scores_of_class(scores, position, len(names)),
        class_ids(labels, len(names), "Labels") == position,
        groups,
        fpr=fpr,
        threshold=threshold,
        intersections=intersections,
        negatives=negatives,
        replicates=replicates,
        seed=seed,
    )


def scores_of_class(scores: ArrayLike, position: int, classes: int) -> NDArray[Any]:
    """Probabilities of one class, with log-odds if logits are known.

    Raises:
        InputError: if there is not a column for each class.
    """
    given = scores if isinstance(scores, Probabilities) else np.asarray(scores)
    if given.ndim == 1 and classes == 2:
        if position == 1:
            return given
        logits = given.logits if isinstance(given, Probabilities) else None
        return 1 - np.asarray(given) if logits is None else from_logits(-logits)
    if given.shape[1:] != (classes,):
        raise InputError(
            f"Scores must have a column for each of the {classes} classes; got shape {given.shape}. Pass probabilities "
            "of shape (images, classes)."
        )
    return given.of_class(position) if isinstance(given, Probabilities) else given[:, position]
