import warnings

import numpy as np
import pytest

from equipoise import Groups, fairness
from equipoise.errors import InputError
from equipoise.fairness.rates import allowed_false_positives

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def naive(scene, groups, threshold=0.5):
    """Counts by a loop over images."""
    counts = {name: {"tp": 0, "fn": 0, "fp": 0, "tn": 0} for name in groups.names}
    for score, label, group in zip(scene.scores, scene.labels, groups.ids, strict=True):
        word = ("tp" if score >= threshold else "fn") if label else ("fp" if score >= threshold else "tn")
        counts[groups.names[group]][word] += 1
    return counts


def test_rates_equal_a_loop_over_images(made):
    mixed = Groups(np.arange(len(made.scores)) % 3, ("x", "y", "z"))
    counts = naive(made, mixed)
    arguments = (made.scores, made.labels, mixed)
    for name, c in counts.items():
        found = {
            "tpr": (fairness.true_positive_rate(*arguments), c["tp"], c["tp"] + c["fn"]),
            "fnr": (fairness.false_negative_rate(*arguments), c["fn"], c["tp"] + c["fn"]),
            "fpr": (fairness.false_positive_rate(*arguments), c["fp"], c["fp"] + c["tn"]),
            "accuracy": (fairness.accuracy(*arguments), c["tp"] + c["tn"], sum(c.values())),
        }
        for rates, hits, n in found.values():
            assert rates[name].value == pytest.approx(hits / n)
            assert rates[name].n == n
            assert 0 <= rates[name].low < rates[name].value < rates[name].high <= 1


def test_mean_probability_is_the_mean_over_positives(made):
    found = fairness.mean_probability(made.scores, made.labels, made.race)
    for i, name in enumerate(made.race.names):
        mine = made.scores[(made.race.ids == i) & (made.labels == 1)]
        if len(mine):
            assert found[name].value == pytest.approx(mine.mean())
            half = 1.96 * mine.std(ddof=1) / np.sqrt(len(mine))
            assert 0.95 < (found[name].high - found[name].low) / (2 * half) < 1.4
    assert found["(missing)"].reason == "no positives"


def test_rates_agree_with_fairlearn_where_they_are_defined(made):
    fairlearn = pytest.importorskip("fairlearn.metrics")
    mixed = Groups(np.arange(len(made.scores)) % 3, ("x", "y", "z"))
    frame = fairlearn.MetricFrame(
        metrics={"tpr": fairlearn.true_positive_rate, "fpr": fairlearn.false_positive_rate},
        y_true=made.labels,
        y_pred=(made.scores >= 0.5).astype(int),
        sensitive_features=mixed.ids,
    )
    ours = {
        "tpr": fairness.true_positive_rate(made.scores, made.labels, mixed),
        "fpr": fairness.false_positive_rate(made.scores, made.labels, mixed),
    }
    for measure, rates in ours.items():
        theirs = frame.by_group[measure].tolist()
        assert [rates[name].value for name in mixed.names] == pytest.approx(theirs)


