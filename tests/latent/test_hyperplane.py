import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC

from equipoise.errors import InputError, MissingExtraError
from equipoise.intervals import area, proportion
from equipoise.latent import Hyperplane, fit_hyperplane


def planted(n=800, k=6, noise=0.3, seed=0):
    """Latents cut by the hyperplane (2, −1, 0, …)·z = 1, with some noise."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, k))
    weight = np.zeros(k)
    weight[:2] = 2, -1
    return z, (z @ weight - 1 + noise * rng.normal(size=n)) > 0, Hyperplane(weight, -1.0)


@pytest.mark.parametrize("method", ["svm", "logistic"])
@pytest.mark.parametrize("form", [np.asarray, torch.tensor])
def test_a_planted_hyperplane_is_found(method, form):
    z, labels, truth = planted()
    found = fit_hyperplane(form(z), form(labels), method=method)
    assert np.linalg.norm(found.weight) == pytest.approx(1, abs=1e-12)
    assert found.weight @ truth.weight > 0.99
    assert found.bias == pytest.approx(truth.bias, abs=0.1)
    assert found.auroc.value > 0.97
    assert found.accuracy.n == 160
    assert found.auroc.n == min(round(0.2 * labels.sum()), round(0.2 * (~labels).sum()))


def test_validation_is_on_the_latents_given():
    z, labels, _ = planted()
    held, held_labels, _ = planted(300, noise=2.0, seed=1)
    found = fit_hyperplane(z, labels, validation=(held, held_labels.astype(float)))
    distances = found.distances(held)
    assert found.accuracy.value == pytest.approx(((distances > 0) == held_labels).mean())
    assert found.auroc.value == pytest.approx(roc_auc_score(held_labels, distances))
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high


def test_it_is_scikit_learns_hyperplane_normalised_with_its_bias():
    z, labels, _ = planted()
    z = (z - z.mean(0)) / np.sqrt(z.var(0).mean())
    held = planted(seed=1)[:2]
    reference = LinearSVC().fit(z, labels)
    found = fit_hyperplane(z, labels, validation=held)
    length = np.linalg.norm(reference.coef_)
    np.testing.assert_allclose(found.weight, reference.coef_[0] / length, atol=1e-6)
    assert found.bias == pytest.approx(reference.intercept_[0] / length, abs=1e-6)


def test_shifting_turning_and_scaling_do_the_same_to_the_hyperplane():
    z, labels, _ = planted()
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0]
    plain = fit_hyperplane(z, labels)
    moved = 1000 * (z @ turn) + 5e4
    other = fit_hyperplane(moved, labels)
    np.testing.assert_allclose(other.distances(moved), 1000 * plain.distances(z), rtol=1e-4, atol=0.1)
    assert other.auroc.value == pytest.approx(plain.auroc.value, abs=1e-4)


def test_the_seed_decides_the_split_and_nothing_else_does():
    z, labels, _ = planted(noise=2.0)
    first, again, other = (fit_hyperplane(z, labels, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.weight, again.weight)
    assert repr(first) == repr(again)
    assert first.auroc != other.auroc


def test_fewer_latents_than_dimensions():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 100))
    labels = np.arange(60) % 2
    z[:, 0] += 6 * labels
    assert fit_hyperplane(z, labels, lowest_auroc=0.5).auroc.value > 0.9


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_distances_have_the_form_and_type_of_the_latents(dtype):
    z, _, plane = planted()
    exact = plane.distances(z)
    np.testing.assert_allclose(exact, z @ plane.weight + plane.bias, atol=1e-12)
    found = plane.distances(torch.tensor(z).to(dtype))
    assert found.dtype == dtype
    assert found.shape == (len(z),)
    assert np.abs(found.double().numpy() - exact).max() < (0.1 if dtype == torch.bfloat16 else 1e-5)


def test_a_hyperplane_is_normalised_and_cannot_be_changed():
    plane = Hyperplane(np.array([3.0, 4.0]), 10.0, "old")
    np.testing.assert_allclose(plane.weight, [0.6, 0.8])
    assert plane.bias == 2
    assert not plane.auroc.defined
    assert "undefined: not validated" in repr(plane)
    with pytest.raises(ValueError, match="read-only"):
        plane.weight[0] = 1
    with pytest.raises(AttributeError):
        plane.bias = 0.0


def test_labels_of_chance_are_refused_unless_allowed():
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(1000, 8)), rng.integers(0, 2, 1000)
    with pytest.raises(
        InputError, match=r"hyperplane of 'hat' must separate: .* at least 0.55; got 0.* chance"
    ):
        fit_hyperplane(z, labels, name="hat")
    allowed = fit_hyperplane(z, labels, lowest_auroc=None)
    assert abs(allowed.auroc.value - 0.5) < 0.12
    with pytest.raises(InputError, match=r"at least 0\.99"):
        fit_hyperplane(*planted(noise=1.0)[:2], lowest_auroc=0.99)


def test_three_against_three_prove_nothing():
    z, labels, _ = planted(30, noise=0.0)
    rows = np.concatenate([np.flatnonzero(labels)[:3], np.flatnonzero(~labels)[:3]])
    with pytest.raises(InputError, match="must separate"):
        fit_hyperplane(z, labels, validation=(z[rows], labels[rows]))


def test_accuracy_and_auroc_have_the_intervals_of_all_other_rooms():
    z, labels, _ = planted(noise=1.0)
    held = planted(60, noise=1.0, seed=1)[:2]
    fitted = fit_hyperplane(z, labels, validation=held)
    distances = held[0] @ fitted.weight + fitted.bias
    assert fitted.auroc == area(distances[held[1]], distances[~held[1]])
    assert fitted.accuracy == proportion(int(((distances > 0) == held[1]).sum()), 60)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.ones(40)}, r"labels of 'hat' must have both classes; got only 1 in 40 rows"),
        ({"labels": np.arange(39) % 2}, r"Expected 40 labels of 'hat', one a latent; got shape \(39,\)"),
        ({"labels": np.arange(40) / 40}, "must be 0 and 1, or booleans; got others. Scores need a threshold"),
        ({"labels": np.array(["a", "b"] * 20)}, "must be 0 and 1"),
        ({"labels": np.where(np.arange(40) == 3, np.nan, 1.0)}, "must be 0 and 1"),
        ({"labels": np.arange(40) == 3}, "at least 2 latents, to fit and to validate; got 1 of class 1"),
        ({"latents": np.full((40, 3), np.nan)}, "NaN or infinity in row 0"),
        ({"latents": np.ones((40, 3))}, "Latents must differ"),
        ({"latents": np.ones((0, 3)), "labels": []}, "at least one latent"),
        ({"latents": np.ones(40)}, r"shape \(rows, dimensions\)"),
        ({"method": "tree"}, "must be 'svm' or 'logistic'; got 'tree'"),
        ({"cost": 0}, "cost must be above 0"),
        ({"validation": 1.0}, "validation must be a share"),
        ({"validation": (np.ones((4, 2)), [0, 1, 0, 1])}, "must have 3 dimensions, as fitted; got 2"),
        (
            {"validation": (np.ones((4, 3)), [0, 0, 0, 0])},
            "validation labels of 'hat' must have both classes",
        ),
        ({"seed": -1}, "seed must be 0 or larger"),
    ],
)
def test_errors(change, message):
    rng = np.random.default_rng(0)
    arguments = {"latents": rng.normal(size=(40, 3)), "labels": np.arange(40) % 2, "name": "hat"}
    with pytest.raises(InputError, match=message):
        fit_hyperplane(**{**arguments, **change})


@pytest.mark.parametrize(
    ("weight", "bias"),
    [(np.zeros(3), 0.0), (np.ones((2, 2)), 0.0), (np.ones(2), np.nan), (np.array([np.inf]), 0.0)],
)
def test_a_hyperplane_needs_a_direction(weight, bias):
    with pytest.raises(InputError, match="finite weight of shape"):
        Hyperplane(weight, bias)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    z, labels, _ = planted(50)
    with pytest.raises(MissingExtraError, match=r"pip install 'equipoise\[latent\]'"):
        fit_hyperplane(z, labels)
