"""Divergences of the groups' scores (KL) with intervals, for `attribute_metrics` and `compare_attributes`.

Noise alone sets histograms apart, the more so the fewer rows they have, so the plug-in is too large. The upper limit is
that of row weights (Rubin's Bayesian bootstrap), moved back by twice the bias that they show. The lower limit is a test
turned round: the groups' histograms are pulled together step by step until a divergence as large as the one seen comes
in more than 2.5 % of draws of as many rows; 0 where that is so with equal groups.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from equipoise.fairness.attribute_statistics import ONE_GROUP, Called, Resampled
from equipoise.fairness.cells import Cells
from equipoise.fairness.score_divergence import Histograms, pairwise
from equipoise.intervals import TAIL, bias_corrected
from equipoise.rate import Rate

__all__ = ["KL", "divergence_rates"]

Floats = NDArray[np.float64]

KL: dict[str, tuple[int, ...]] = {"kl": (1, 0), "kl_positives": (1,), "kl_negatives": (0,)}
"""Field → the targets whose divergences are averaged."""
STEPS = 21  # from equal groups to groups as far apart as was seen


def divergence_rates(
    called: Called, cells: Cells, drawn: Resampled, smoothing: float, chance: np.random.Generator
) -> dict[str, Rate]:
    """Field of `KL` → its number; undefined with one group, or where a cell that it needs has no rows."""
    rates, seen = {}, {}
    for name, targets in KL.items():
        n = int(cells.counts[list(targets)].sum())
        if (reason := ONE_GROUP if cells.groups < 2 else cells.empty(targets)) is not None:
            rates[name] = Rate.undefined(reason, n)
            continue
        values = _largest(drawn.divergences, targets)
        seen[name] = float(values[0])
        rates[name] = bias_corrected(values[1:], float(values[0]), n)
    replicates = len(drawn.divergences) - 1
    for name, low in _lowest(called, cells, smoothing, replicates, chance, seen).items():
        rates[name] = Rate(seen[name], min(low, seen[name]), rates[name].high, rates[name].n)
    return rates


def _largest(divergences: Floats, targets: tuple[int, ...]) -> Floats:
    """The pair of groups that is farthest apart, from (…, 2, pairs)."""
    return np.asarray(divergences[..., list(targets), :].mean(axis=-2).max(axis=-1))


def _lowest(
    called: Called,
    cells: Cells,
    smoothing: float,
    replicates: int,
    chance: np.random.Generator,
    seen: Mapping[str, float],
) -> dict[str, float]:
    """Lower limits of the divergences that were seen."""
    histograms = Histograms.of(called.scores, cells.ids, called.edges, cells.groups)
    counts = np.maximum(cells.counts, 1)
    shares = histograms.weighed((1 / counts.reshape(-1)[cells.ids])[None])[0]
    pooled = (shares * cells.counts[..., None]).sum(axis=1, keepdims=True)
    pooled /= np.maximum(cells.counts.sum(axis=1), 1)[:, None, None]
    found: dict[str, float] = {}
    before = dict.fromkeys(seen, 0.0)
    for step in np.linspace(0, 1, STEPS):
        if len(found) == len(seen):
            break
        there = pooled + step * (shares - pooled)
        chances = there / np.maximum(there.sum(axis=-1, keepdims=True), 1e-300)
        drawn = (
            chance.multinomial(cells.counts, chances, (replicates, *cells.counts.shape)) / counts[..., None]
        )
        drawn = pairwise(drawn, cells.counts, smoothing)
        told = pairwise(there, 1000 * cells.counts, smoothing)
        for name in seen.keys() - found.keys():
            if np.mean(_largest(drawn, KL[name]) >= seen[name]) > TAIL:
                found[name] = before[name]
            before[name] = float(_largest(told, KL[name]))
    return {name: found.get(name, before[name]) for name in seen}
