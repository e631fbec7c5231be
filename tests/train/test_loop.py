"""What the loop leaves: the weights of the last step, or their average, and the last sampling weights."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from equipoise.train import Optimisation, Recipe, Resampling, fit, steps
from equipoise.train.rarity import Rarity

EPOCHS = 3


def recipe(average=None):
    how = Optimisation(learning_rate=5e-3, batch_size=16, epochs=EPOCHS, average=average)
    rarity = Resampling(rule="equipoise", ess=0.7, max_weight=5.0, warmup=0)
    return Recipe("tiny", plain=how, debiased=how, resampling=rarity, width=4, depth=2, latent=6)


@pytest.fixture
def stepped(monkeypatch):
    """The model's parameters after every step, by name."""
    seen, real = [], steps.Steps._update

    def update(self, *given):
        losses = real(self, *given)
        seen.append({name: values.detach().clone() for name, values in self.model.named_parameters()})
        return losses

    monkeypatch.setattr(steps.Steps, "_update", update)
    return seen


@pytest.mark.parametrize("average", [None, 0.8])
def test_the_model_is_that_of_the_last_step_or_the_average_of_all(scene, stepped, tmp_path, average):
    fitted = fit(scene(80), recipe(average), folder=tmp_path)
    assert len(stepped) == fitted.steps == EPOCHS * (len(stepped) // EPOCHS)
    expected = stepped[0] if average else stepped[-1]
    for after in stepped[1:] if average else []:
        expected = {name: average * expected[name] + (1 - average) * after[name] for name in expected}
    for name, values in fitted.model.named_parameters():
        torch.testing.assert_close(values, expected[name], atol=1e-6, rtol=1e-4)
    kept = load_file(tmp_path / f"epoch-{EPOCHS - 1:04}.safetensors")
    before = load_file(tmp_path / f"epoch-{EPOCHS - 2:04}.safetensors")
    last_of_epoch = stepped[len(stepped) // EPOCHS * (EPOCHS - 1) - 1]
    for name, values in fitted.model.named_parameters():
        assert torch.equal(kept[f"model.{name}"], values)
        assert torch.equal(before[f"model.{name}"], last_of_epoch[name])


def test_the_sampling_weights_are_those_that_the_last_epoch_was_drawn_by(scene, monkeypatch):
    made, real = [], Rarity.weights

    def weights(self, model):
        made.append(real(self, model))
        return made[-1]

    monkeypatch.setattr(Rarity, "weights", weights)
    fitted = fit(scene(80), recipe())
    assert len(made) == EPOCHS
    np.testing.assert_array_equal(fitted.weights[1], made[-1][1])
    assert all(np.abs(made[-1][1] - earlier[1]).max() > 1e-4 for earlier in made[:-1])
