"""`Scored`: scores, labels and groups of the same images, checked once at the public door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.groups import Groups
from equipoise.probabilities import Probabilities, probability_vector, sigmoid
from equipoise.seeds import child_seed

__all__ = ["Scored", "attributes_of", "finite", "fraction", "generator", "replicate_count"]


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of "positive" with labels and attributes; build it with `Scored.checked`.

    Args:
        scores: What ranks the images, shape (n,): logits where they are known, else probabilities in [0, 1].
        labels: True = positive, shape (n,).
        groups: One `Groups` an attribute.
        precision: Float type that the scores came in; thresholds between scores are made in it.
        logits: Whether scores are logits.
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.bool_]
    groups: tuple[Groups, ...]
    precision: np.dtype[np.floating[Any]]
    logits: bool = False

    @classmethod
    def checked(
        cls,
        scores: ArrayLike,
        labels: ArrayLike,
        groups: Groups | Sequence[Groups] = (),
        *,
        intersections: bool = False,
    ) -> Scored:
        """Check once, and add the pairwise intersections of the attributes if asked for.

        Raises:
            InputError: if a score is not a probability, a label not 0 or 1, lengths differ, or an
                attribute stands twice.
        """
        probabilities = probability_vector(scores)
        logits = scores.logits if isinstance(scores, Probabilities) else None
        truth = _binary(labels)
        attributes = attributes_of(
            groups, {"labels": len(truth)}, len(probabilities), intersections=intersections
        )
        values = probabilities if logits is None else logits
        return cls(np.asarray(values, np.float64), truth, attributes, values.dtype, logits is not None)

    @cached_property
    def positives(self) -> NDArray[np.float64]:
        """Scores of the positives."""
        return self.scores[self.labels]

    @cached_property
    def negatives(self) -> NDArray[np.float64]:
        """Scores of the negatives."""
        return self.scores[~self.labels]

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities of all images."""
        return sigmoid(self.scores) if self.logits else self.scores

    @cached_property
    def saturated(self) -> int:
        """Scores that are tied at a probability of exactly 0 or 1, where rounding hides which ranks higher."""
        counts = [int((self.scores == end).sum()) for end in (0.0, 1.0)]
        return 0 if self.logits else sum(count for count in counts if count > 1)

    def cut(self, threshold: float) -> float:
        """A threshold on probabilities as one on the scores: ½ is logit 0."""
        if not self.logits:
            return threshold
        if not 0 < threshold < 1:
            return np.inf if threshold >= 1 else -np.inf
        return float(np.log(threshold) - np.log1p(-threshold))

    def probability_at(self, cut: float) -> float:
        """The threshold on probabilities that calls the images which `cut` calls on the scores, where one can."""
        if not self.logits or np.isnan(cut):
            return cut
        found = float(sigmoid(cut))
        below = self.scores[self.scores < cut]
        return max(found, float(np.nextafter(sigmoid(below.max()), 2))) if below.size else found

    def counts(self, groups: Groups) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positives and negatives of each group, each with shape (k,)."""
        positives = np.bincount(groups.ids[self.labels], minlength=len(groups.names))
        return positives.astype(np.int64), (groups.counts - positives).astype(np.int64)

    def shown(self, groups: Groups) -> list[int]:
        """Ids of the groups to report: all but a "(missing)" without positives (negatives have no race)."""
        positives, _ = self.counts(groups)
        return [
            group for group in range(len(groups.names)) if positives[group] or group not in groups.unknown
        ]


def attributes_of(
    groups: Groups | Sequence[Groups], lengths: Mapping[str, int], scores: int, *, intersections: bool
) -> tuple[Groups, ...]:
    """The attributes, and the pairwise intersections of them if asked for.

    Args:
        groups: One `Groups` an attribute, or a single one.
        lengths: What else must have one entry an image → its length.
        scores: Length of the scores, which the others must have.
        intersections: Add each pair of attributes.

    Raises:
        InputError: if lengths differ, or an attribute stands twice.
    """
    attributes = (groups,) if isinstance(groups, Groups) else tuple(groups)
    lengths = {**lengths, **{f"groups of {g.attribute!r}": len(g) for g in attributes}}
    for name, length in lengths.items():
        if length != scores:
            raise InputError(
                f"Scores, labels and groups must have one entry an image; got {scores} scores and {length} {name}. "
                "Take all of them from the same table, in the same order."
            )
    names = [g.attribute for g in attributes]
    if len(set(names)) != len(names):
        raise InputError(f"Attributes must differ; got {names}. Give each Groups its own attribute name.")
    if intersections:
        attributes += tuple(a.cross(b) for i, a in enumerate(attributes) for b in attributes[i + 1 :])
    return attributes


def _binary(labels: ArrayLike) -> NDArray[np.bool_]:
    given = np.asarray(labels)
    if given.ndim != 1 or given.dtype.kind not in "fiub":
        raise InputError(
            f"Labels must be a vector of 0 and 1; got shape {given.shape} of {given.dtype}. Flatten them."
        )
    wrong = np.flatnonzero((given != 0) & (given != 1))
    if wrong.size:
        raise InputError(
            f"Labels must be 0 or 1; got {given[wrong[0]]} at row {wrong[0]}. "
            "Compare them with the positive class."
        )
    return given.astype(bool)


def fraction(value: float, name: str) -> float:
    """A number in [0, 1].

    Raises:
        InputError: if it is outside, or NaN.
    """
    if not 0 <= value <= 1:
        raise InputError(f"{name} must be in [0, 1]; got {value}. 0.01 means one percent.")
    return float(value)


def finite(value: float, name: str) -> float:
    """A finite number.

    Raises:
        InputError: if it is NaN or infinite.
    """
    if not np.isfinite(value):
        raise InputError(f"{name} must be a finite number; got {value}. 0.5 is the usual threshold.")
    return float(value)


def replicate_count(replicates: int) -> int:
    """The number of replicates, large enough for the ends of a 95 % interval.

    Raises:
        InputError: if it is below 100.
    """
    if replicates < 100:
        raise InputError(
            f"Intervals need at least 100 replicates; got {replicates}. "
            "2000 is a good choice and takes milliseconds."
        )
    return int(replicates)


def generator(seed: int, *names: str) -> np.random.Generator:
    """The named source of chance of one number, so that a further attribute does not move the others."""
    return np.random.default_rng(child_seed(seed, "fairness", *names))
