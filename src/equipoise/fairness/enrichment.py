r"""Enrichment: does rarity find the rare? A group's share of the draws over its natural share.

.. math:: E_g = \frac{\sum_{i \in g} w_i / \sum_i w_i}{n_g / N}

1 is chance, 2 is drawn twice as often as the group occurs. The weights are what resampling without group
labels came to; the labels only judge it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness.scored import generator
from equipoise.groups import Groups
from equipoise.rate import Rate

__all__ = ["enrichment", "rare_groups", "shares", "verdict"]

Values = NDArray[np.float64]

REPLICATES = 2000  # behind an interval
SMALL = 30  # images; of fewer, the heavy ones may be missing, and with them the scale of their weights
MANY = 300  # images; of more, the mean is as good as log-normal


def enrichment(weights: ArrayLike, groups: Groups) -> dict[str, Rate]:
    r"""Share of the draws over the natural share, for each group; above 1 is drawn more often than chance.

    The images are a sample: each group's of what such pictures look like, and a weight is a function of the image. The
    interval is about what the sample stands for, with groups as common as they are here:

    .. math:: E_g = \frac{\mu_g}{q \mu_g + (1 - q) \mu_{\bar g}}, \qquad q = n_g / N

    where μ is the mean weight over all images of the group, or of the others, that might have been drawn.

    Args:
        weights: Sampling weights ≥ 0, one an image of the class being balanced; they need not sum to 1.
        groups: Group of each of these images.

    Returns:
        group → enrichment with a 95 % interval, and `n`, the images of the group. Few images cannot rule out that they
        lack a heavy one, so the upper end of a small group lies far off.

    Raises:
        InputError: if lengths differ, a weight is negative or not finite, or all are 0.

    Undefined: for a group without images.

    Source: N. Gaffke, Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
    variable, Mathematical Methods of Statistics 14, 2005: the mean of a bounded variable, under weights on its n values
    and its bound that are uniform on the simplex; for a share it is Clopper and Pearson's interval. Differs from it in:
    the bounds are estimates, the mean of the group times the smallest and the largest weight that an image has relative
    to the mean of its own group (up to 30 images, at least the largest weight of all); two such means make the ratio;
    above 300 images they are taken as log-normal. `benchmarks/interval_coverage.py` simulates how often it is right.

    Example:
        >>> groups = Groups.from_column(["rare", "common", "common", "common"])
        >>> enrichment([3.0, 1.0, 1.0, 1.0], groups)["rare"].value
        2.0
    """
    drawn = _weights(weights, groups)
    n, mean = groups.counts, float(drawn.mean())
    means = np.bincount(groups.ids, weights=drawn, minlength=len(n)) / np.maximum(n, 1)
    # Relative to the mean of its group; an image alone in its group says nothing about that.
    known = (n > 1)[groups.ids] & (means > 0)[groups.ids]
    relative = drawn[known] / means[groups.ids[known]] if known.any() else drawn / mean
    spread = float(drawn.max()), float(relative.min()), float(relative.max())
    found = {}
    for i, name in enumerate(groups.names):
        if not n[i]:
            found[name] = Rate.undefined("no images")
            continue
        chance = generator(0, "enrichment", groups.attribute, name)
        mine = groups.ids == i
        low, high = _ends(drawn[mine], drawn[~mine], spread, chance)
        value = float(means[i] / mean)
        value = (
            1.0 if abs(value - 1) < 1e-12 else value
        )  # equal weights are chance, whatever rounding makes of them
        found[name] = Rate(value, min(low, value), max(high, value), int(n[i]))
    return found


def _ends(
    inside: Values, outside: Values, spread: tuple[float, float, float], chance: np.random.Generator
) -> tuple[float, float]:
    """Ends of the interval of a group's enrichment; `spread` is the largest weight and the range of relative ones."""
    largest, least, most = spread
    share = inside.size / (inside.size + outside.size)

    def drawn(values: Values, *, heavy: bool) -> Values:
        if not values.size:
            return np.zeros(REPLICATES)
        if not heavy:
            return _means(values, float(min(values.min(), values.mean() * least)), chance)
        bound = float(values.mean()) * most
        return _means(values, max(bound, largest) if values.size <= SMALL else bound, chance)

    def enriched(mine: Values, others: Values) -> Values:
        return np.asarray(mine / (share * mine + (1 - share) * others))

    low = enriched(drawn(inside, heavy=False), drawn(outside, heavy=True))
    high = enriched(drawn(inside, heavy=True), drawn(outside, heavy=False))
    return float(np.quantile(low, 0.025)), float(np.quantile(high, 0.975))


