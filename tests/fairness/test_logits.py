"""Logits rank: what rounding to a probability of 1 ties is told apart, and nothing else changes."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from equipoise import Groups, fairness
from equipoise.errors import InputError
from equipoise.fairness import from_logits
from equipoise.fairness.scored import Scored
from equipoise.pictures.windows import window_scores


def scene(seed=0, n=400):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    groups = Groups.from_column(rng.choice(["a", "b", "c"], n).tolist(), attribute="kind")
    return rng.normal(labels, 1.0), labels, groups


SCALES = [(9.0, 60.0), (200.0, 0.0), (400.0, -900.0), (3000.0, 5000.0)]


@pytest.mark.parametrize(("scale", "shift"), SCALES)
def test_scale_and_shift_of_logits_change_no_rank(scale, shift):
    logits, labels, groups = scene()
    usual = fairness.evaluate(from_logits(logits), labels, groups, fpr=0.05, replicates=200)
    found = fairness.evaluate(from_logits(scale * logits + shift), labels, groups, fpr=0.05, replicates=200)
    assert found.auroc.value == pytest.approx(roc_auc_score(labels, logits))
    for name in ("auroc", "tpr_at_fpr", "fpr_achieved"):
        one, other = getattr(found, name), getattr(usual, name)
        assert (one.value, one.low, one.high) == (other.value, other.low, other.high)
    for group, numbers in found.groups["kind"].items():
        assert numbers.auroc == usual.groups["kind"][group].auroc
        assert numbers.tpr_at_fpr == usual.groups["kind"][group].tpr_at_fpr
    assert found.logit_at_fpr == pytest.approx(scale * usual.logit_at_fpr + shift)
    assert found.saturated == 0
    rounded = np.asarray(from_logits(scale * logits + shift))
    told = fairness.evaluate(rounded, labels, groups, fpr=0.05, replicates=200)
    assert told.saturated > 50
    assert told.logit_at_fpr is None


def test_where_nothing_is_rounded_logits_change_no_number():
    logits, labels, groups = scene(1)
    kept = from_logits(2 * logits)
    for options in ({}, {"fpr": 0.1, "threshold": 0.7}, {"fpr": 1.0}, {"fpr": 0.0, "threshold": 1.5}):
        one, other = (
            fairness.evaluate(values, labels, groups, replicates=150, **options)
            for values in (kept, np.asarray(kept))
        )
        assert one.threshold_at_fpr == other.threshold_at_fpr
        assert one.threshold == other.threshold
        assert one.groups == other.groups
        assert (one.gap, one.variance, one.worst_group) == (other.gap, other.variance, other.worst_group)
        assert (one.auroc, one.accuracy, one.fpr) == (other.auroc, other.accuracy, other.fpr)
        assert one.mean_probability == other.mean_probability


def test_the_threshold_is_a_probability_and_a_half_is_logit_0():
    labels = np.array([1, 1, 1, 0, 0, 0])
    found = fairness.evaluate(from_logits([0.0, 60.0, -1e-9, -50.0, 45.0, -0.1]), labels, replicates=100)
    assert found.threshold == 0.5
    assert found.tpr.value == pytest.approx(2 / 3)
    assert found.fpr.value == pytest.approx(1 / 3)
    scored = Scored.checked(from_logits([1.0]), [1])
    assert [scored.cut(p) for p in (0.0, 0.5, 1.0, -3.0, 7.0)] == [-np.inf, 0.0, np.inf, -np.inf, np.inf]
    assert scored.cut(0.9) == pytest.approx(np.log(9))


@pytest.mark.parametrize("fpr", [0.0, 0.03, 0.2, 1.0])
def test_the_matched_threshold_calls_the_same_as_a_logit_and_as_a_probability(fpr):
    logits, labels, _ = scene(2)
    scores = from_logits(5 * logits)
    found = fairness.evaluate(scores, labels, fpr=fpr, replicates=100)
    np.testing.assert_array_equal(scores >= found.threshold_at_fpr, 5 * logits >= found.logit_at_fpr)
    assert np.mean(scores[labels == 0] >= found.threshold_at_fpr) == found.fpr_achieved.value


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "shift"), SCALES)
def test_comparisons_and_the_moved_threshold_rank_by_logits_too(scale, shift):
    logits, labels, groups = scene(3)
    better = logits + 0.4 * labels
    options = {"fpr": 0.05, "replicates": 200}

    def compared(first, second):
        pair = {"plain": first, "debiased": second}
        return fairness.compare(pair, labels, groups, baseline="plain", **options).differences["debiased"]

    usual = compared(from_logits(logits), from_logits(better))
    large = compared(from_logits(scale * logits + shift), from_logits(scale * better + shift))
    mixed = compared(np.asarray(from_logits(logits)), from_logits(scale * better + shift))
    for found in (large, mixed):
        assert found.auroc == usual.auroc
        assert found.tpr["at_fpr"] == usual.tpr["at_fpr"]
        assert found.groups["kind"]["a"]["at_fpr"] == usual.groups["kind"]["a"]["at_fpr"]
    moved = fairness.threshold_only(
        from_logits(9 * logits + 60), labels, groups, like=np.full(400, 0.2), **options
    )
    assert moved.fpr.value == 0
    half = fairness.threshold_only(
        from_logits(9 * logits + 60), labels, groups, like=better.clip(0, 1), **options
    )
    assert half.fpr.value == pytest.approx(np.mean(better[labels == 0] >= 0.5))


def test_one_number_doors_and_windows_rank_by_logits():
    logits, labels, groups = scene(4)
    scores = from_logits(10 * logits + 80)
    usual = fairness.auroc(from_logits(logits), labels, groups)
    assert fairness.auroc(scores, labels, groups) == usual
    means = fairness.mean_probability(scores, labels, groups)
    assert means["a"].value == pytest.approx(np.asarray(scores)[(labels == 1) & (groups.ids == 0)].mean())
    right = fairness.true_positive_rate(from_logits(logits), labels, groups, threshold=0.8)
    again = fairness.true_positive_rate(np.asarray(from_logits(logits)), labels, groups, threshold=0.8)
    assert right == again
    pictures = np.random.default_rng(0).integers(0, 255, (4, 24, 24, 1)).astype(np.uint8)
    largest = window_scores(pictures, lambda b: from_logits(b.mean((1, 2, 3)) + 40.0), image_size=8)
    assert len(set(largest.tolist())) == 1
    assert len(set(largest.logits.tolist())) == 4
    with pytest.raises(InputError, match="got both"):
        window_scores(
            pictures,
            lambda b: from_logits(np.ones(len(b))) if len(b) > 3 else np.ones(len(b)),
            image_size=8,
            batch_size=4,
        )


@pytest.mark.parametrize(
    ("scores", "tied"),
    [
        ([1.0, 1.0, 0.4, 0.0], 2),
        ([1.0, 1.0, 0.0, 0.0], 4),
        ([1.0, 0.3, 0.4, 0.0], 0),
        ([0.5, 0.5, 0.5, 0.5], 0),
    ],
)
def test_scores_tied_at_0_or_1_are_counted(scores, tied):
    assert fairness.evaluate(scores, [1, 0, 1, 0], replicates=100).saturated == tied
    assert fairness.evaluate(np.float32(scores), [1, 0, 1, 0], replicates=100).saturated == tied
