"""The labs' bars: mean probability and accuracy on the faces of each group. Numbers only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numpy.typing import ArrayLike

from equipoise.fairness.rates import mean_probability, true_positive_rate
from equipoise.fairness.scored import Scored
from equipoise.groups import Groups
from equipoise.rate import Rate

__all__ = ["Bar", "bars"]


@dataclass(frozen=True)
class Bar:
    """One group under one model.

    Args:
        group: The group.
        model: The model.
        mean_probability: Mean score of the group's positives.
        accuracy: Share of the group's positives called positive, so the same as its TPR.
    """

    group: str
    model: str
    mean_probability: Rate
    accuracy: Rate


def bars(
    scores: Mapping[str, ArrayLike],
    labels: ArrayLike,
    groups: Groups,
    *,
    threshold: float = 0.5,
) -> list[Bar]:
    """Bars of all groups that have positives or a name, group by group and model by model.

    Args:
        scores: model → probabilities in [0, 1], all on the same images; further arguments as for
            `true_positive_rate`.

    Undefined: for a group without positives.

    Source: MIT 6.S191 lab 2, evaluation on four test groups. Differs from it in: intervals.
    """
    found = []
    for model, values in scores.items():
        scored = Scored.checked(values, labels, groups)
        means = mean_probability(values, labels, groups)
        rates = true_positive_rate(values, labels, groups, threshold=threshold)
        found.append(
            [
                Bar(groups.names[i], model, means[groups.names[i]], rates[groups.names[i]])
                for i in scored.shown(groups)
            ]
        )
    return [bar for of_group in zip(*found, strict=True) for bar in of_group]
