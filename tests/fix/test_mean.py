"""What is not told apart is averaged, at the same spread of logits."""

import numpy as np
import pytest
import torch

from equipoise.fix import choose, refit
from equipoise.fix.choice import _mean, _spread
from equipoise.fix.refit import rows_of
from equipoise.fix.regression import logits_of


@pytest.fixture
def rows(scene):
    features, labels, _ = scene(400)
    return rows_of(features, labels, known={}, together=(), classes=None, seed=0)[1]


def test_a_mean_forgets_how_strong_layers_are_and_keeps_their_scale(rows):
    layer, other = rows.fitted(1e-2), rows.fitted(1e-2, rows.labels + 1.0)
    np.testing.assert_array_equal(_mean([layer], rows), layer)
    np.testing.assert_allclose(_mean([layer, 2 * layer], rows), 1.5 * layer)
    both, scaled = _mean([layer, other], rows), _mean([9 * layer, other], rows)
    said = [np.sign(logits_of(rows.coordinates, one)) for one in (both, scaled)]
    np.testing.assert_array_equal(*said)
    assert _spread(np.zeros((3, 1))) == 1
    assert _spread(np.array([[1.0, 0.0], [5.0, 6.0]])) == 0.5


def test_the_layer_is_the_mean_of_the_best_of_methods_that_tie(scene):
    features, labels, _ = scene(800)
    methods = ["errors as groups", "mended errors"]
    choice = choose(features, labels, seeds=1, methods=methods)
    assert [one.method for one in choice.alike] == [
        choice.chosen.method,
        *{*methods} - {choice.chosen.method},
    ]
    assert choice.name == "mean of 2 fixes"
    layers = [refit(features, labels, one.method, seeds=1, **one.settings) for one in choice.alike]
    with torch.no_grad():
        apart = [layer(torch.from_numpy(features))[:, 0].numpy() for layer in layers]
        found = choice.layer(torch.from_numpy(features))[:, 0].numpy()
    spreads = [one.std() for one in apart]
    mean = np.mean(spreads) * np.mean(
        [one / spread for one, spread in zip(apart, spreads, strict=True)], axis=0
    )
    np.testing.assert_allclose(found, mean, atol=1e-3 * np.abs(mean).max())


def test_groups_to_choose_by_choose_one(scene):
    features, labels, groups = scene(800)
    some = np.where(np.arange(800) < 200, groups, -1)
    methods = ["errors as groups", "mended errors"]
    choice = choose(features, labels, validation_groups=some, seeds=1, methods=methods)
    assert choice.chosen.method in methods
    assert choice.alike == ()
    assert choice.name == choice.chosen.name