def _means(values: Values, bound: float, chance: np.random.Generator) -> Values:
    """Means of the values and a bound under weights that are uniform on the simplex, shape (REPLICATES,)."""
    n = values.size
    if n <= MANY:
        waits = chance.standard_exponential((REPLICATES, n + 1))
        return np.asarray((waits[:, :n] @ np.sort(values) + waits[:, n] * bound) / waits.sum(axis=1))
    mean = (values.sum() + bound) / (n + 1)
    if mean == 0:
        return np.zeros(REPLICATES)
    variance = ((values @ values + bound**2) / (n + 1) / mean**2 - 1) / (n + 2)  # relative
    logs = np.sqrt(max(variance, 0.0)) * chance.standard_normal(REPLICATES) - variance / 2
    return np.asarray(mean * np.exp(logs))


def shares(weights: ArrayLike, groups: Groups) -> tuple[dict[str, float], dict[str, float]]:
    """Natural share of each group and its share of the draws; each sums to 1. Arguments as `enrichment`."""
    drawn = _weights(weights, groups)
    natural = groups.counts / len(drawn)
    sampled = np.bincount(groups.ids, weights=drawn, minlength=len(groups.names)) / drawn.sum()
    return (
        dict(zip(groups.names, natural.tolist(), strict=True)),
        dict(zip(groups.names, sampled.tolist(), strict=True)),
    )


def rare_groups(enrichments: Mapping[str, Rate]) -> list[str]:
    """Groups with less than half of an equal share of the images, rarest first; empty groups do not count."""
    present = {name: rate.n for name, rate in enrichments.items() if rate.defined}
    limit = sum(present.values()) / (2 * max(1, len(present)))
    return sorted((name for name in present if present[name] < limit), key=lambda name: (present[name], name))


def verdict(
    enrichments: Mapping[str, Rate],
    *,
    attribute: str = "",
    goal: float = 2.0,
    asked: Mapping[str, Rate] | None = None,
    why: str = "",
) -> str:
    """Whether rarity found the rare, in words: what happened to groups under half of an equal share.

    Args:
        enrichments: What `enrichment` gave.
        attribute: What the groups are about, for the sentence.
        goal: Enrichment that counts as "found".
        asked: Enrichments that the weights asked for, told where what was drawn differs.
        why: Why it does, in words.

    Example:
        >>> print(verdict({"a": Rate(2.5, 2.2, 2.9, 50), "b": Rate(0.95, 0.94, 0.96, 950)}, attribute="skin"))
        Rarity found the rare (skin): a (5.0 % of the images) is drawn 2.50 times as often as it occurs.
    """
    rare = rare_groups(enrichments)
    about = f" ({attribute})" if attribute else ""
    reasons = [rate.reason for rate in enrichments.values() if not rate.defined]
    if reasons and len(reasons) == len(enrichments):
        return f"Whether rarity found the rare is undefined{about}: {reasons[0]}."
    if not rare:
        return f"No group is rare{about}: each has at least half of an equal share of the images."
    total = sum(rate.n for rate in enrichments.values())
    reached = [name for name in rare if enrichments[name].value >= goal and enrichments[name].low > 1]
    more = [name for name in rare if enrichments[name].low > 1]
    if len(reached) == len(rare):
        opening = f"Rarity found the rare{about}"
    else:
        found = "found the rare only in part" if more else "did not find the rare"
        about = (
            f" ({attribute}; the goal is {goal:g} times)" if attribute else f" (the goal is {goal:g} times)"
        )
        opening = f"Rarity {found}{about}"
    told = [
        _words(name, enrichments[name], total) + _asked(enrichments[name], (asked or {}).get(name), why)
        for name in rare
    ]
    return f"{opening}: {'; '.join(told)}."


def _asked(rate: Rate, asked: Rate | None, why: str) -> str:
    if asked is None or not asked.defined or abs(asked.value - rate.value) <= 0.02 * rate.value:
        return ""
    return f" ({asked.value:.2f} was asked{f'; {why}' if why else ''})"


def _words(name: str, rate: Rate, total: int) -> str:
    share = f"{name} ({100 * rate.n / total:.1f} % of the images)"
    if rate.low > 1:
        return f"{share} is drawn {rate.value:.2f} times as often as it occurs"
    if rate.high < 1:
        return f"{share} is drawn less often than it occurs, {rate.value:.2f} times"
    interval = f"[{rate.low:.2f}, {rate.high:.2f}]"
    return f"{share} is drawn about as often as it occurs, {rate.value:.2f} times {interval}"


def _weights(weights: ArrayLike, groups: Groups) -> Values:
    drawn = np.asarray(weights, dtype=np.float64)
    if drawn.ndim != 1 or len(drawn) != len(groups) or not len(drawn):
        raise InputError(
            f"Weights must be a vector with one entry a row of the groups ({len(groups)}, at least one); got "
            f"shape {drawn.shape}. Take the groups of the images that the weights are about."
        )
    if not np.isfinite(drawn).all() or (drawn < 0).any() or drawn.sum() <= 0:
        raise InputError(
            "Weights must be finite and ≥ 0, and not all 0; got "
            f"values from {np.min(drawn)} to {np.max(drawn)}. Pass sampling weights, not their logarithms."
        )
    return drawn
