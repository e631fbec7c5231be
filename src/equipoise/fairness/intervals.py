r"""Intervals: the doubt in a rate, and in what is made of rates.

One rule for counts. A rate with `hits` of `n` images is resampled as Beta(hits + ½, n − hits + ½): the
Bayesian bootstrap over images (every image gets a random weight; their sum over the hits is a Beta) with
half an image of each outcome added. The half images matter when a group has 0 or n hits: counts resampled
from such a group never change, and an ordinary bootstrap would report it, and every gap over it, without
doubt. Numbers of positives and negatives, in total and in each group, are held fixed.

A **matched false-positive rate** moves the threshold too: the negatives are resampled, the threshold is
their order statistic (its rank is ⌊m·U⌋ with U a Beta order statistic, so one draw a replicate does it),
and the positives above it are counted.

**Gap, worst group, variance** of plug-in rates are biased: noise alone makes groups differ. The replicates
show the bias once more, so their percentiles are moved back by it twice (once for the replicates, once for
the plug-in). Where equal groups of these sizes would often (more than 1 in 40 times) look as unequal, the
interval of gap and variance begins at 0, and that of the worst group reaches up to the pooled rate.
In simulations (5 to 7 groups of 25 to 700 images, rates of 90 to 99 %) the intervals miss the truth in 2 to 9 %
of cases; plain percentiles call equal groups unequal nearly always.

**Means of scores** (mean probability, AUROC) get the closed-form limit of the bootstrap on the logit scale,
and Wilson's interval where all images agree. Every interval holds its value.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.rate import Rate

__all__ = [
    "SPREADS",
    "between",
    "bias_corrected",
    "gap",
    "logit_interval",
    "rate",
    "resampled_as_equal",
    "resampled_pairs",
    "resampled_ranks",
    "resampled_rates",
    "variance",
    "wilson",
    "worst",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def resampled_rates(
    hits: NDArray[Any], n: NDArray[Any], *, replicates: int, generator: np.random.Generator
) -> Floats:
    """Replicates of rates, shape (replicates, k); `hits` has shape (k,) or (replicates, k).

    Undefined: a group with n = 0 is NaN.

    Source: Rubin 1981, The Bayesian bootstrap; Brown, Cai, DasGupta 2001, Interval estimation for a binomial
    proportion (Jeffreys). Differs from it in: the two are joined.
    """
    hits = np.broadcast_to(hits, (replicates, len(n)))
    drawn: Floats = generator.beta(hits + 0.5, n - hits + 0.5)
    drawn[:, n == 0] = np.nan
    return drawn


def resampled_pairs(
    both: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    n: NDArray[Any],
    generator: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Replicates of two models' rates on the same resampled images.

    Args:
        both: Images that both models hit, shape (replicates, k); `first` and `second` are the models' hits.
        n: Images, shape (k,).

    Returns:
        Rates of the first and of the second model, each (replicates, k). The four outcomes of an image get
        a quarter of an image each, so that each model alone is resampled as by `resampled_rates`.
    """
    cells = np.stack([both, first - both, second - both, n - first - second + both], axis=-1)
    weights = generator.standard_gamma(cells + 0.25)
    weights /= weights.sum(axis=-1, keepdims=True)
    rates = weights[..., 0] + weights[..., 1], weights[..., 0] + weights[..., 2]
    for drawn in rates:
        drawn[:, n == 0] = np.nan
    return rates


def resampled_ranks(n: int, rank: int, *, replicates: int, generator: np.random.Generator) -> Ints:
    """Ranks that the `rank`-th of `n` values (0-based) takes when the values are resampled, (replicates,).

    Resampled ranks are ⌊n·U⌋ with U uniform; ⌊·⌋ keeps the order, so the order statistic of the resample is
    ⌊n·V⌋ with V the order statistic of n uniforms, Beta(rank + 1, n − rank). Exact, and O(replicates).
    """
    drawn = np.floor(n * generator.beta(rank + 1, n - rank, replicates)).astype(np.int64)
    return np.minimum(drawn, n - 1)


def between(replicates: Floats, value: float, n: int, *, level: float = 0.95) -> Rate:
    """A rate with the percentiles of its replicates, widened if need be to hold its value."""
    tail = 50 * (1 - level)
    low, high = np.percentile(replicates, [tail, 100 - tail])
    return Rate(value, min(float(low), value), max(float(high), value), n)


def rate(hits: float, n: int, replicates: Floats, reason: str, *, level: float = 0.95) -> Rate:
    """hits/n with the percentiles of its replicates; undefined, for `reason`, if n is 0."""
    return between(replicates, float(hits) / n, n, level=level) if n else Rate.undefined(reason)


