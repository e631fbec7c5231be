import numpy as np

from equipoise import fairness
from equipoise.fairness.bars import bars


def test_bars_are_mean_probability_and_tpr_by_group_and_model(made):
    other = np.sqrt(made.scores)
    found = bars({"plain": made.scores, "debiased": other}, made.labels, made.race)
    assert [(bar.group, bar.model) for bar in found] == [
        (group, model) for group in ("a", "b", "c") for model in ("plain", "debiased")
    ]
    for bar in found:
        scores = made.scores if bar.model == "plain" else other
        evaluation = fairness.evaluate(scores, made.labels, made.race).groups["race"][bar.group]
        assert bar.mean_probability == evaluation.mean_probability
        assert bar.accuracy == evaluation.tpr
