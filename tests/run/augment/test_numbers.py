"""Classifiers of the target are ranked by logits; on the page they are probabilities."""

import numpy as np
import pytest

from equipoise.groups import Groups
from equipoise.probabilities import sigmoid
from equipoise.run.augment.numbers import EDGES, LOGIT_EDGES, Judged, Measured, numbers_and_changes


def numbers(logits, threshold, targets, groups):
    found, _ = numbers_and_changes(
        {"plain": Judged(logits, threshold)},
        targets,
        targets,
        {"kind": Measured(groups, np.arange(len(targets)), None)},
        replicates=100,
        seed=0,
        say=lambda line: None,
    )
    return found["plain"]["kind"]


@pytest.mark.parametrize(("scale", "shift"), [(20.0, 90.0), (500.0, 100.0), (3.0, 60.0)])
def test_what_probabilities_round_is_ranked(scale, shift):
    rng = np.random.default_rng(1)
    targets = np.arange(300) % 2
    groups = Groups.from_column(rng.choice(["a", "b"], 300).tolist(), attribute="kind")
    logits = rng.normal(targets, 1.0)
    usual, large = (
        numbers(values, cut, targets, groups)
        for values, cut in ((logits, 0.3), (scale * logits + shift, scale * 0.3 + shift))
    )
    for name in ("ap", "deo", "balanced_accuracy", "worst_cell_accuracy"):
        assert getattr(large.metrics, name).value == pytest.approx(getattr(usual.metrics, name).value)
    judged = Judged(scale * logits + shift, shift)
    assert judged.probabilities.logits.tolist() == judged.scores.tolist()
    assert judged.threshold_probability == sigmoid(shift)
    assert sum(map(sum, large.histograms["positives"].values())) == 150


def test_bins_of_logits_are_those_of_probabilities():
    logits = np.random.default_rng(0).normal(0, 4, 5000)
    places = np.clip(np.searchsorted(LOGIT_EDGES, logits, side="right") - 1, 0, 19)
    assert (places == np.clip(np.searchsorted(EDGES, sigmoid(logits), side="right") - 1, 0, 19)).all()
