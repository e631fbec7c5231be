"""Rates by group at a threshold, the threshold at a matched false-positive rate, and AUROC.

An image is called positive if its score is at or above the threshold. A group without positives has no true
positive rate and one without negatives no false positive rate: undefined, with the reason, never 0
(fairlearn and torchmetrics answer 0 there).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness.scored import Scored, fraction
from equipoise.groups import Groups
from equipoise.intervals import Ordered, Proportions, area, mean
from equipoise.probabilities import probability_vector
from equipoise.rate import Rate

__all__ = [
    "NO_IMAGES",
    "NO_NEGATIVES",
    "NO_POSITIVES",
    "accuracy",
    "allowed_false_positives",
    "auroc",
    "check_negatives",
    "cut_at_fpr",
    "false_negative_rate",
    "false_positive_rate",
    "group_areas",
    "group_means",
    "mean_probability",
    "threshold_at_fpr",
    "true_positive_rate",
]

NO_POSITIVES = "no positives"
NO_NEGATIVES = "no negatives"
NO_IMAGES = "no images"


def true_positive_rate(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    *,
    threshold: float = 0.5,
) -> dict[str, Rate]:
    """Share of each group's positives that score at or above the threshold, in [0, 1].

    Args:
        scores: Probabilities in [0, 1], one an image.
        labels: 1 = positive, 0 = negative.
        groups: Group of each image.
        threshold: Scores at or above it are called positive.

    Raises:
        InputError: if a score is not a probability, a label not 0 or 1, or lengths differ.

    Undefined: for a group without positives.

    Example:
        >>> groups = Groups.from_column(["a", "a", "a", "b"])
        >>> rates = true_positive_rate([0.9, 0.2, 0.8, 0.7], [1, 1, 0, 0], groups)
        >>> rates["a"].value, rates["b"]
        (0.5, undefined: no positives (n=0))
    """
    scored = Scored.checked(scores, labels, groups)
    return _rates(scored, groups, scored.labels, True, threshold, NO_POSITIVES)


def false_negative_rate(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    *,
    threshold: float = 0.5,
) -> dict[str, Rate]:
    """Share of each group's positives that are missed: 1 − `true_positive_rate`, with the ends swapped."""
    found = true_positive_rate(scores, labels, groups, threshold=threshold)
    return {name: found[name].complement for name in found}


def false_positive_rate(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    *,
    threshold: float = 0.5,
) -> dict[str, Rate]:
    """Share of each group's negatives that score at or above the threshold; arguments as above."""
    scored = Scored.checked(scores, labels, groups)
    return _rates(scored, groups, ~scored.labels, True, threshold, NO_NEGATIVES)


def accuracy(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    *,
    threshold: float = 0.5,
) -> dict[str, Rate]:
    """Share of each group's images that are called right; arguments as above.

    Undefined: for a group without images.
    """
    scored = Scored.checked(scores, labels, groups)
    everyone = np.ones(len(scored.labels), dtype=bool)
    return _rates(scored, groups, everyone, scored.labels, threshold, NO_IMAGES)


def mean_probability(scores: ArrayLike, labels: ArrayLike, groups: Groups) -> dict[str, Rate]:
    """Mean score of each group's positives, in [0, 1]: the labs' bars.

    Undefined: for a group without positives.
    """
    scored = Scored.checked(scores, labels, groups)
    means = group_means(scored.probabilities[scored.labels], groups.ids[scored.labels], len(groups.names))
    return {name: means[i] for i, name in enumerate(groups.names)}


def auroc(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    *,
    negatives: Literal["all", "group"] = "all",
) -> dict[str, Rate]:
    """Probability that a positive of the group scores above a negative; a tie counts ½. Larger is better.

    Args:
        scores: Probabilities in [0, 1], one an image.
        labels: 1 = positive, 0 = negative.
        groups: Group of each image.
        negatives: "all" (default): every group's positives against all negatives, so that groups are
            compared on the same negatives, also where negatives have no group (a picture of no face has no
            race). "group": against the group's own negatives. The two are never mixed in one table.

    Raises:
        InputError: as for `true_positive_rate`, or for another word for `negatives`.

    Undefined: for a group without positives, or without negatives to compare with.

    Source: `intervals.area` says how the interval is made.
    """
    check_negatives(negatives)
    scored = Scored.checked(scores, labels, groups)
    found = group_areas(scored, groups, negatives=negatives)
    return {name: found[i] for i, name in enumerate(groups.names)}


