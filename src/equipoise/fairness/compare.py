"""`compare`: what changed from one model to another on the same images, with paired intervals.

Two models that see the same images err together, so the doubt in their difference is smaller than the two
intervals side by side suggest. Each resample is one set of images for both models: the negatives move both
thresholds, and each positive counts with what both models made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError
from equipoise.fairness.intervals import SPREADS, between, bias_corrected, resampled_pairs
from equipoise.fairness.operating import AT_FPR, AT_THRESHOLD, Point, fixed, hits_by_group
from equipoise.fairness.rates import (
    NO_IMAGES,
    NO_NEGATIVES,
    NO_POSITIVES,
    allowed_false_positives,
    cut_at_fpr,
    placements,
)
from equipoise.fairness.scored import Scored, finite, fraction, generator, replicate_count
from equipoise.groups import Groups
from equipoise.rate import Rate

__all__ = ["Comparison", "Difference", "compare"]

CELLS = 4_000_000  # resampled counts held in memory at once


@dataclass(frozen=True)
class Difference:
    """A model minus the baseline, on the same images; points are "at_0.5" and "at_fpr".

    Args:
        fpr: Difference of false-positive rates at the threshold: above 0 is more trigger-happy.
        tpr: point → difference of TPR over all positives; above 0 is better, as in `groups`, `worst_group`.
        auroc: Difference of the areas under the ROC curve; above 0 ranks positives higher.
        accuracy: Difference of the shares called right at the threshold.
        groups: attribute → group → point → difference of TPR.
        worst_group: attribute → point → difference of the lowest TPR (each model has its own worst group).
        gap: attribute → point → difference of the gaps; below 0 is more equal.
        variance: attribute → point → difference of the variances, percent²; below 0 is more equal.
    """

    fpr: Rate
    tpr: dict[str, Rate]
    auroc: Rate
    accuracy: Rate
    groups: dict[str, dict[str, dict[str, Rate]]]
    worst_group: dict[str, dict[str, Rate]]
    gap: dict[str, dict[str, Rate]]
    variance: dict[str, dict[str, Rate]]


@dataclass(frozen=True)
class Comparison:
    """Models against a baseline.

    Args:
        baseline: Name of the model that the others are compared with.
        threshold: First operating point; `fpr_asked` is the matched false-positive rate of the second.
        differences: model → difference from the baseline.
        not_compared: attribute → groups without positives.
    """

    baseline: str
    threshold: float
    fpr_asked: float
    differences: dict[str, Difference]
    not_compared: dict[str, tuple[str, ...]]


def compare(
    scores: Mapping[str, ArrayLike],
    labels: ArrayLike,
    groups: Groups | Sequence[Groups] = (),
    *,
    baseline: str,
    fpr: float = 0.01,
    threshold: float = 0.5,
    intersections: bool = True,
    replicates: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Differences of the models from a baseline, with paired 95 % intervals over images.

    Args:
        scores: model → probabilities in [0, 1], all on the same images.
        labels: 1 = positive, 0 = negative.
        groups: One `Groups` an attribute.
        baseline: The model that the others are compared with.
        fpr: Matched false-positive rate; each model has its own threshold for it.
        threshold: The other operating point.
        intersections: With several attributes, also each pair of them.
        replicates: Resamples behind the intervals.
        seed: Seed of the resampling; a difference does not depend on which other models are compared.

    Raises:
        InputError: if the baseline or another model is missing, or as for `evaluate`.

    Undefined: differences of rates that are undefined, as in `evaluate`.

    Example:
        >>> labels = np.r_[np.ones(50), np.zeros(50)]
        >>> plain = np.r_[np.full(30, 0.9), np.full(20, 0.2), np.full(50, 0.1)]
        >>> better = np.r_[np.full(40, 0.9), np.full(10, 0.2), np.full(50, 0.1)]
        >>> found = compare({"plain": plain, "debiased": better}, labels, baseline="plain")
        >>> round(found.differences["debiased"].tpr["at_0.5"].value, 3)
        0.2
    """
    if baseline not in scores or len(scores) < 2:
        raise InputError(
            f"A comparison needs the baseline and at least one other model; got baseline {baseline!r} and "
            f"models {list(scores)}. Name one of the models as the baseline."
        )
    fpr, threshold = fraction(fpr, "The false-positive rate"), finite(threshold, "The threshold")
    replicates = replicate_count(replicates)
    base = Scored.checked(scores[baseline], labels, groups, intersections=intersections)
    differences = {}
    for model, values in scores.items():
        if model != baseline:
            other = replace(Scored.checked(values, labels), groups=base.groups)
            differences[model] = _difference(other, base, fpr, threshold, replicates, seed)
    not_compared = {
        g.attribute: tuple(g.names[i] for i in base.shown(g) if not base.counts(g)[0][i]) for g in base.groups
    }
    return Comparison(baseline, threshold, fpr, differences, not_compared)


