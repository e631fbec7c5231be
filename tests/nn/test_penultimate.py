"""Features before the last layer of models that recipes build, and another last layer in its place."""

import pytest
import torch
from torch import nn

from equipoise.errors import InputError
from equipoise.nn import DBVAE, Backbone, BackboneClassifier, Classifier, StandardCNN
from equipoise.nn.penultimate import features_of, with_layer

SMALL = {"width": 4, "depth": 2, "image_size": 16}


def own_network(outputs):
    return nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, outputs)
    )


def built(kind, outputs, mirror):
    if kind == "db-vae":
        return DBVAE(outputs=outputs, latent=3, mirror=mirror, **SMALL)
    if kind == "standard":
        return Classifier(StandardCNN(outputs, **SMALL), mirror=mirror)
    if kind == "encoder":
        network = own_network(outputs)
        return Classifier(nn.Sequential(network[:-1], network[-1]), mirror=mirror)
    return BackboneClassifier(
        Backbone.of(own_network(outputs), size=16, mean=(0.4,), std=(0.3,)), mirror=mirror
    )


@pytest.fixture(autouse=True)
def _chance():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("kind", ["db-vae", "standard", "encoder", "backbone"])
def test_logits_are_the_new_layer_s_of_the_features(kind, outputs, mirror):
    model, images = built(kind, outputs, mirror).eval(), torch.rand(4, 3, 16, 16)
    with torch.no_grad():
        before, features = model(images), features_of(model)(images)
        layer = nn.Linear(features.shape[1], outputs)
        changed = with_layer(model, layer, [str(i) for i in range(max(2, outputs))])
        expected = layer(features)
        torch.testing.assert_close(changed(images).reshape(4, outputs), expected)
        assert not torch.allclose(changed(images), before)
        assert torch.equal(model(images), before)  # it is a copy that has changed
    assert changed.mirror == mirror
    assert not changed.training


def test_features_of_a_mirrored_model_are_the_mean_of_both_passes():
    model, images = built("standard", 1, True).eval(), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        both = (model.network.features(images) + model.network.features(images.flip(3))) / 2
        torch.testing.assert_close(features_of(model)(images), both)
        assert not torch.allclose(both, model.network.features(images))


def test_codes_of_a_db_vae_stay():
    model, images = built("db-vae", 1, False).eval(), torch.rand(2, 3, 16, 16)
    changed = with_layer(model, nn.Linear(model.head.in_features, 1), ["no", "yes"])
    with torch.no_grad():
        assert torch.equal(changed.encode(images).mean, model.encode(images).mean)


def test_a_layer_of_another_shape_is_refused():
    model = built("standard", 1, False)
    with pytest.raises(InputError, match=r"from 512 features to 1 logits; got one from 512 to 3"):
        with_layer(model, nn.Linear(512, 3), ["a", "b", "c"])


def test_a_model_whose_last_layer_is_not_known_is_refused():
    with pytest.raises(InputError, match="whose last layer is known; got a Classifier"):
        features_of(Classifier(nn.Conv2d(3, 1, 16)))