def test_undefined_is_not_the_zero_that_fairlearn_answers():
    fairlearn = pytest.importorskip("fairlearn.metrics")
    labels, scores = np.array([1, 1, 0, 0]), np.array([0.9, 0.8, 0.1, 0.2])
    groups = Groups(np.array([0, 0, 1, 1]), ("with", "without"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = fairlearn.MetricFrame(
            metrics=fairlearn.true_positive_rate,
            y_true=labels,
            y_pred=(scores >= 0.5).astype(int),
            sensitive_features=groups.ids,
        )
    assert theirs.by_group[1] == 0
    assert theirs.difference() == 1
    ours = fairness.true_positive_rate(scores, labels, groups)
    assert ours["without"].reason == "no positives"
    assert np.isnan(ours["without"].value)


def test_undefined_is_not_the_zero_that_torchmetrics_answers():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    labels, scores = [1, 1, 0, 0], [0.9, 0.8, 0.1, 0.2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = functional.binary_fairness(
            torch.tensor(scores), torch.tensor(labels), torch.tensor([0, 0, 1, 1]), task="equal_opportunity"
        )
    assert float(next(iter(theirs.values()))) == 0
    with pytest.warns(UserWarning, match="undefined, not 0"):
        ours = fairness.evaluate(scores, labels, Groups(np.array([0, 0, 1, 1]), ("with", "without")))
    assert ours.gap["group"]["at_0.5"].reason == "fewer than two groups have positives"
    assert ours.not_compared["group"] == ("without",)


# AUROC


def test_auroc_equals_pairs_and_the_outside_reference(made):
    found = fairness.auroc(made.scores, made.labels, made.race)
    negatives = made.scores[made.labels == 0]
    for i, name in enumerate(made.race.names):
        mine = made.scores[(made.race.ids == i) & (made.labels == 1)]
        if not len(mine):
            assert found[name].reason == "no positives"
            continue
        pairs = (mine[:, None] > negatives) + 0.5 * (mine[:, None] == negatives)
        assert found[name].value == pytest.approx(pairs.mean())
        reference = sklearn_metrics.roc_auc_score(
            np.r_[np.ones(len(mine)), np.zeros(len(negatives))], np.r_[mine, negatives]
        )
        assert found[name].value == pytest.approx(reference)


def test_auroc_against_the_own_negatives(made):
    mixed = Groups(np.arange(len(made.scores)) % 2, ("x", "y"))
    found = fairness.auroc(made.scores, made.labels, mixed, negatives="group")
    for i, name in enumerate(mixed.names):
        mine = mixed.ids == i
        reference = sklearn_metrics.roc_auc_score(made.labels[mine], made.scores[mine])
        assert found[name].value == pytest.approx(reference)
    assert (
        fairness.auroc(made.scores, made.labels, made.race, negatives="group")["a"].reason == "no negatives"
    )


# The matched threshold


def smallest_threshold(negatives, fpr):
    """Naive: walk down the candidates, each negative and the number just above it."""
    candidates = sorted({float(np.nextafter(s, 2)) for s in negatives}, reverse=True)
    allowed = [t for t in candidates if np.mean(negatives >= t) <= fpr]
    return min(allowed)


@pytest.mark.parametrize("fpr", [0.0, 0.01, 0.05, 0.29, 0.5, 0.99])
@pytest.mark.parametrize("digits", [1, 2, 9])
def test_threshold_equals_the_naive_search(fpr, digits):
    negatives = np.round(np.random.default_rng(digits).beta(1, 3, 100), digits)
    threshold = fairness.threshold_at_fpr(negatives, fpr)
    assert threshold == smallest_threshold(negatives, fpr)
    assert np.mean(negatives >= threshold) <= fpr
    assert np.mean(negatives >= np.nextafter(threshold, -1)) > fpr


def test_few_negatives_allow_none():
    negatives = np.linspace(0, 1, 50)
    threshold = fairness.threshold_at_fpr(negatives, 0.01)
    assert np.isfinite(threshold)
    assert threshold > 1
    assert np.mean(negatives >= threshold) == 0


def test_tied_negatives_stay_together():
    negatives = np.r_[np.full(90, 0.1), np.full(10, 0.8)]
    assert np.mean(negatives >= fairness.threshold_at_fpr(negatives, 0.05)) == 0
    assert np.mean(negatives >= fairness.threshold_at_fpr(negatives, 0.10)) == 0.1


def test_all_allowed_is_the_lowest_negative():
    assert fairness.threshold_at_fpr([0.2, 0.7], 1.0) == 0.2


def test_float32_scores_compare_exactly_in_either_precision():
    negatives = np.random.default_rng(0).random(1000).astype(np.float32)
    threshold = fairness.threshold_at_fpr(negatives, 0.1)
    assert np.mean(negatives >= threshold) == np.mean(negatives.astype(np.float64) >= threshold) == 0.1


def test_rounding_does_not_cost_a_false_positive():
    for m in (7, 50, 100, 2500, 5000):
        assert all(allowed_false_positives(m, k / m) == k for k in range(m + 1))


@pytest.mark.parametrize(("negatives", "fpr"), [([], 0.1), ([0.5], -0.1), ([0.5], 1.1), ([0.5], np.nan)])
def test_threshold_refuses_what_it_cannot_use(negatives, fpr):
    with pytest.raises(InputError):
        fairness.threshold_at_fpr(negatives, fpr)


# What is refused


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        ([0.5, np.nan], [1, 0], "got nan at row 1"),
        ([0.5, 3.0], [1, 0], r"\[0, 1\]; got 3.0 at row 1"),
        ([0.5, 0.1], [1, 2], "0 or 1; got 2 at row 1"),
        ([0.5, 0.1], [1, np.nan], "0 or 1; got nan at row 1"),
        ([0.5, 0.1], [1], "got 2 scores and 1 labels"),
        ([0.5], [1], "1 scores and 2 groups of 'race'"),
        ([], [], "at least one image"),
        ([[0.5, 0.1]], [1, 0], r"vector .* got shape \(1, 2\)"),
        (["a", "b"], [1, 0], "got shape"),
        ([0.5, 0.1], ["1", "0"], "vector of 0 and 1"),
    ],
)
def test_bad_input_is_named(scores, labels, words):
    groups = Groups.from_column(["a", "b"], attribute="race")
    with pytest.raises(InputError, match=words):
        fairness.true_positive_rate(scores, labels, groups)


def test_other_words_for_negatives_are_refused(made):
    with pytest.raises(InputError, match="'own'"):
        fairness.auroc(made.scores, made.labels, made.race, negatives="own")
