"""Label noise: planted wrong labels are found, out of sample, and as scikit-learn would predict."""

import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from equipoise.errors import InputError
from equipoise.risk.analysis import precision_at_recall
from equipoise.risk.label_noise import cross_fitted, label_noise, replaced, suspected


def clusters(classes=3, n=900, noise=0.1, seed=0, apart=1.6):
    """Points about a middle for each class; a share of the labels is wrong."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    points = apart * rng.normal(size=(classes, 8))[truth] + rng.normal(size=(n, 8))
    wrong = np.zeros(n, bool)
    wrong[rng.permutation(n)[: round(noise * n)]] = True
    given = np.where(wrong, (truth + rng.integers(1, classes, n)) % classes, truth)
    return points, given, wrong


@pytest.mark.parametrize("classes", [2, 3])
def test_wrong_labels_are_found(classes):
    points, given, wrong = clusters(classes)
    found = label_noise(points, given)
    assert precision_at_recall(found.score, wrong, 0.5).value >= 0.8
    assert found.suspected[wrong].mean() > 0.6
    assert found.suspected[~wrong].mean() < 0.05
    assert ((found.score >= 0) & (found.score <= 1)).all()


def test_clean_labels_are_hardly_suspected():
    points, given, _ = clusters(noise=0.0)
    assert label_noise(points, given).suspected.mean() < 0.05


def test_two_classes_score_by_self_confidence():
    points, given, _ = clusters(2)
    found = label_noise(points, given)
    assert np.allclose(found.score, 1 - found.self_confidence)


def test_predictions_are_scikit_learns_on_the_same_folds():
    points, given, _ = clusters(3, n=300)
    found = cross_fitted(points, given, folds=2, l2=0.3)
    rng = np.random.default_rng(0)
    order = np.lexsort((rng.random(300), given))
    fold = np.empty(300, int)
    fold[order] = np.arange(300) % 2
    for inside in (fold == 0, fold == 1):
        mean, scale = points[~inside].mean(0), points[~inside].std(0, ddof=1)
        outside = LogisticRegression(C=1 / (0.3 * (~inside).sum()), tol=1e-8, max_iter=1000)
        outside.fit((points[~inside] - mean) / scale, given[~inside])
        assert np.allclose(found[inside], outside.predict_proba((points[inside] - mean) / scale), atol=2e-3)


def test_a_label_does_not_tell_on_itself():
    """With features that say nothing but which row it is, an in-sample fit is perfect; out of sample it is chance."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 120)
    own = cross_fitted(rng.normal(size=(120, 400)), labels, l2=1e-4)[np.arange(120), labels]
    assert abs(own.mean() - 0.5) < 0.12


def test_copies_are_in_one_fold():
    rng = np.random.default_rng(0)
    points = np.repeat(rng.normal(size=(100, 300)), 2, axis=0)
    labels = np.repeat(rng.integers(0, 2, 100), 2)
    same = np.repeat(np.arange(100), 2)
    rows = np.arange(200)
    apart = cross_fitted(points, labels, l2=1e-3)[rows, labels]
    together = cross_fitted(points, labels, l2=1e-3, same=same)[rows, labels]
    assert apart.mean() > 0.8
    assert abs(together.mean() - 0.5) < 0.15


def test_the_seed_decides():
    points, given, _ = clusters()
    one, again, other = (label_noise(points, given, seed=seed).score for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one != other).any()


def test_suspected_is_the_confident_joint_off_its_diagonal():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 200)
    labels = rng.integers(0, 3, 200)
    lines = [p[labels == j, j].mean() for j in range(3)]
    for row, told in enumerate(suspected(p, labels)):
        confident = {j: p[row, j] for j in range(3) if p[row, j] >= lines[j]}
        assert told == (bool(confident) and max(confident, key=confident.get) != labels[row])