def threshold_at_fpr(negative_scores: ArrayLike, fpr: float) -> float:
    """The smallest threshold at which at most the share `fpr` of the negatives scores at or above it.

    With m negatives and k the largest whole number with k/m ≤ fpr, it is the next number above the
    (k + 1)-th highest negative (in the scores' own precision, so that float32 scores compare exactly). All
    of several tied negatives lie above it or below it together: ties only make the rate smaller. It is
    finite: at most one step above the highest negative, and the lowest negative for fpr = 1.

    Few negatives cannot resolve a small rate: 1 % of 50 negatives is k = 0, and the rate reached on them is
    0. What was reached is `Evaluation.fpr_achieved`.

    Raises:
        InputError: if there is no negative, a score is not a probability, or fpr is not in [0, 1].

    Example:
        >>> negatives = np.arange(100) / 100
        >>> threshold = threshold_at_fpr(negatives, 0.05)
        >>> bool(threshold > 0.94), float(np.mean(negatives >= threshold))
        (True, 0.05)
    """
    return cut_at_fpr(probability_vector(negative_scores), fraction(fpr, "The false-positive rate"))


def cut_at_fpr(scores: NDArray[np.floating[Any]], fpr: float) -> float:
    """`threshold_at_fpr` of any finite scores of negatives, logits too."""
    allowed = allowed_false_positives(len(scores), fpr)
    if allowed == len(scores):
        return float(scores.min())
    limit = np.partition(scores, len(scores) - 1 - allowed)[len(scores) - 1 - allowed]
    return float(np.nextafter(limit, scores.dtype.type(np.inf)))


def check_negatives(negatives: str) -> None:
    """Refuse any word but "all" and "group"."""
    if negatives not in ("all", "group"):
        raise InputError(
            f'AUROC compares with negatives="all" or "group"; got {negatives!r}. Choose one of the two.'
        )


def allowed_false_positives(negatives: int, fpr: float) -> int:
    """The largest k with k/negatives ≤ fpr, safe against rounding (0.29 of 100 is 29, not 28)."""
    k = int(fpr * negatives)
    if k < negatives and (k + 1) / negatives <= fpr:
        return k + 1
    return k - 1 if k / negatives > fpr else k


def group_areas(scored: Scored, groups: Groups, *, negatives: Literal["all", "group"]) -> list[Rate]:
    """AUROC of each group, in the order of the names."""
    found = []
    everyone = Ordered.of(scored.negatives)
    for i in range(len(groups.names)):
        mine = groups.ids == i
        others = everyone if negatives == "all" else scored.scores[mine & ~scored.labels]
        found.append(area(scored.scores[mine & scored.labels], others))
    return found


def group_means(
    values: NDArray[np.floating[Any]], ids: NDArray[np.int64], groups: int, reason: str = NO_POSITIVES
) -> list[Rate]:
    """Mean of values in [0, 1] for each group id, with intervals."""
    ordered = values[np.argsort(ids, kind="stable")]
    ends = np.cumsum(np.bincount(ids, minlength=groups))[:-1]
    return [mean(part, reason) for part in np.split(ordered, ends)]


def _rates(
    scored: Scored,
    groups: Groups,
    rows: NDArray[np.bool_],
    wanted: bool | NDArray[np.bool_],
    threshold: float,
    reason: str,
) -> dict[str, Rate]:
    """Share of the rows whose call equals the wanted one, by group."""
    right = (scored.scores >= scored.cut(threshold)) == wanted
    n = np.bincount(groups.ids[rows], minlength=len(groups.names))
    hits = np.bincount(groups.ids[rows & right], minlength=len(groups.names))
    return dict(zip(groups.names, Proportions(hits, n).rates(reason), strict=True))
