"""What a risk is worth: deciles, correlation, and how well it finds what it is for.

NumPy only. A risk is a vector, one number an image, higher = trust it less; only its order counts, and equal
numbers are treated alike, whatever the order of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray

from equipoise import intervals
from equipoise.errors import InputError
from equipoise.rate import Rate

__all__ = [
    "Extremes",
    "MeanImages",
    "accuracy_by_decile",
    "booleans",
    "checked",
    "correlation",
    "correlations",
    "deciles",
    "detection_auroc",
    "extremes",
    "mean_images",
    "percentile_ranks",
    "precision_at_recall",
]

Z = NormalDist().inv_cdf(0.975)


def percentile_ranks(
    risk: Float[ndarray, " n"], reference: Float[ndarray, " m"] | None = None
) -> Float[ndarray, " n"]:
    """Share of the reference that is less at risk, equal numbers counting half, in [0, 1].

    Args:
        risk: Any unit.
        reference: Held-out risks; None takes `risk` itself, and then the mean is 0.5.

    Raises:
        InputError: if there are none, or one is not finite.

    Example:
        >>> percentile_ranks(np.array([3.0, 1.0, 2.0, 2.0])).tolist()
        [0.875, 0.125, 0.5, 0.5]
    """
    values = checked(risk)
    ordered = np.sort(values if reference is None else checked(reference, "reference"))
    below = np.searchsorted(ordered, values)
    upto = np.searchsorted(ordered, values, side="right")
    return np.asarray((below + upto) / (2 * len(ordered)), dtype=np.float64)


def deciles(risk: Float[ndarray, " n"], parts: int = 10) -> Int[ndarray, " n"]:
    """Which tenth each image is in, by its rank: 0 = least at risk.

    Equal risks are in the same part, so that with many ties parts differ in size and may be empty.

    Args:
        risk: Any unit.
        parts: How many; 10 are deciles.

    Raises:
        InputError: if a risk is not finite or `parts` not positive.
    """
    if parts < 1:
        raise InputError(f"parts must be at least 1; got {parts}. 10 makes deciles.")
    return np.asarray(np.minimum(np.floor(parts * percentile_ranks(risk)), parts - 1), dtype=np.int64)


def accuracy_by_decile(
    risk: Float[ndarray, " n"], correct: Bool[ndarray, " n"], parts: int = 10
) -> tuple[Rate, ...]:
    """Share of right predictions in each tenth of a risk, least at risk first, with its exact intervals.

    If the risk means something, accuracy falls from the first to the last.

    Undefined: a part without images, which happens if many risks are equal.
    """
    ids = deciles(risk, parts)
    right = booleans(correct, len(ids), "correct")
    n = np.bincount(ids, minlength=parts)
    hits = np.bincount(ids, weights=right, minlength=parts)
    return tuple(
        intervals.proportion(int(h), int(k), "no image has such a risk") for h, k in zip(hits, n, strict=True)
    )


def mean_images(
    ids: Int[ndarray, " n"], batches: Iterable[UInt8[ndarray, "batch height width channels"]], parts: int = 10
) -> Float[ndarray, "parts height width channels"]:
    """The mean image of each part, in [0, 255]; read in one pass.

    Args:
        ids: Part of each image, as `deciles` gives it.
        batches: All images in that order, some at a time.
        parts: How many there are.

    Raises:
        InputError: if there are more or fewer images than ids.

    Undefined: NaN for a part without images.
    """
    found = MeanImages(ids, parts)
    for batch in batches:
        found.add(batch)
    return found.means()


class MeanImages:
    """The mean image of each part, from batches as they come; arguments and errors as in `mean_images`."""

    def __init__(self, ids: Int[ndarray, " n"], parts: int = 10) -> None:
        self.ids, self.parts = ids, parts
        self.total: Any = None
        self.came = 0

    def add(self, batch: UInt8[ndarray, "batch height width channels"]) -> None:
        """The next images."""
        here = self.ids[self.came : self.came + len(batch)]
        self.came += len(batch)
        if len(here) != len(batch):
            raise self._miscounted("more")
        if self.total is None:
            self.total = np.zeros((self.parts, *batch.shape[1:]))
        for part in np.unique(here):
            self.total[part] += batch[here == part].sum(axis=0, dtype=np.float64)

    def means(self) -> Float[ndarray, "parts height width channels"]:
        """Once all came."""
        if self.total is None or self.came != len(self.ids):
            raise self._miscounted("fewer")
        n = np.bincount(self.ids, minlength=self.parts).reshape(-1, *[1] * (self.total.ndim - 1))
        return np.asarray(np.where(n > 0, self.total / np.maximum(n, 1), np.nan), dtype=np.float64)

    def _miscounted(self, got: str) -> InputError:
        return InputError(
            f"Expected as many images as ids, {len(self.ids)}; got {got}. Give all images in the order of the ids."
        )


@dataclass(frozen=True, eq=False)
class Extremes:
    """Rows at both ends of a risk.

    Args:
        lowest: Least at risk first.
        highest: Most at risk first.
    """

    lowest: Int[ndarray, " count"]
    highest: Int[ndarray, " count"]


def extremes(risk: Float[ndarray, " n"], count: int = 20) -> Extremes:
    """The `count` rows with the lowest and the highest risk; of equal risks, the earlier row comes first."""
    values = checked(risk)
    if count < 1:
        raise InputError(f"count must be at least 1; got {count}. 20 is usual.")
    return Extremes(
        np.argsort(values, kind="stable")[:count].astype(np.int64),
        np.argsort(-values, kind="stable")[:count].astype(np.int64),
    )


def correlation(first: Float[ndarray, " n"], second: Float[ndarray, " n"]) -> Rate:
    """Spearman's rank correlation, in [−1, 1].

    Interval: on Fisher's scale, with variance (1 + ρ²/2) / (n − 3). None where `|ρ|` is 1, or under 4 images.

    Undefined: if all numbers of one side are equal, or with fewer than two images.

    Source: D. G. Bonett, T. A. Wright, Sample size requirements for estimating Pearson, Kendall and Spearman
    correlations, Psychometrika 2000.
    """
    a, b = percentile_ranks(first), percentile_ranks(second)
    if len(a) != len(b):
        raise InputError(f"Expected two risks of the same images; got {len(a)} and {len(b)}. Score the same.")
    a, b = a - a.mean(), b - b.mean()
    spread = math.sqrt(float((a * a).sum() * (b * b).sum()))
    n = len(a)
    if n < 2 or not spread > 1e-12:
        return Rate.undefined("all images have the same risk", n)
    value = min(1.0, max(-1.0, float((a * b).sum()) / spread))
    if n < 4 or abs(value) > 1 - 1e-12:
        return Rate(value, math.nan, math.nan, n)
    half = Z * math.sqrt((1 + value * value / 2) / (n - 3))
    low, high = (math.tanh(math.atanh(value) + side * half) for side in (-1, 1))
    return Rate(value, low, high, n)


def correlations(risks: Mapping[str, Float[ndarray, " n"]]) -> dict[str, dict[str, Rate]]:
    """Spearman's correlation of each risk with each other, by name; each pair once, earlier name first."""
    names = list(risks)
    return {
        name: {other: correlation(risks[name], risks[other]) for other in names[i + 1 :]}
        for i, name in enumerate(names[:-1])
    }


