"""What a recipe's objective and mirror change in what `fit` builds and saves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Classifier, StandardCNN
from equipoise.train import Engine, Optimisation, Resampling, fit, load_model, predict, recipe, save_model

SHORT = Optimisation(learning_rate=1e-3, batch_size=16, epochs=1)


def chosen(**changes):
    return replace(recipe("equipoise"), plain=SHORT, debiased=SHORT, width=4, depth=3, latent=4, **changes)


def table():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (160, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(160) % 2
    images[labels == 1, 8:24, 8:24] //= 3
    return ImageTable.from_arrays(images, labels)


def test_a_classifier_is_resampled_without_codes(tmp_path):
    how = chosen(objective="classifier", mirror=True)
    fitted = fit(table(), how, seed=3, engine=Engine(device="cpu", progress=False))
    assert isinstance(fitted.model, Classifier)
    assert isinstance(fitted.model.network, StandardCNN)
    assert fitted.weights[1].max() > 1.5 * fitted.weights[1].min()
    save_model(fitted, tmp_path, image_size=32, channels=3)
    again = load_model(tmp_path).model
    np.testing.assert_array_equal(
        predict(again, table(), device="cpu"), predict(fitted.model, table(), device="cpu")
    )


def test_uniform_is_plain_where_there_are_no_further_losses():
    how = chosen(objective="classifier")
    plain, uniform = (
        fit(table(), how, method=method, engine=Engine(device="cpu", progress=False)).model
        for method in ("plain", "uniform")
    )
    for a, b in zip(plain.parameters(), uniform.parameters(), strict=True):
        assert torch.equal(a, b)


def test_rules_on_codes_need_codes():
    how = chosen(objective="classifier")
    with pytest.raises(InputError, match=r"objective 'classifier' has none.*objective=db-vae"):
        fit(
            table(),
            replace(how, resampling=Resampling(rule="max")),
            engine=Engine(device="cpu", progress=False),
        )
