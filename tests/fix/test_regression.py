"""Weighted logistic regression on axes, beside scikit-learn's."""

import numpy as np
import pytest

from equipoise.errors import TrainingError
from equipoise.fix import Axes
from equipoise.fix.regression import logits_of, predicted, probability_of_label, regression


def made(classes, n=500, d=20):
    chance = np.random.default_rng(classes)
    features = chance.normal(size=(n, d)) @ chance.normal(size=(d, d))
    labels = (features @ chance.normal(size=(d, classes)) + 8 * chance.normal(size=(n, classes))).argmax(1)
    return Axes.of(features)(features), labels, chance.gamma(0.5, size=n)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("C", [1e-3, 1e-1])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_logistic_regression(classes, C, weighted):
    sklearn = pytest.importorskip("sklearn.linear_model")
    rows, labels, weights = made(classes)
    given = weights / weights.mean() if weighted else None
    theirs = sklearn.LogisticRegression(C=C, max_iter=10_000, tol=1e-9)
    wanted = theirs.fit(rows.astype(float), labels, sample_weight=given).decision_function(rows)
    wanted = wanted.reshape(len(rows), -1)
    found = regression(rows, labels, classes=classes, C=C, weights=given)
    logits = logits_of(rows, found)
    if classes > 2:  # a constant on all logits means nothing
        logits, wanted = (z - z.mean(1, keepdims=True) for z in (logits, wanted))
    assert found.shape == (21, 1 if classes == 2 else classes)
    assert np.abs(logits - wanted).max() < 0.03 * max(1, np.abs(wanted).std())


@pytest.mark.parametrize("classes", [2, 4])
def test_a_start_changes_nothing_and_a_pull_does(classes):
    rows, labels, _ = made(classes)

    def said(coefficients):
        logits = logits_of(rows, coefficients)
        return logits if classes == 2 else logits - logits.mean(1, keepdims=True)

    plain = regression(rows, labels, classes=classes, C=0.01)
    away = plain + np.random.default_rng(0).normal(size=plain.shape)
    again = regression(rows, labels, classes=classes, C=0.01, start=away)
    assert np.abs(said(again) - said(plain)).max() < 0.05
    held = regression(rows, labels, classes=classes, C=1e-9, pull=away, start=away)
    assert np.abs(held[:-1] - away[:-1]).max() < 1e-2
    # twice the weights are twice the C
    heavy = regression(rows, labels, classes=classes, C=0.005, weights=np.full(len(rows), 2.0))
    assert np.abs(said(heavy) - said(plain)).max() < 0.05


def test_one_logit_and_two_say_the_same():
    one = np.array([[-1.0], [0.0], [2.0]])
    two = np.concatenate([np.zeros_like(one), one], 1)
    labels = np.array([1, 0, 1])
    assert predicted(one).tolist() == predicted(two).tolist() == [0, 0, 1]
    assert np.allclose(probability_of_label(one, labels), probability_of_label(two, labels))


def test_no_solution_is_told(monkeypatch):
    monkeypatch.setattr("equipoise.fix.regression.STEPS", 1)
    rows, labels, _ = made(3)
    with pytest.raises(TrainingError, match="after 1 steps"):
        regression(1000 * rows, labels, classes=3, C=1e3)
