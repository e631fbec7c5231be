"""What a risk is worth: deciles, risk–coverage, rejection, correlation, and how well it finds what it is for.

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
    "RiskCoverage",
    "accuracy_by_decile",
    "correlation",
    "correlations",
    "deciles",
    "detection_auroc",
    "extremes",
    "mean_images",
    "percentile_ranks",
    "precision_at_recall",
    "rejection",
    "risk_coverage",
]

Z = NormalDist().inv_cdf(0.975)
UNSEEN = 0.1
"""Weight of an image that was not drawn, in images: what intervals of areas lack otherwise; by simulation."""


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
    values = _checked(risk)
    ordered = np.sort(values if reference is None else _checked(reference, "reference"))
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
    right = _yes(correct, len(ids), "correct")
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
    total: Any = None
    start = 0
    for batch in batches:
        here = ids[start : start + len(batch)]
        if len(here) != len(batch):
            break
        if total is None:
            total = np.zeros((parts, *batch.shape[1:]))
        for part in np.unique(here):
            total[part] += batch[here == part].sum(axis=0, dtype=np.float64)
        start += len(batch)
    else:
        if total is not None and start == len(ids):
            n = np.bincount(ids, minlength=parts).reshape(-1, *[1] * (total.ndim - 1))
            return np.asarray(np.where(n > 0, total / np.maximum(n, 1), np.nan), dtype=np.float64)
    raise InputError(
        f"Expected as many images as ids, {len(ids)}; got {'fewer' if start < len(ids) else 'more'}. "
        "Give all images in the order of the ids."
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
    values = _checked(risk)
    if count < 1:
        raise InputError(f"count must be at least 1; got {count}. 20 is usual.")
    return Extremes(
        np.argsort(values, kind="stable")[:count].astype(np.int64),
        np.argsort(-values, kind="stable")[:count].astype(np.int64),
    )


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Mean loss of the part that is kept when the most risky are put aside.

    Args:
        coverage: Share kept, k/n for k = 1…n.
        loss: Mean loss of the k images least at risk.
        area: AURC, the mean of `loss` over all coverages, with a bootstrap interval; lower is better.
        ideal: The area if the risk ordered images by their loss. Nothing can be below it.
        random: The expected area of a risk that knows nothing: the mean loss.
        excess: E-AURC, `area` − `ideal`.
        gain: (random − area) / (random − ideal), 1 = ideal, 0 = like chance, below 0 = worse than chance;
            undefined where nothing can be gained.
    """

    coverage: Float[ndarray, " n"]
    loss: Float[ndarray, " n"]
    area: Rate
    ideal: float
    random: float
    excess: Rate
    gain: Rate


def risk_coverage(
    risk: Float[ndarray, " n"],
    losses: Float[ndarray, " n"],
    *,
    replicates: int = 200,
    generator: np.random.Generator | None = None,
) -> RiskCoverage:
    r"""The risk–coverage curve and its area.

    .. math:: \mathrm{AURC} = \frac1n \sum_{k=1}^n \frac1k \sum_{i \le k} \ell_{(i)}

    with the losses in the order of rising risk. Images with equal risks count with their mean loss, which is the
    expectation over the orders that they could have.

    Args:
        risk: Any unit.
        losses: ≥ 0; 1 for a wrong and 0 for a right prediction gives the usual error curve.
        replicates: Bootstrap replicates behind the intervals, 0 for none.
        generator: Chance of the bootstrap.

    Raises:
        InputError: if lengths differ or a number is not finite.

    Source: Y. Geifman, R. El-Yaniv, Selective classification for deep neural networks, NeurIPS 2017; E-AURC:
    Y. Geifman, G. Uziel, R. El-Yaniv, Bias-reduced uncertainty estimation for deep neural classifiers, ICLR 2019.
    Differs from it in: the ideal area is that of these very losses, not its approximation r + (1 − r) ln(1 − r),
    and ties do not depend on the order of rows. Intervals: Bayesian bootstrap over images and a bit of one more, that
    has the least risk and is right, or wrong.
    """
    values, loss = _checked(risk), _checked(losses, "losses")
    if len(values) != len(loss):
        raise InputError(
            f"Expected a loss for each of {len(values)} risks; got {len(loss)}. Give both of the same."
        )
    order = np.argsort(values, kind="stable")
    level = np.unique(values, return_inverse=True)[1].reshape(-1)
    even = (np.bincount(level, weights=loss) / np.bincount(level))[level]
    n = len(loss)
    k = np.arange(1, n + 1)
    curve = np.cumsum(even[order]) / k
    area, random = float(curve.mean()), float(loss.mean())
    by_loss = np.sort(loss)
    ideal = min(float((np.cumsum(by_loss) / k).mean()), area)  # equal up to rounding
    gained = _gain(area, ideal, random)
    lows, highs = (
        _resampled(values, loss, end, replicates, generator or np.random.default_rng(0))
        for end in (float(loss.min()), float(loss.max()))
    )
    return RiskCoverage(
        k / n,
        curve,
        _held(area, lows[0], highs[0], n),
        ideal,
        random,
        _held(area - ideal, lows[1], highs[1], n),
        Rate.undefined("all images have the same loss", n)
        if math.isnan(gained)
        else _held(gained, highs[2], lows[2], n),
    )


