"""Mixtures against scikit-learn and planted clusters."""

import sys

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from equipoise.density import Mixture
from equipoise.errors import InputError, MissingExtraError, NotFittedError

CENTRES = np.array([[0.0, 0.0, 0.0], [6.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
SIZES = (700, 250, 50)


def planted(seed=0):
    chance = np.random.default_rng(seed)
    which = np.repeat(np.arange(3), SIZES)
    return CENTRES[which] + chance.normal(size=(1000, 3)) * [1.0, 0.5, 0.2], which


KINDS = pytest.mark.parametrize("kind", ["gaussian", "k-means"])


@KINDS
def test_planted_clusters_are_found(kind):
    codes, which = planted()
    mixture = Mixture(3, kind).fit(codes)
    memberships = mixture.memberships(codes)
    np.testing.assert_allclose(memberships.sum(1), 1)
    assigned = memberships.argmax(1).numpy()
    for cluster in range(3):
        assert np.bincount(assigned[which == cluster]).max() >= 0.99 * SIZES[cluster]
    np.testing.assert_allclose(np.sort(memberships.sum(0)), sorted(SIZES), atol=12)


def test_the_density_is_that_of_the_gaussians_scikit_learn_found():
    codes, which = planted()
    ours = Mixture(3, components=None).fit(codes).log_prob(codes)
    parts = [
        size / 1000 * multivariate_normal(codes[which == c].mean(0), np.cov(codes[which == c].T)).pdf(codes)
        for c, size in enumerate(SIZES)
    ]
    difference = ours.numpy() - np.log(np.sum(parts, axis=0))
    assert np.abs(difference).max() < 0.25
    assert abs(difference.mean()) < 0.02


@KINDS
def test_unit_and_place_of_the_codes_do_not_matter(kind):
    codes, _ = planted()
    mixture, other = (Mixture(3, kind, seed=1).fit(x) for x in (codes, 1000 * codes - 5))
    np.testing.assert_allclose(mixture.memberships(codes), other.memberships(1000 * codes - 5), atol=1e-6)
    shift = 3 * np.log(1000)
    np.testing.assert_allclose(mixture.log_prob(codes), other.log_prob(1000 * codes - 5) + shift, atol=1e-5)


@KINDS
def test_the_same_seed_gives_the_same_and_it_is_saved_and_loaded(kind):
    codes, _ = planted()
    one, two = (Mixture(5, kind, seed=3).fit(codes) for _ in range(2))
    assert torch.equal(one.log_prob(codes), two.log_prob(codes))
    loaded = Mixture(5, kind)
    loaded.load_state_dict(one.state_dict())
    assert torch.equal(loaded.float().log_prob(codes), one.log_prob(codes))
    assert "clusters=5" in repr(loaded)


def test_equal_rows_and_few_distinct_rows():
    same = Mixture(2).fit(np.ones((50, 4)))
    assert torch.isfinite(same.log_prob(np.ones((3, 4)))).all()
    two = np.repeat([[0.0], [1.0]], 20, axis=0)
    assert Mixture(4, "k-means").fit(two).memberships(two).shape == (40, 2)


def test_only_the_principal_axes_count():
    codes, which = planted()
    wide = np.hstack([codes, np.random.default_rng(1).normal(size=(1000, 60)) * 0.3])
    assigned = Mixture(3, components=3).fit(wide).memberships(wide).argmax(1).numpy()
    assert np.bincount(assigned[which == 2]).max() >= 49


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)
    with pytest.raises(MissingExtraError, match=r"equipoise\[latent\]"):
        Mixture(2).fit(np.random.default_rng(0).normal(size=(20, 2)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clusters": 0}, "at least one cluster"),
        ({"clusters": 5, "reference": 5}, "more reference rows than clusters"),
        ({"components": 0}, "0 components"),
        ({"kind": "kmeans"}, "must be 'gaussian' or 'k-means'; got 'kmeans'"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Mixture(**settings)


def test_codes_that_do_not_fit():
    with pytest.raises(NotFittedError, match="Call fit first"):
        Mixture(2).log_prob(np.ones((3, 2)))
    with pytest.raises(InputError, match="more codes than the 16 clusters; got 16"):
        Mixture().fit(np.ones((16, 2)))
    with pytest.raises(InputError, match="3 dimensions, as fitted; got 2"):
        Mixture(2).fit(planted()[0]).log_prob(np.ones((3, 2)))
