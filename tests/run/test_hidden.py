"""What the last layer of a trained model sees."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.nn import DBVAE, Classifier, StandardCNN, pixels
from equipoise.run.hidden import has_hidden_layer, hidden_features

SHAPE = {"width": 2, "depth": 2, "image_size": 16, "channels": 3}


class Body(nn.Module):
    def forward(self, images):
        return images.mean((2, 3))


def generator():
    return torch.Generator().manual_seed(0)


MODELS = {
    "standard CNN": lambda: Classifier(StandardCNN(1, generator=generator(), **SHAPE)),
    "DB-VAE": lambda: DBVAE(latent=3, generator=generator(), **SHAPE),
    "brought encoder": lambda: Classifier(nn.Sequential(Body(), nn.Linear(3, 1))),
}


@pytest.fixture(scope="module")
def table():
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), np.uint8)
    return ImageTable.from_arrays(images, np.arange(9) % 2)


@pytest.mark.parametrize("name", MODELS)
def test_the_last_layer_turns_them_into_what_the_model_says(name, table):
    model = MODELS[name]().train()
    assert has_hidden_layer(model)
    features = hidden_features(model, table, device="cpu")
    assert features.dtype == np.float32
    assert model.training  # as it was
    network = model.encoder if hasattr(model, "encoder") else model.network
    last = network[-1] if isinstance(network, nn.Sequential) else network.output
    model.eval()
    with torch.no_grad():
        said = network(pixels(torch.from_numpy(table.batch(np.arange(9)))))
        torch.testing.assert_close(last(torch.from_numpy(features)), said, atol=1e-5, rtol=1e-4)


def test_a_brought_encoder_shows_its_own_features(table):
    found = hidden_features(MODELS["brought encoder"](), table, device="cpu")
    np.testing.assert_allclose(found, table.batch(np.arange(9)).mean((1, 2)) / 255, rtol=1e-5)


def test_a_network_of_another_build_shows_none():
    assert not has_hidden_layer(Classifier(Body()))
    assert not has_hidden_layer(Body())