def _difference(
    model: Scored, baseline: Scored, fpr: float, threshold: float, replicates: int, seed: int
) -> Difference:
    points = {
        AT_THRESHOLD: (fixed(model.cut(threshold)), fixed(baseline.cut(threshold))),
        AT_FPR: _matched_pair(model, baseline, fpr, replicates, generator(seed, "threshold")),
    }
    everyone = Groups(np.zeros(len(model.scores), np.int64), ("all",), attribute="")
    tables = [
        _by_group(model, baseline, groups, points, replicates, seed) for groups in (everyone, *model.groups)
    ]
    attributes = [groups.attribute for groups in model.groups]
    by_attribute = dict(zip(attributes, tables[1:], strict=True))
    m = len(model.negatives)
    alarms = _Pair(model.negatives, baseline.negatives, np.zeros(m, np.int64), 1, points[AT_THRESHOLD])
    return Difference(
        fpr=alarms.rates(replicates, generator(seed, "fpr"), NO_NEGATIVES)[0],
        tpr=tables[0][0]["all"],
        auroc=_area_difference(model, baseline),
        accuracy=_accuracy_difference(model, baseline, threshold, replicates, generator(seed, "accuracy")),
        groups={name: table[0] for name, table in by_attribute.items()},
        worst_group={name: table[1]["worst"] for name, table in by_attribute.items()},
        gap={name: table[1]["gap"] for name, table in by_attribute.items()},
        variance={name: table[1]["variance"] for name, table in by_attribute.items()},
    )


