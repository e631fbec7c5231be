"""Analyses of a risk, against loops written from the formulas and against scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import precision_recall_curve, roc_auc_score

from equipoise.errors import InputError
from equipoise.intervals import area
from equipoise.risk import analysis


@pytest.fixture(params=["continuous", "tied"])
def scene(request):
    """Risks, whether predictions are right, and 300 images; errors are commoner where risk is high."""
    rng = np.random.default_rng(3)
    risk = rng.normal(size=300)
    correct = rng.random(300) > 0.6 / (1 + np.exp(-2 * risk))
    if request.param == "tied":
        risk = np.round(risk * 2) / 2
    return risk, correct


def test_percentiles_are_mean_ranks(scene):
    risk, _ = scene
    assert np.allclose(analysis.percentile_ranks(risk), (stats.rankdata(risk) - 0.5) / len(risk))
    held_out = np.array([0.0, 1.0, 1.0, 2.0])
    assert analysis.percentile_ranks(np.array([-9.0, 1.0, 1.5, 9.0]), held_out).tolist() == [0, 0.5, 0.75, 1]


def test_deciles_are_even_and_keep_ties_together(scene):
    risk, _ = scene
    ids = analysis.deciles(risk)
    if len(np.unique(risk)) == len(risk):
        assert np.bincount(ids).tolist() == [30] * 10
    for value in np.unique(risk):
        assert len(set(ids[risk == value])) == 1
    assert (np.diff(ids[np.argsort(risk, kind="stable")]) >= 0).all()


def test_accuracy_by_decile_is_a_mean_in_each(scene):
    risk, correct = scene
    ids = analysis.deciles(risk)
    for part, rate in enumerate(analysis.accuracy_by_decile(risk, correct)):
        inside = correct[ids == part]
        assert rate.n == len(inside)
        if len(inside):
            expected = stats.binomtest(int(inside.sum()), len(inside)).proportion_ci(method="exact")
            assert np.allclose([rate.value, rate.low, rate.high], [inside.mean(), *expected])
        else:
            assert not rate.defined


def test_equal_risks_leave_empty_deciles_undefined():
    rates = analysis.accuracy_by_decile(np.ones(50), np.ones(50, bool))
    assert [rate.n for rate in rates] == [0, 0, 0, 0, 0, 50, 0, 0, 0, 0]
    assert [rate.defined for rate in rates] == [n == 50 for n in (r.n for r in rates)]


def test_mean_images_do_not_depend_on_batches(scene):
    risk, _ = scene
    images = np.random.default_rng(0).integers(0, 256, (300, 4, 5, 3), dtype=np.uint8)
    ids = analysis.deciles(risk)
    found = analysis.mean_images(ids, np.array_split(images, 7))
    for part in range(10):
        if (ids == part).any():
            assert np.allclose(found[part], images[ids == part].mean(axis=0))
        else:
            assert np.isnan(found[part]).all()
    for wrong in (images[:-1], np.concatenate([images, images])):
        with pytest.raises(InputError, match="as many images as ids"):
            analysis.mean_images(ids, [wrong])


def test_extremes_are_stable():
    found = analysis.extremes(np.array([1.0, 0.0, 1.0, 0.0, 2.0]), 3)
    assert found.lowest.tolist() == [1, 3, 0]
    assert found.highest.tolist() == [4, 0, 2]


def test_correlation_is_spearmans(scene):
    risk, _ = scene
    other = risk + np.random.default_rng(8).normal(size=300)
    found = analysis.correlation(risk, other)
    assert found.value == pytest.approx(stats.spearmanr(risk, other).statistic)
    assert found.low < found.value < found.high
    assert analysis.correlation(risk, -risk).value == pytest.approx(-1)
    assert not analysis.correlation(risk, np.zeros(300)).defined
    table = analysis.correlations({"a": risk, "b": other, "c": -risk})
    assert {name: list(row) for name, row in table.items()} == {"a": ["b", "c"], "b": ["c"]}


@pytest.mark.slow
def test_auroc_is_scikit_learns_with_the_interval_of_all_rooms(scene):
    risk, correct = scene
    found = analysis.detection_auroc(risk, ~correct)
    assert found.value == pytest.approx(roc_auc_score(~correct, risk))
    assert found.n == (~correct).sum()
    pairs = [(a > b) + 0.5 * (a == b) for a in risk[~correct] for b in risk[correct]]
    assert found.value == pytest.approx(np.mean(pairs))
    drawn = np.random.default_rng(0).integers(0, 300, (400, 300))
    resampled = [roc_auc_score(~correct[rows], risk[rows]) for rows in drawn]
    assert [found.low, found.high] == pytest.approx(np.percentile(resampled, [2.5, 97.5]), abs=0.015)
    assert analysis.detection_auroc(-risk, ~correct).value == pytest.approx(1 - found.value)
    assert not analysis.detection_auroc(risk, np.zeros(300, bool)).defined
    assert analysis.detection_auroc(risk, ~correct) == area(risk[~correct], risk[correct])


def test_precision_at_recall_is_scikit_learns(scene):
    risk, correct = scene
    precision, recall, _ = precision_recall_curve(~correct, risk)
    enough = np.flatnonzero(recall >= 0.5)[-1]
    assert analysis.precision_at_recall(risk, ~correct, 0.5).value == pytest.approx(precision[enough])
    assert not analysis.precision_at_recall(risk, np.zeros(300, bool)).defined


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: analysis.percentile_ranks(np.array([1.0, np.nan])), "NaN or infinity"),
        (lambda: analysis.percentile_ranks(np.zeros((2, 2))), r"shape \(2, 2\)"),
        (lambda: analysis.deciles(np.zeros(3), 0), "parts must be"),
        (lambda: analysis.extremes(np.zeros(3), 0), "count must be"),
        (lambda: analysis.detection_auroc(np.zeros(3), np.zeros(3)), "booleans"),
        (lambda: analysis.detection_auroc(np.zeros(3), np.zeros(2, bool)), "3 booleans"),
        (lambda: analysis.precision_at_recall(np.zeros(3), np.ones(3, bool), 0), "recall must be"),
        (lambda: analysis.correlation(np.zeros(3), np.zeros(2)), "same images"),
    ],
)
def test_errors_say_what_to_do(call, words):
    with pytest.raises(InputError, match=words):
        call()
