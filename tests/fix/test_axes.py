"""Axes: coordinates, and layers on features as they are."""

import numpy as np
import pytest
import torch

import equipoise.fix.axes as axes_module
from equipoise.errors import InputError
from equipoise.fix import Axes


def made(n=300, d=12, dtype=np.float32):
    chance = np.random.default_rng(0)
    found = chance.normal(size=(n, d)) @ chance.normal(size=(d, d)) + 40
    found[:, 3] = 7.3
    return found.astype(dtype)


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_layer_says_of_features_what_coefficients_say_of_coordinates(outputs, dtype):
    features = made(dtype=dtype)
    axes = Axes.of(features, most=5)
    coefficients = np.random.default_rng(1).normal(size=(6, outputs))
    wanted = axes(features) @ coefficients[:-1] + coefficients[-1]
    layer = axes.layer(coefficients)
    with torch.no_grad():
        logits = layer(torch.from_numpy(features.astype(np.float32))).numpy()
    assert layer.weight.shape == (outputs, 12)
    assert np.abs(logits - wanted).max() < 1e-3
    assert (layer.weight[:, 3] == 0).all()  # of a constant feature nothing is learned


def test_axes_are_the_principal_ones_of_standardised_features():
    features = made().astype(np.float64)
    standard = np.delete((features - features.mean(0)) / features.std(0).clip(1e-4), 3, axis=1)
    values = np.linalg.eigvalsh(np.cov(standard.T, bias=True))[::-1]
    found = Axes.of(features, most=4)(features)
    assert np.allclose(np.cov(found.T, bias=True), np.diag(values[:4]), atol=1e-4)


def test_no_more_axes_than_vary():
    features = made()
    twice = np.concatenate([features, features], 1)
    assert Axes.of(twice, most=256).directions.shape == (24, 11)
    assert Axes.of(np.ones((9, 4), np.float32)).directions.shape == (4, 1)


def test_blocks_on_the_disk_are_the_same(tmp_path, monkeypatch):
    features = made()
    whole = Axes.of(features, most=6)
    np.save(tmp_path / "f.npy", features)
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    monkeypatch.setattr(axes_module, "BLOCK", 12 * 4 * 37)
    parts = Axes.of(mapped, most=6)
    assert np.allclose(np.abs(parts(mapped)), np.abs(whole(features)), atol=1e-3)


def test_chance_is_as_without():
    before = torch.random.get_rng_state()
    Axes.of(made()).layer(np.zeros((12, 1)))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (np.zeros((0, 3), np.float32), "at least one row"),
        (np.zeros(4, np.float32), r"shape \(n, d\)"),
        (np.zeros((4, 2), np.int64), "must be floats"),
        ([[1.0]], "must be floats"),
        (np.array([[1.0], [np.nan], [0.0]]), "finite.*row 1"),
        (np.array([[1.0], [0.0], [-np.inf]], np.float16), "finite.*row 2"),
        (np.array([[1.0], [1e300]]), "finite.*row 1"),
        (np.array([[1e30], [-1e30]], np.float32), r"up to 1e\+30"),
    ],
)
def test_errors(features, words):
    with pytest.raises(InputError, match=words):
        Axes.of(features)
