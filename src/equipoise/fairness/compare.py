"""`compare`: what changed from one model to another on the same images, with paired intervals.

Two models that see the same images err together, so the doubt in their difference is smaller than the two
intervals side by side suggest: the evidence is in the images on which they disagree. "The interval covers 0" means
that the exact McNemar test does not tell the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from equipoise.errors import InputError
from equipoise.fairness.operating import (
    AT_FPR,
    AT_THRESHOLD,
    Point,
    fixed,
    matched_pair,
    pairs_found,
    shares_found,
)
from equipoise.fairness.rates import NO_IMAGES, NO_NEGATIVES, NO_POSITIVES
from equipoise.fairness.scored import Scored, finite, fraction, generator, replicate_count
from equipoise.groups import Groups
from equipoise.intervals import (
    Pairs,
    area_difference,
    gap_difference,
    variance,
    variance_difference,
    worst_difference,
)
from equipoise.notebook import rate_text, short, table_html
from equipoise.rate import Rate

__all__ = ["Comparison", "Difference", "compare"]


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

    def __repr__(self) -> str:
        points = ", ".join(f"TPR {rate_text(rate)} {point}" for point, rate in self.tpr.items())
        return f"Difference({points}; by {', '.join(map(short, self.groups)) or 'no attribute'})"


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

    def __repr__(self) -> str:
        changes = [
            f"{short(name)} TPR {one.tpr[AT_THRESHOLD].value:+.3f} at {self.threshold:g}"
            for name, one in self.differences.items()
        ]
        return f"Comparison(against {short(self.baseline)}: {', '.join(changes)})"

    def _repr_html_(self) -> str:
        heads = [
            "model",
            f"TPR at {self.threshold:g}",
            f"TPR at {100 * self.fpr_asked:g} % FPR",
            "FPR",
            "AUROC",
        ]
        rows = [
            [name, *map(rate_text, (one.tpr[AT_THRESHOLD], one.tpr[AT_FPR], one.fpr, one.auroc))]
            for name, one in self.differences.items()
        ]
        return table_html(f"Differences from {self.baseline}, paired", heads, rows)


# Keywords of a public door, each a choice of its own.
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
        replicates: Draws behind the intervals of variances over groups.
        seed: Seed of chance; a difference does not depend on which other models are compared.

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
    at = fixed(model.cut(threshold)), fixed(baseline.cut(threshold))
    points = {
        AT_THRESHOLD: at,
        AT_FPR: matched_pair(model, baseline, fpr, generator(seed, "threshold")),
    }
    everyone = Groups(np.zeros(len(model.scores), np.int64), ("all",), attribute="")
    tables = {
        groups.attribute: _by_group(model, baseline, groups, points, replicates, seed)
        for groups in (everyone, *model.groups)
    }
    total = tables.pop("").groups["all"]
    alarms = pairs_found(model.negatives, baseline.negatives, np.zeros(len(model.negatives), np.int64), 1, at)
    right = [(scored.scores >= scored.cut(threshold)) == scored.labels for scored in (model, baseline)]
    won, lost = right[0] & ~right[1], right[1] & ~right[0]
    calls = Pairs.of(np.array([won.sum()]), np.array([lost.sum()]), np.array([len(won)]))
    return Difference(
        fpr=alarms.rates(NO_NEGATIVES)[0],
        tpr=total,
        auroc=area_difference((model.positives, model.negatives), (baseline.positives, baseline.negatives)),
        accuracy=calls.rates(NO_IMAGES)[0],
        groups={name: table.groups for name, table in tables.items()},
        worst_group={name: table.worst_group for name, table in tables.items()},
        gap={name: table.gap for name, table in tables.items()},
        variance={name: table.variance for name, table in tables.items()},
    )


@dataclass(frozen=True)
class _Table:
    """The differences of one attribute: group → point → rate, and point → rate."""

    groups: dict[str, dict[str, Rate]]
    worst_group: dict[str, Rate]
    gap: dict[str, Rate]
    variance: dict[str, Rate]


def _by_group(
    model: Scored,
    baseline: Scored,
    groups: Groups,
    points: dict[str, tuple[Point, Point]],
    replicates: int,
    seed: int,
) -> _Table:
    k, ids, shown = len(groups.names), groups.ids[model.labels], model.shown(groups)
    table = _Table({groups.names[i]: {} for i in shown}, {}, {}, {})
    for key, pair in points.items():
        compared = np.flatnonzero(np.bincount(ids, minlength=k))
        if (reason := pair[0].reason or (None if len(compared) else NO_POSITIVES)) is not None:
            table.worst_group[key] = table.gap[key] = table.variance[key] = Rate.undefined(reason)
            rates = [Rate.undefined(reason)] * k
        else:
            pairs = pairs_found(model.positives, baseline.positives, ids, k, pair)
            rates = pairs.rates(NO_POSITIVES)
            shares = [
                shares_found(scored.positives, ids, k, point).take(compared)
                for scored, point in zip((model, baseline), pair, strict=True)
            ]
            of_both = shares[0], shares[1], pairs.take(compared)
            table.worst_group[key] = worst_difference(*of_both)
            table.gap[key] = gap_difference(*of_both)
            table.variance[key] = variance_difference(
                *(
                    variance(one, replicates=replicates, generator=generator(seed, groups.attribute, key))
                    for one in shares
                )
            )
        for i in shown:
            table.groups[groups.names[i]][key] = rates[i]
    return table
