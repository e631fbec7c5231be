r"""Enrichment: does rarity find the rare? A group's share of the draws over its natural share.

.. math:: E_g = \frac{\sum_{i \in g} w_i / \sum_i w_i}{n_g / N}

1 is chance, 2 is drawn twice as often as the group occurs. The weights are what resampling without group
labels came to; the labels only judge it.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.groups import Groups
from equipoise.intervals import proportion
from equipoise.rate import Rate

__all__ = ["enrichment", "rare_groups", "shares", "verdict"]


def enrichment(weights: ArrayLike, groups: Groups) -> dict[str, Rate]:
    """Share of the draws over the natural share, for each group; above 1 is drawn more often than chance.

    Args:
        weights: Sampling weights ≥ 0, one an image of the class being balanced; they need not sum to 1.
        groups: Group of each of these images.

    Returns:
        group → enrichment with a 95 % interval over images, and `n`, the images of the group. The interval is
        the closed-form limit of the bootstrap over images within groups, on the logarithmic scale.

    Raises:
        InputError: if lengths differ, a weight is negative or not finite, or all are 0.

    Undefined: for a group without images.

    Example:
        >>> groups = Groups.from_column(["rare", "common", "common", "common"])
        >>> enrichment([3.0, 1.0, 1.0, 1.0], groups)["rare"].value
        2.0
    """
    drawn = _weights(weights, groups)
    total = len(drawn)
    k = len(groups.names)
    n = groups.counts
    some = np.maximum(n, 1)
    means = np.bincount(groups.ids, weights=drawn, minlength=k) / some
    squares = np.bincount(groups.ids, weights=(drawn - means[groups.ids]) ** 2, minlength=k)
    spread = np.where(n > 1, squares / np.maximum(n - 1, 1), drawn.var())
    natural, mean = n / total, float(drawn.mean())
    of_mean = natural**2 * spread / some / mean**2
    z = NormalDist().inv_cdf(0.975)
    found = {}
    for i, name in enumerate(groups.names):
        if not n[i]:
            found[name] = Rate.undefined("no images")
            continue
        value = float(means[i] / mean)
        if value == 0:
            most = proportion(0, int(n[i])).high * float(drawn.max()) / mean
            found[name] = Rate(0.0, 0.0, most, int(n[i]))
            continue
        own = (1 / means[i] - natural[i] / mean) ** 2 * spread[i] / n[i]
        factor = float(np.exp(z * np.sqrt(own + of_mean.sum() - of_mean[i])))
        found[name] = Rate(value, value / factor, value * factor, int(n[i]))
    return found


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


def verdict(enrichments: Mapping[str, Rate], *, attribute: str = "", goal: float = 2.0) -> str:
    """Whether rarity found the rare, in words: what happened to groups under half of an equal share.

    Args:
        enrichments: What `enrichment` gave.
        attribute: What the groups are about, for the sentence.
        goal: Enrichment that counts as "found".

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
    return f"{opening}: {'; '.join(_words(name, enrichments[name], total) for name in rare)}."


def _words(name: str, rate: Rate, total: int) -> str:
    share = f"{name} ({100 * rate.n / total:.1f} % of the images)"
    if rate.low > 1:
        return f"{share} is drawn {rate.value:.2f} times as often as it occurs"
    if rate.high < 1:
        return f"{share} is drawn less often than it occurs, {rate.value:.2f} times"
    interval = f"[{rate.low:.2f}, {rate.high:.2f}]"
    return f"{share} is drawn about as often as it occurs, {rate.value:.2f} times {interval}"


def _weights(weights: ArrayLike, groups: Groups) -> NDArray[np.float64]:
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