def _matched_pair(
    model: Scored, baseline: Scored, fpr: float, replicates: int, generator: np.random.Generator
) -> tuple[Point, Point]:
    """The thresholds of two models at a matched false-positive rate, from the same resampled negatives.

    Only the highest negatives can become a threshold, so only they are counted: with k allowed, the
    (k + 1)-th highest of a resample lies among the `reach` highest (but for a chance below 10⁻⁹).
    """
    both = model.negatives, baseline.negatives
    m = len(both[0])
    if not m:
        nowhere = Point(np.nan, np.full(1, np.inf), NO_NEGATIVES)
        return nowhere, nowhere
    allowed = allowed_false_positives(m, fpr)
    thresholds = [cut_at_fpr(scored.negatives.astype(scored.precision), fpr) for scored in (model, baseline)]
    if allowed == m:
        return fixed(thresholds[0]), fixed(thresholds[1])
    reach = min(m, allowed + 1 + int(np.ceil(8 * np.sqrt(allowed + 1))) + 16)
    highest = [np.lexsort((np.arange(m), -negatives))[:reach] for negatives in both]
    kept = np.unique(np.concatenate(highest))
    places = [np.searchsorted(kept, rows) for rows in highest]
    chances = np.append(np.full(len(kept), 1 / m), max(0.0, 1 - len(kept) / m))
    limits = np.empty((2, replicates))
    block = max(1, CELLS // len(chances))
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        counts = generator.multinomial(m, chances, size)
        for i, negatives in enumerate(both):
            passed = counts[:, places[i]].cumsum(axis=1) > allowed
            passed[:, -1] = True
            limits[i, start : start + size] = negatives[highest[i][passed.argmax(axis=1)]]
    return Point(thresholds[0], limits[0]), Point(thresholds[1], limits[1])


@dataclass(frozen=True, eq=False)
class _Pair:
    """What two models make of the same images, by group, at one operating point."""

    scores: NDArray[np.float64]
    others: NDArray[np.float64]
    ids: NDArray[np.int64]
    groups: int
    points: tuple[Point, Point]

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Images of each group, and hits of the first and of the second model, each (groups,)."""
        n = np.bincount(self.ids, minlength=self.groups).astype(np.int64)
        return n, self._found[0][0], self._found[1][0]

    @cached_property
    def _found(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        models = zip((self.scores, self.others), self.points, strict=True)
        return [hits_by_group(scores, self.ids, self.groups, point) for scores, point in models]

    def drawn(
        self, replicates: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Replicates of both models' rates on the same resampled images, each (replicates, groups)."""
        n = self.counts()[0]
        shape = (replicates, self.groups)
        both, first, second = (
            np.broadcast_to(cell, shape) for cell in (self._both(), self._found[0][1], self._found[1][1])
        )
        return resampled_pairs(both, first, second, n, generator)

    def _both(self) -> NDArray[np.int64]:
        """Images above the limits of both models, (limits, groups).

        The limits take few values. Each image is placed among those of each model, and a table summed from
        the far corner answers every pair of limits.
        """
        first, rows = np.unique(self.points[0].limits, return_inverse=True)
        second, columns = np.unique(self.points[1].limits, return_inverse=True)
        passed = np.searchsorted(first, self.scores, side="left")
        passed_other = np.searchsorted(second, self.others, side="left")
        width = len(second) + 1
        cells = passed * width + passed_other
        both = np.empty((len(rows), self.groups), dtype=np.int64)
        for i in range(self.groups):
            table = np.bincount(cells[self.ids == i], minlength=(len(first) + 1) * width)
            above = table.reshape(-1, width)[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]
            both[:, i] = above[rows + 1, columns + 1]
        return both

    def rates(self, replicates: int, generator: np.random.Generator, reason: str) -> list[Rate]:
        """Differences of the rates by group."""
        n, mine, theirs = self.counts()
        first, second = self.drawn(replicates, generator)
        return _differences(n, mine, theirs, first - second, reason)


def _area_difference(model: Scored, baseline: Scored) -> Rate:
    """Difference of two AUROCs on the same images.

    Source: DeLong, DeLong, Clarke-Pearson 1988, equation 7. Differs from it in: where no image's place differs, the
    doubt is half an image of each class, so that two models that separate the same few images fully are not equal
    beyond doubt.
    """
    sizes = len(model.positives), len(model.negatives)
    if not all(sizes):
        return Rate.undefined(NO_NEGATIVES if sizes[0] else NO_POSITIVES)
    above, below = (
        placements(getattr(model, mine), getattr(model, others))
        - placements(getattr(baseline, mine), getattr(baseline, others))
        for mine, others in (("positives", "negatives"), ("negatives", "positives"))
    )
    parts = (above, below)
    spread = sum(float(part.var(ddof=1)) / len(part) if len(part) > 1 else 1.0 for part in parts)
    spread = spread or sum(0.25 / len(part) ** 2 for part in parts)
    value, half = float(above.mean()), NormalDist().inv_cdf(0.975) * spread**0.5
    return Rate(value, max(-1.0, value - half), min(1.0, value + half), sum(sizes))


def _accuracy_difference(
    model: Scored, baseline: Scored, threshold: float, replicates: int, generator: np.random.Generator
) -> Rate:
    """Difference of two accuracies on the same images, as many positives and negatives in each resample."""
    n = len(model.labels)
    if not n:
        return Rate.undefined(NO_IMAGES)
    point = fixed(model.cut(threshold)), fixed(baseline.cut(threshold))
    value, drawn = 0.0, np.zeros(replicates)
    for sign, scores, others in (
        (1, model.positives, baseline.positives),
        (-1, model.negatives, baseline.negatives),  # a false alarm more is a right call less
    ):
        if len(scores):
            seen = _Pair(scores, others, np.zeros(len(scores), np.int64), 1, point)
            _, mine, theirs = seen.counts()
            first, second = seen.drawn(replicates, generator)
            value += sign * float(mine[0] - theirs[0]) / n
            drawn += sign * (first - second)[:, 0] * len(scores) / n
    return between(drawn, value, n)


def _differences(
    n: NDArray[np.int64],
    mine: NDArray[np.int64],
    theirs: NDArray[np.int64],
    drawn: NDArray[np.float64],
    reason: str,
) -> list[Rate]:
    return [
        between(drawn[:, i], float((mine[i] - theirs[i]) / n[i]), int(n[i]))
        if n[i]
        else Rate.undefined(reason)
        for i in range(len(n))
    ]


def _by_group(
    model: Scored,
    baseline: Scored,
    groups: Groups,
    points: dict[str, tuple[Point, Point]],
    replicates: int,
    seed: int,
) -> tuple[dict[str, dict[str, Rate]], dict[str, dict[str, Rate]]]:
    """group → point → difference, and statistic → point → difference."""
    k = len(groups.names)
    shown = model.shown(groups)
    by_group: dict[str, dict[str, Rate]] = {groups.names[i]: {} for i in shown}
    spreads: dict[str, dict[str, Rate]] = {name: {} for name in SPREADS}
    for key, pair in points.items():
        if pair[0].reason is not None:
            rates = [Rate.undefined(pair[0].reason)] * k
            for name in SPREADS:
                spreads[name][key] = rates[0] if rates else Rate.undefined(pair[0].reason)
        else:
            seen = _Pair(model.positives, baseline.positives, groups.ids[model.labels], k, pair)
            n, mine, theirs = seen.counts()
            first, second = seen.drawn(replicates, generator(seed, groups.attribute, key, "pair"))
            rates = _differences(n, mine, theirs, first - second, NO_POSITIVES)
            some = np.flatnonzero(n)
            for name, statistic in SPREADS.items():
                if len(some) < (1 if name == "worst" else 2):
                    reason = "fewer than two groups have positives" if len(some) else NO_POSITIVES
                    spreads[name][key] = Rate.undefined(reason, int(n.sum()))
                    continue
                value = statistic(mine[some] / n[some]) - statistic(theirs[some] / n[some])
                moved = statistic(first[:, some]) - statistic(second[:, some])
                spreads[name][key] = bias_corrected(moved, float(value), int(n.sum()))
        for i in shown:
            by_group[groups.names[i]][key] = rates[i]
    return by_group, spreads
