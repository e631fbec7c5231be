"""A last layer on features, beside scikit-learn's."""

import time

import numpy as np
import pytest
import torch

import equipoise.nn.linear as linear
from equipoise.errors import InputError, TrainingError
from equipoise.nn import fit_linear


def made(n=400, d=30, classes=2, seed=0):
    """Features that hang together, as a network's do, with a constant one, far from 0."""
    chance = np.random.default_rng(seed)
    mixing = chance.normal(size=(d, d)) * np.arange(1, d + 1) ** -0.7
    features = (np.maximum(chance.normal(size=(n, d)) @ mixing.T, 0) * 3 + 50).astype(np.float32)
    features[:, 4] = 7.0
    standard = (features - features.mean(0)) / np.where(features.std(0) > 0, features.std(0), 1)
    scores = standard @ chance.normal(size=(d, classes)) + 3 * chance.normal(size=(n, classes))
    return features, scores.argmax(1), chance.gamma(1.0, size=n), standard


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("C", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_logistic_regression_on_standardised_features(classes, C, weighted):
    sklearn = pytest.importorskip("sklearn.linear_model")
    features, labels, weights, standard = made(classes=classes)
    given = weights if weighted else None
    theirs = sklearn.LogisticRegression(C=C, max_iter=10_000, tol=1e-9)
    theirs.fit(standard.astype(np.float64), labels, sample_weight=given)
    ours = fit_linear(features, labels, C=C, weights=given)
    with torch.no_grad():
        logits = ours(torch.from_numpy(features)).numpy()
    wanted = theirs.decision_function(standard).reshape(len(features), -1)
    if classes > 2:  # a constant on all logits means nothing
        logits, wanted = (z - z.mean(1, keepdims=True) for z in (logits, wanted))
    assert logits.shape == (400, 1 if classes == 2 else classes)
    assert np.abs(logits - wanted).max() < 2e-3 * max(1, np.abs(wanted).max())


def test_rows_counted_twice_and_weights_of_two_are_the_same():
    features, labels, _, _ = made()
    twice = np.ones(400)
    twice[:100] = 0
    kept = fit_linear(features, labels, weights=twice + 1e-12 * (twice == 0))
    # standardised by all rows, which are the same here
    again = fit_linear(features, labels, weights=np.where(twice == 1, 2.0, 0.0), C=0.5)
    assert torch.allclose(kept.weight, again.weight, atol=1e-4)


def test_the_same_again_and_from_blocks_on_the_disk(tmp_path, monkeypatch):
    features, labels, _, _ = made(classes=3)
    ours = fit_linear(features, labels)
    assert torch.equal(ours.weight, fit_linear(features, labels).weight)
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    monkeypatch.setattr(linear, "BLOCK", 30 * 4 * 64)
    monkeypatch.setattr(linear, "IN_MEMORY", 1000)
    assert torch.allclose(fit_linear(mapped, labels).weight, ours.weight, atol=1e-3)
    monkeypatch.setattr(linear, "DENSE", 10)  # plain steps, for very many features
    assert torch.allclose(fit_linear(mapped, labels).weight, ours.weight, atol=1e-2)
    half = fit_linear((features - 50).astype(np.float16), labels)
    assert torch.allclose(half.weight, ours.weight, atol=2e-2)


def test_chance_is_as_without():
    before = torch.random.get_rng_state()
    features, labels, _, _ = made()
    fit_linear(features, labels)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
def test_five_thousand_pictures_on_one_core_take_seconds():
    features, labels, _, _ = made(5000, 1280)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        began = time.process_time()
        fit_linear(features, labels, C=1e-2)
        assert time.process_time() - began < 6  # 1 to 2 on a quiet machine
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": np.zeros((0, 3))}, "at least one row"),
        ({"features": np.zeros(4)}, r"shape \(n, d\)"),
        ({"features": np.zeros((4, 2), np.int64)}, "must be floats"),
        ({"features": np.array([[1.0], [np.nan], [0.0], [1.0]])}, "must be finite"),
        ({"labels": [0, 1]}, "a class id for each of 4 rows"),
        ({"labels": [0.0, 1.0, 0.0, 1.0]}, "whole numbers"),
        ({"labels": [0, 1, 2, 1], "classes": 2}, r"Labels must be 0…1.*got 0…2"),
        ({"labels": [0, -1, 1, 1]}, "got -1…1"),
        ({"labels": [0, 0, 0, 0]}, "none of class 1"),
        ({"labels": [0, 1, 2, 1], "classes": 5}, "none of class 3, 4"),
        ({"weights": [1.0, 0.0, 1.0, 0.0]}, "none of class 1"),
        ({"weights": [1.0, -1.0, 1.0, 1.0]}, "weight of 0 or more"),
        ({"weights": [1.0, np.inf, 1.0, 1.0]}, "not all finite"),
        ({"C": 0.0}, "C must be"),
        ({"C": np.nan}, "C must be"),
    ],
)
def test_errors(change, words):
    given = {"features": np.array([[0.0], [1.0], [2.0], [3.0]]), "labels": [0, 1, 0, 1], **change}
    with pytest.raises(InputError, match=words):
        fit_linear(given.pop("features"), given.pop("labels"), **given)


def test_steps_that_are_too_few_are_told():
    features, labels, _, _ = made(classes=3)
    with pytest.raises(TrainingError, match="after 1 steps"):
        fit_linear(features, labels, C=1e3, iterations=1)