def rejection(
    risk: Float[ndarray, " n"],
    correct: Bool[ndarray, " n"],
    shares: Iterable[float] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5),
) -> dict[float, Rate]:
    """Accuracy of what is kept when a share of the images, those most at risk, is put aside.

    Args:
        risk: Any unit. Of equal risks, earlier rows are kept.
        correct: Whether each prediction is right.
        shares: In [0, 1]. The number put aside is rounded.

    Returns:
        Share put aside → accuracy of the rest, with its exact interval.

    Undefined: where nothing is kept.
    """
    values = _checked(risk)
    right = _yes(correct, len(values), "correct")[np.argsort(values, kind="stable")]
    found = {}
    for share in shares:
        if not 0 <= share <= 1:
            raise InputError(f"A share must be in [0, 1]; got {share}. 0.1 puts one in ten aside.")
        kept = len(values) - round(share * len(values))
        found[share] = intervals.proportion(int(right[:kept].sum()), kept, "nothing is kept")
    return found


def correlation(first: Float[ndarray, " n"], second: Float[ndarray, " n"]) -> Rate:
    """Spearman's rank correlation, in [−1, 1].

    Interval: on Fisher's scale, with variance (1 + ρ²/2) / (n − 3). None where |ρ| is 1, or under 4 images.

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

    with mean ranks r, so that ties count half. 0.5 = like chance, 1 = always. n of the result is |S|, the rarer
    side in most uses.

    Undefined: if all or none are sought.

    Source: the interval is that of `intervals.area`.
    """
    values = _checked(risk)
    yes = _yes(sought, len(values), "sought")
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
    values = _checked(risk)
    yes = _yes(sought, len(values), "sought")
    if not yes.any():
        return Rate.undefined("nothing is sought")
    found = np.sort(values[yes])[::-1]
    line = found[math.ceil(recall * len(found) - 1e-9) - 1]
    taken = values >= line
    return intervals.proportion(int(yes[taken].sum()), int(taken.sum()), "")


def _area(losses: Float[ndarray, " n"], weights: Float[ndarray, " n"]) -> float:
    curve = np.cumsum(weights * losses) / np.cumsum(weights)
    return float((weights * curve).sum() / weights.sum())


def _gain(area: float, ideal: float, random: float) -> float:
    return (random - area) / (random - ideal) if random - ideal > 1e-12 else math.nan


def _resampled(
    risk: Float[ndarray, " n"],
    losses: Float[ndarray, " n"],
    unseen: float,
    replicates: int,
    chance: np.random.Generator,
) -> Float[ndarray, "3 replicates"]:
    """Replicates of area, excess and gain, a bit of an image more has the least risk and loss `unseen`."""
    values, loss = np.append(risk, -np.inf), np.append(losses, unseen)
    order, loss_order = np.argsort(values, kind="stable"), np.argsort(loss, kind="stable")
    level, by_loss = np.unique(values, return_inverse=True)[1].reshape(-1), np.sort(loss)
    drawn = np.empty((3, replicates))
    for i in range(replicates):
        weights = np.append(chance.standard_exponential(len(risk)), chance.standard_gamma(UNSEEN) + 1e-300)
        mean = np.bincount(level, weights=weights * loss) / np.bincount(level, weights=weights)
        area = _area(mean[level][order], weights[order])
        best = _area(by_loss, weights[loss_order])
        drawn[:, i] = area, area - best, _gain(area, best, float((weights * loss).sum() / weights.sum()))
    return drawn


def _held(value: float, lows: Float[ndarray, " r"], highs: Float[ndarray, " r"], n: int) -> Rate:
    lows, highs = lows[np.isfinite(lows)], highs[np.isfinite(highs)]
    if not len(lows) or not len(highs):
        return Rate(value, math.nan, math.nan, n)
    return intervals.held(value, lows, highs, n)


def _checked(values: Any, name: str = "risk") -> Float[ndarray, " n"]:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise InputError(
            f"Expected {name} as finite numbers of shape (n,), n ≥ 1; got shape {found.shape}"
            f"{' with NaN or infinity in it' if found.size and found.ndim == 1 else ''}. "
            "Leave out what could not be scored."
        )
    return found


def _yes(values: Any, n: int, name: str) -> Bool[ndarray, " n"]:
    found = np.asarray(values)
    if found.shape != (n,) or found.dtype != np.bool_:
        raise InputError(
            f"Expected {name} as {n} booleans; got shape {found.shape} of {found.dtype}. Compare with ==."
        )
    return found