def wilson(hits: float, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a proportion.

    Example:
        >>> low, high = wilson(20, 20)
        >>> round(low, 3), high
        (0.839, 1.0)
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (hits + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * float(np.sqrt(hits * (n - hits) / n + z * z / 4))
    return max(0.0, centre - half), min(1.0, centre + half)


def logit_interval(mean: float, variance: float, n: int, *, level: float = 0.95) -> Rate:
    """A mean in [0, 1] with a normal interval on the logit scale.

    Args:
        mean: The mean of `n` values in [0, 1].
        variance: Its sampling variance; where it is 0 or unknown (NaN), Wilson's interval takes over.
        n: Values.
    """
    scale = mean * (1 - mean)
    if not variance > 0 or not scale > 0:
        low, high = wilson(mean * n, n, level=level)
    else:
        z = NormalDist().inv_cdf((1 + level) / 2)
        half = z * np.sqrt(variance) / scale
        centre = np.log(mean) - np.log1p(-mean)
        with np.errstate(over="ignore"):
            low, high = (float(1 / (1 + np.exp(-(centre + side * half)))) for side in (-1, 1))
    return Rate(mean, min(low, mean), max(high, mean), n)


def bias_corrected(replicates: Floats, value: float, n: int, *, level: float = 0.95) -> Rate:
    """A statistic of several rates: percentiles moved back by twice the bias that the replicates show."""
    return between(replicates - 2 * (replicates.mean() - value), value, n, level=level)


def _spread(rates: Floats) -> Floats:
    return np.asarray(rates.max(axis=-1) - rates.min(axis=-1), dtype=np.float64)


def _lowest(rates: Floats) -> Floats:
    return np.asarray(rates.min(axis=-1), dtype=np.float64)


def _variance(rates: Floats) -> Floats:
    return np.asarray(np.var(100 * rates, axis=-1), dtype=np.float64)


def _deviation(rates: Floats) -> Floats:
    return np.asarray(np.std(100 * rates, axis=-1), dtype=np.float64)


SPREADS: dict[str, Callable[[Floats], Floats]] = {"gap": _spread, "worst": _lowest, "variance": _variance}
"""What is made of the rates of several groups (last axis): max − min, minimum, variance in percent²."""


def resampled_as_equal(hits: Ints, n: Ints, replicates: int, generator: np.random.Generator) -> Floats:
    """Rates of groups of these sizes that all have the pooled rate: what chance alone makes of equal groups."""
    return np.asarray(generator.binomial(n, hits.sum() / n.sum(), (replicates, len(n))) / n, dtype=np.float64)


def gap(hits: Ints, n: Ints, replicates: Floats, equal: Floats) -> Rate:
    """Largest minus smallest rate over groups, in [0, 1]; 0 is equal.

    Args:
        hits: Hits in each group, shape (k,); `n` the images (all above 0).
        replicates: Replicates of the rates, shape (replicates, k).
        equal: What `resampled_as_equal` gives for them, shape (replicates, k).

    Undefined: with fewer than two groups.
    """
    return _unequal(_spread, hits, n, replicates, equal, most=1.0)


def variance(hits: Ints, n: Ints, replicates: Floats, equal: Floats) -> Rate:
    """Variance of the rates over groups, in percent², every group counting once (divided by k, not k − 1).

    The value is the plug-in that papers print. It is too large by about the mean over groups of
    10⁴·p(1 − p)/n, times (k − 1)/k; the interval is corrected for that, on the scale of the standard
    deviation, where replicates are less skewed, and squared. Arguments as for `gap`.
    """
    deviation = _unequal(_deviation, hits, n, replicates, equal, most=50.0)
    if not deviation.defined:
        return deviation
    return Rate(deviation.value**2, deviation.low**2, deviation.high**2, deviation.n)


def worst(hits: Ints, n: Ints, replicates: Floats, equal: Floats) -> tuple[int, Rate]:
    """The group with the lowest rate (position) and that rate; arguments as for `gap`, at least one group.

    The interval is that of the lowest rate of all groups, whichever group has it: the one that looks worst
    owes part of that to chance.
    """
    rates = hits / n
    position = int(np.argmin(rates))
    value, images = float(rates[position]), int(n[position])
    if len(n) == 1:
        return 0, between(replicates[:, 0], value, images)
    found = bias_corrected(_lowest(replicates), value, images)
    high = found.high
    if _as_equal(_spread, rates, equal):
        high = max(high, wilson(float(hits.sum()), int(n.sum()))[1])
    return position, Rate(value, max(0.0, found.low), min(1.0, high), images)


def _unequal(
    statistic: Callable[[Floats], Floats],
    hits: Ints,
    n: Ints,
    replicates: Floats,
    equal: Floats,
    most: float,
) -> Rate:
    total = int(n.sum())
    if len(n) < 2:
        return Rate.undefined("fewer than two groups have positives", total)
    value = float(statistic(hits / n))
    found = bias_corrected(statistic(replicates), value, total)
    low = 0.0 if _as_equal(statistic, hits / n, equal) else max(0.0, found.low)
    return Rate(value, min(low, value), min(most, max(found.high, value)), total)


def _as_equal(
    statistic: Callable[[Floats], Floats], rates: Floats, equal: Floats, level: float = 0.95
) -> bool:
    """Whether equal groups look at least as unequal in more than 2.5 % of cases."""
    return bool(np.mean(statistic(equal) >= statistic(rates) - 1e-12) > (1 - level) / 2)
