"""`evaluate`: all numbers about one model's scores, in total and by group, at two operating points."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equipoise.errors import InputError, UndefinedRateWarning
from equipoise.fairness.operating import AT_FPR, AT_THRESHOLD, Point, fixed, matched, shares_found
from equipoise.fairness.rates import (
    NO_IMAGES,
    NO_NEGATIVES,
    NO_POSITIVES,
    check_negatives,
    cut_at_fpr,
    group_areas,
    group_means,
)
from equipoise.fairness.scored import Scored, finite, fraction, generator, replicate_count
from equipoise.groups import Groups
from equipoise.intervals import Proportions, gap, proportion, variance, worst
from equipoise.notebook import rate_text, short, table_html
from equipoise.rate import Rate

__all__ = ["SMALL", "Evaluation", "GroupNumbers", "WorstGroup", "evaluate", "threshold_only"]

SMALL = 30
"""A group with fewer positives is marked small: too few to say much."""


@dataclass(frozen=True)
class GroupNumbers:
    """Numbers of one group.

    Args:
        n: Images; `positives` of them.
        small: Fewer than 30 positives.
        tpr: Share of the positives found at `threshold`; `fnr` is the share missed.
        tpr_at_fpr: The same at the matched false-positive rate.
        auroc: Positives of the group against all negatives, or its own (`negatives` of `evaluate`).
        mean_probability: Mean score of the positives.
        fpr: Share of the group's negatives called positive at `threshold`; often undefined.
        accuracy: Share of the group's images called right at `threshold`.
    """

    n: int
    positives: int
    small: bool
    tpr: Rate
    tpr_at_fpr: Rate
    auroc: Rate
    mean_probability: Rate
    fpr: Rate
    accuracy: Rate

    @property
    def fnr(self) -> Rate:
        """Share of the positives missed at `threshold`."""
        return self.tpr.complement

    @property
    def fnr_at_fpr(self) -> Rate:
        """Share of the positives missed at the matched false-positive rate."""
        return self.tpr_at_fpr.complement


class WorstGroup(TypedDict):
    """The group with the lowest TPR (None if no group has positives), and that TPR.

    The interval is that of the lowest rate over all groups, not of this group picked beforehand.
    """

    group: str | None
    tpr: Rate


@dataclass(frozen=True)
class Evaluation:
    """All numbers about one model's scores. Rates are in [0, 1], variances in percent².

    Args:
        n: Images; `positives` and `negatives` of them.
        threshold: First operating point, "at_0.5" in the keys.
        fpr_asked: False-positive rate asked for at the second operating point, "at_fpr" in the keys.
        threshold_at_fpr: Its threshold, from the negatives given, as a probability; NaN without negatives.
        fpr_achieved: False-positive rate reached there on those negatives: ≤ `fpr_asked`, and less when
            negatives are few or tied; the interval is about the rate on all negatives that there may be.
        fpr: False-positive rate at `threshold`.
        tpr: True positive rate at `threshold`, all positives.
        tpr_at_fpr: The same at the matched false-positive rate.
        auroc: Area under the ROC curve, ties ½.
        accuracy: Share of all images called right at `threshold`.
        mean_probability: Mean score of the positives.
        groups: attribute → group → numbers.
        variance: attribute → point → variance of TPR over groups, percent².
        worst_group: attribute → point → the worst group and its TPR.
        gap: attribute → point → largest minus smallest TPR.
        not_compared: attribute → groups without positives, left out of variance, worst group and gap.
        logit_at_fpr: `threshold_at_fpr` as a logit; None where only probabilities are known, or there is no threshold.
        saturated: Scores tied at a probability of exactly 0 or 1, so that rounding hides which ranks higher; 0 where
            logits rank.
    """

    n: int
    positives: int
    negatives: int
    threshold: float
    fpr_asked: float
    threshold_at_fpr: float
    fpr_achieved: Rate
    fpr: Rate
    tpr: Rate
    tpr_at_fpr: Rate
    auroc: Rate
    accuracy: Rate
    mean_probability: Rate
    groups: dict[str, dict[str, GroupNumbers]]
    variance: dict[str, dict[str, Rate]]
    worst_group: dict[str, dict[str, WorstGroup]]
    gap: dict[str, dict[str, Rate]]
    not_compared: dict[str, tuple[str, ...]]
    logit_at_fpr: float | None = None
    saturated: int = 0

    @property
    def fnr(self) -> Rate:
        """Share of all positives missed at `threshold`."""
        return self.tpr.complement

    @property
    def fnr_at_fpr(self) -> Rate:
        """Share of all positives missed at the matched false-positive rate."""
        return self.tpr_at_fpr.complement

    def __repr__(self) -> str:
        worst = [
            f"worst by {short(name)} {short(lowest['group'] or '–')} {lowest['tpr'].value:.3f}"
            for name, of in self.worst_group.items()
            for lowest in [of[AT_FPR if self.negatives else AT_THRESHOLD]]
        ]
        found = f"TPR {self.tpr.value:.3f} at {self.threshold:g}"
        if self.negatives:
            found += f", {self.tpr_at_fpr.value:.3f} at {100 * self.fpr_asked:g} % FPR, AUROC {self.auroc.value:.4f}"
        images = f"{self.positives:,} positives, {self.negatives:,} negatives"
        return f"Evaluation({'; '.join([images, found, *worst[:3]])})"

    def _repr_html_(self) -> str:
        def row(attribute: str, group: str, n: int, of: Evaluation | GroupNumbers) -> list[str]:
            rates = (of.tpr, of.tpr_at_fpr, of.mean_probability, of.auroc)
            return [attribute, group, f"{n:,}", *map(rate_text, rates)]

        heads = ["attribute", "group", "positives", f"TPR at {self.threshold:g}"]
        heads += [f"TPR at {100 * self.fpr_asked:g} % FPR", "mean probability", "AUROC"]
        rows = [row("", "all", self.positives, self)]
        rows += [
            row(attribute, group, numbers.positives, numbers)
            for attribute, groups in self.groups.items()
            for group, numbers in groups.items()
        ]
        return table_html(f"{self.positives:,} positives, {self.negatives:,} negatives", heads, rows)


# Keywords of a public door, each a choice of its own.
def evaluate(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: Groups | Sequence[Groups] = (),
    *,
    fpr: float = 0.01,
    threshold: float = 0.5,
    intersections: bool = True,
    negatives: Literal["all", "group"] = "all",
    replicates: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """All numbers about one model's scores, with 95 % intervals over images (`equipoise.intervals` says how).

    Args:
        scores: Probabilities in [0, 1] of "positive", one an image. Those of `train.predict` and `from_logits` keep
            their logits, and are ranked by these: probabilities of large logits are rounded to 1 and tie.
        labels: 1 = positive, 0 = negative.
        groups: One `Groups` an attribute, over all images; negatives without the attribute are "(missing)".
        fpr: Matched false-positive rate: the threshold comes from the negatives given here, by the rule of
            `threshold_at_fpr`.
        threshold: The other operating point.
        intersections: With several attributes, also report each pair of them ("race × gender").
        negatives: What the positives of a group are compared with in its AUROC: see `auroc`.
        replicates: Draws behind the interval of the variance over groups.
        seed: Seed of these draws; equal seeds give equal numbers, whatever else is evaluated.

    Raises:
        InputError: if a score is not a probability, a label not 0 or 1, lengths differ, an attribute stands
            twice, `fpr` is not in [0, 1] or `threshold` is not a number.

    Warns:
        UndefinedRateWarning: once, naming the groups without positives.

    Undefined: TPR without positives; FPR, everything at the matched rate and AUROC without negatives; gap
        and variance with fewer than two groups that have positives. A "(missing)" group without positives
        is not shown.

    Example:
        >>> groups = Groups.from_column(["a"] * 40 + ["b"] * 40 + [None] * 80, attribute="race")
        >>> scores = np.r_[np.full(40, 0.9), np.full(30, 0.8), np.full(10, 0.3), np.full(80, 0.1)]
        >>> found = evaluate(scores, np.r_[np.ones(80), np.zeros(80)], [groups])
        >>> found.worst_group["race"]["at_0.5"]["group"], found.groups["race"]["b"].tpr.value
        ('b', 0.75)
    """
    check_negatives(negatives)
    scored = Scored.checked(scores, labels, groups, intersections=intersections)
    threshold = finite(threshold, "The threshold")
    found = _evaluated(scored, fpr, scored.cut(threshold), negatives, replicates, seed)
    return replace(found, threshold=threshold)


def _evaluated(
    scored: Scored,
    fpr: float,
    cut: float,
    negatives: Literal["all", "group"],
    replicates: int,
    seed: int,
) -> Evaluation:
    """`evaluate` with the threshold on the scale of the scores."""
    fpr, replicates = fraction(fpr, "The false-positive rate"), replicate_count(replicates)
    points = {
        AT_THRESHOLD: fixed(cut),
        AT_FPR: matched(scored, fpr),
    }
    tables = {g.attribute: _by_group(scored, g, points, negatives, replicates, seed) for g in scored.groups}
    everyone = Groups(np.zeros(len(scored.scores), np.int64), ("all",), attribute="")
    total = _by_group(scored, everyone, points, negatives, replicates, seed).groups["all"]
    undefined = [f"{g} ({name})" for name, table in tables.items() for g in table.not_compared]
    if undefined or not len(scored.positives):
        warnings.warn(
            "No TPR, AUROC or mean probability without positives: "
            + (", ".join(undefined) if len(scored.positives) else "there is none at all")
            + ". These numbers are undefined, not 0, and stay out of gap, variance and worst group.",
            UndefinedRateWarning,
            stacklevel=3,
        )
    matched_at = points[AT_FPR].threshold
    return Evaluation(
        n=total.n,
        positives=len(scored.positives),
        negatives=len(scored.negatives),
        threshold=scored.probability_at(cut),
        fpr_asked=fpr,
        threshold_at_fpr=scored.probability_at(matched_at),
        logit_at_fpr=matched_at if scored.logits and points[AT_FPR].reason is None else None,
        saturated=scored.saturated,
        fpr_achieved=_achieved(scored.negatives, matched_at),
        fpr=total.fpr,
        tpr=total.tpr,
        tpr_at_fpr=total.tpr_at_fpr,
        auroc=total.auroc,
        accuracy=total.accuracy,
        mean_probability=total.mean_probability,
        groups={name: table.groups for name, table in tables.items()},
        variance={name: table.variance for name, table in tables.items()},
        worst_group={name: table.worst_group for name, table in tables.items()},
        gap={name: table.gap for name, table in tables.items()},
        not_compared={name: table.not_compared for name, table in tables.items()},
    )


# Keywords of a public door, each a choice of its own.
def threshold_only(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: Groups | Sequence[Groups] = (),
    *,
    like: ArrayLike,
    fpr: float = 0.01,
    threshold: float = 0.5,
    intersections: bool = True,
    negatives: Literal["all", "group"] = "all",
    replicates: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """The control "move only the threshold": a model at the false-positive rate of another.

    The other model at `threshold` calls some share of the negatives positive. The threshold of these scores
    is put where they do the same (at most as much, by the rule of `threshold_at_fpr`), and everything that
    `evaluate` keys "at_0.5" is then measured there. What the other model gains beyond this, it did not gain
    by being trigger-happy. At the matched false-positive rate nothing changes: there the threshold of every
    model has been moved already.

    Args:
        scores: Probabilities of the baseline, one an image; further arguments as for `evaluate`.
        like: Probabilities of the other model on the same images.

    Raises:
        InputError: as `evaluate`, or if there is no negative.
    """
    check_negatives(negatives)
    theirs, mine = (
        Scored.checked(like, labels),
        Scored.checked(scores, labels, groups, intersections=intersections),
    )
    if not len(mine.negatives):
        raise InputError(
            "Moving only the threshold needs negatives, on which the models' false positives are matched; "
            "got none. Add images with label 0."
        )
    rate = float(np.mean(theirs.negatives >= theirs.cut(finite(threshold, "The threshold"))))
    cut = cut_at_fpr(mine.negatives.astype(mine.precision), rate)
    return _evaluated(mine, fpr, cut, negatives, replicates, seed)


@dataclass(frozen=True)
class _Table:
    """The numbers of one attribute."""

    groups: dict[str, GroupNumbers]
    variance: dict[str, Rate]
    worst_group: dict[str, WorstGroup]
    gap: dict[str, Rate]
    not_compared: tuple[str, ...]


def _by_group(
    scored: Scored,
    groups: Groups,
    points: dict[str, Point],
    negatives: Literal["all", "group"],
    replicates: int,
    seed: int,
) -> _Table:
    name, k = groups.attribute, len(groups.names)
    n, m = scored.counts(groups)
    ids = groups.ids[scored.labels]
    shown, compared = scored.shown(groups), np.flatnonzero(n)
    left_out = tuple(groups.names[i] for i in shown if not n[i])
    variances: dict[str, Rate] = {}
    lowest: dict[str, WorstGroup] = {}
    gaps: dict[str, Rate] = {}
    rates: dict[str, list[Rate]] = {}
    for key, point in points.items():
        reason = point.reason or (None if len(compared) else NO_POSITIVES)
        if reason:
            rates[key] = [Rate.undefined(reason)] * k
            variances[key] = gaps[key] = Rate.undefined(reason)
            lowest[key] = {"group": None, "tpr": Rate.undefined(reason)}
            continue
        shares = shares_found(scored.positives, ids, k, point)
        rates[key] = shares.rates(NO_POSITIVES)
        some = shares.take(compared)
        chance = generator(seed, name, key, "variance")
        variances[key] = variance(some, replicates=replicates, generator=chance)
        gaps[key] = gap(some)
        position, rate = worst(some)
        lowest[key] = {"group": groups.names[compared[position]], "tpr": rate}
    others = _other_numbers(scored, groups, points[AT_THRESHOLD].threshold, negatives)
    numbers = {
        groups.names[i]: GroupNumbers(
            n=int(n[i] + m[i]),
            positives=int(n[i]),
            small=bool(n[i] < SMALL),
            tpr=rates[AT_THRESHOLD][i],
            tpr_at_fpr=rates[AT_FPR][i],
            **{field: of_groups[i] for field, of_groups in others.items()},
        )
        for i in shown
    }
    return _Table(numbers, variances, lowest, gaps, left_out)


def _other_numbers(
    scored: Scored, groups: Groups, threshold: float, negatives: Literal["all", "group"]
) -> dict[str, list[Rate]]:
    """Field of `GroupNumbers` → the rate of each group, in the order of the names."""
    k = len(groups.names)
    n, m = scored.counts(groups)
    found = np.bincount(groups.ids[scored.labels][scored.positives >= threshold], minlength=k)
    alarms = np.bincount(groups.ids[~scored.labels][scored.negatives >= threshold], minlength=k)
    return {
        "auroc": group_areas(scored, groups, negatives=negatives),
        "mean_probability": group_means(scored.probabilities[scored.labels], groups.ids[scored.labels], k),
        "fpr": Proportions(alarms, m).rates(NO_NEGATIVES),
        "accuracy": Proportions(found + m - alarms, n + m).rates(NO_IMAGES),
    }


def _achieved(negatives: NDArray[np.float64], threshold: float) -> Rate:
    """False-positive rate at the matched threshold."""
    return proportion(int((negatives >= threshold).sum()), len(negatives), NO_NEGATIVES)