def detection_auroc(risk: Float[ndarray, " n"], sought: Bool[ndarray, " n"]) -> Rate:
    r"""How well a risk finds what is sought: the probability that a sought image is more at risk than another.

    .. math:: \mathrm{AUROC} = \frac{\sum_{i \in S} r_i - |S|(|S| + 1)/2}{|S|\,(n - |S|)}

    with mean ranks r, so that ties count half. 0.5 = like chance, 1 = always. n of the result is `|S|`, the rarer
    side in most uses.

    Undefined: if all or none are sought.

    Source: the interval is that of `intervals.area`.
    """
    values = checked(risk)
    yes = booleans(sought, len(values), "sought")
    m, rest = int(yes.sum()), int((~yes).sum())
    if not m or not rest:
        return Rate.undefined("nothing is sought" if not m else "everything is sought", m)
    return intervals.area(values[yes], values[~yes])


def precision_at_recall(risk: Float[ndarray, " n"], sought: Bool[ndarray, " n"], recall: float = 0.5) -> Rate:
    """Share of sought images among those most at risk, as many as it takes to find `recall` of the sought.

    Of equal risks all or none are taken.

    Undefined: if none is sought.
    """
    if not 0 < recall <= 1:
        raise InputError(f"recall must be in (0, 1]; got {recall}. 0.5 asks for half of what is sought.")
    values = checked(risk)
    yes = booleans(sought, len(values), "sought")
    if not yes.any():
        return Rate.undefined("nothing is sought")
    found = np.sort(values[yes])[::-1]
    line = found[math.ceil(recall * len(found) - 1e-9) - 1]
    taken = values >= line
    return intervals.proportion(int(yes[taken].sum()), int(taken.sum()), "")


def checked(values: Any, name: str = "risk") -> Float[ndarray, " n"]:
    """Finite numbers, one an image.

    Raises:
        InputError: if they are not.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise InputError(
            f"Expected {name} as finite numbers of shape (n,), n ≥ 1; got shape {found.shape}"
            f"{' with NaN or infinity in it' if found.size and found.ndim == 1 else ''}. "
            "Leave out what could not be scored."
        )
    return found


def booleans(values: Any, n: int, name: str) -> Bool[ndarray, " n"]:
    """One an image.

    Raises:
        InputError: if they are not.
    """
    found = np.asarray(values)
    if found.shape != (n,) or found.dtype != np.bool_:
        raise InputError(
            f"Expected {name} as {n} booleans; got shape {found.shape} of {found.dtype}. Compare with ==."
        )
    return found