@pytest.mark.parametrize(
    ("features", "labels", "options", "words"),
    [
        (np.zeros((10, 2)), np.zeros(9, int), {}, r"shapes \(10, 2\) and \(9,\)"),
        (np.zeros((10, 2)), np.zeros(10), {}, "float64"),
        (np.full((10, 2), np.nan), np.arange(10) % 2, {}, "must be finite"),
        (np.zeros((10, 2)), np.arange(10) % 2, {"folds": 1}, "folds must be"),
        (np.zeros((10, 2)), np.arange(10) % 2, {"l2": 0}, "l2 must be"),
        (np.zeros((10, 2)), np.zeros(10, int), {}, "two classes"),
        (np.zeros((10, 2)), (np.arange(10) > 7).astype(int), {}, "8 of class 0, 2 of class 1"),
    ],
)
def test_errors_say_what_to_do(features, labels, options, words):
    with pytest.raises(InputError, match=words):
        label_noise(features, labels, **options)


def test_more_rows_than_are_learned_from_at_a_time(monkeypatch):
    points, given, wrong = clusters(3)
    whole = label_noise(points, given)
    module = sys.modules[label_noise.__module__]  # its name in the package is the function
    monkeypatch.setattr(module, "LEARNED", 200)
    monkeypatch.setattr(module, "A_CLASS", 10)
    monkeypatch.setattr(module, "BLOCK", 7)
    some = label_noise(points.astype(np.float16), given)
    assert np.corrcoef(whole.score, some.score)[0, 1] > 0.95
    assert not np.array_equal(whole.score, some.score)
    assert precision_at_recall(some.score, wrong, 0.5).value >= 0.8
    assert np.array_equal(some.score, label_noise(points.astype(np.float16), given).score)


def test_a_class_of_copies_of_one_picture():
    """All of them are in one fold, so nothing is known of the class there."""
    points, given, _ = clusters(2, n=100)
    points = np.concatenate([points, np.full((6, 8), 3.0)])
    given = np.concatenate([given, np.full(6, 2)])
    found = label_noise(points, given, same=np.concatenate([np.arange(100), np.full(6, 100)]))
    assert (found.self_confidence[100:] == 0).all()
    assert np.isfinite(found.score).all()


def sampled(flips, sharpness=2.0, classes=4, n=6000, seed=0):
    """Probabilities whose labels they are the odds of, a share of them replaced at random; told as less sure."""
    rng = np.random.default_rng(seed)
    logits = 2.5 * rng.normal(size=(n, classes))
    odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (odds.cumsum(1) < rng.random(n)[:, None]).sum(1)
    random = rng.random(n) < flips
    labels[random] = rng.integers(0, classes, random.sum())
    told = np.exp(logits / sharpness)
    return told / told.sum(1, keepdims=True), labels, random


@pytest.mark.parametrize("flips", [0.0, 0.05, 0.2])
def test_random_labels_are_told_from_confusion_at_any_sureness(flips):
    p, labels, random = sampled(flips)
    found = replaced(p, labels)
    assert ((found >= 0) & (found <= 1)).all()
    assert abs(found.mean() - random.mean()) < 0.03
    odd = p.argmax(1) != labels  # an error may be confusion, and mostly is
    assert abs(found[odd].mean() - random[odd].mean()) < 0.05
    assert odd.mean() > 0.2


def test_errors_that_get_rarer_with_sureness_are_confusion():
    points, given, wrong = clusters(2, n=2000, noise=0.0, apart=0.4)
    clean = label_noise(points, given)
    assert clean.suspected.mean() > 0.05
    assert clean.replaced[clean.suspected].mean() < 0.1
    points, given, wrong = clusters(2, n=2000, noise=0.1, apart=1.6)
    found = label_noise(points, given)
    assert abs(found.replaced[found.suspected].sum() - wrong[found.suspected].sum()) < 0.15 * wrong.sum()


def test_two_numbers_are_fitted_to_some_rows_where_there_are_many(monkeypatch):
    p, labels, _ = sampled(0.2)
    whole = replaced(p, labels)
    monkeypatch.setattr(sys.modules[label_noise.__module__], "FITTED", 8000)
    some = replaced(p, labels, seed=1)
    assert np.array_equal(some, replaced(p, labels, seed=1))
    assert 0 < np.abs(some - whole).max() < 0.25
