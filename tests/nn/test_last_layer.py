"""A network's last layer, taken out and put back."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.errors import InputError
from equipoise.nn import Backbone, BackboneClassifier, fit_linear, last_layer, with_last_layer
from equipoise.nn.last_layer import Headed, replaceable

from .networks import small


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def linear(inputs=6, outputs=4):
    return nn.Linear(inputs, outputs)


def test_the_last_layer_is_found_and_makes_the_logits():
    network = small()
    backbone = Backbone.of(network, size=16, mean=(0.5,), std=(0.25,))
    layer = last_layer(backbone)
    assert layer is network.last
    found = backbone(torch.rand(3, 3, 16, 16))
    assert torch.allclose(layer(found.features), found.logits, atol=1e-6)


def test_another_layer_stands_in_its_place_and_the_first_network_stays():
    network = small()
    before = copy.deepcopy(network.state_dict())
    backbone, layer = Backbone.of(network, size=16, mean=(0.5,), std=(0.25,)), linear()
    changed = with_last_layer(backbone, layer, ["a", "b", "c", "d"])
    images = torch.rand(5, 3, 16, 16)
    old, new = backbone(images), changed(images)
    assert torch.equal(old.features, new.features)
    assert torch.allclose(new.logits, layer(old.features), atol=1e-6)
    assert (changed.outputs, changed.class_names) == (4, ("a", "b", "c", "d"))
    assert changed.network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert changed.digest != backbone.digest
    layer.weight.zero_()
    assert not torch.equal(changed.network.last.weight, layer.weight)


def test_putting_back_its_own_layer_changes_nothing():
    backbone = Backbone.of(small(), size=16)
    images = torch.rand(2, 3, 16, 16)
    again = with_last_layer(backbone, last_layer(backbone))
    assert torch.equal(again(images).logits, backbone(images).logits)


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.last = nn.Linear(6, 6)
        self.aside = nn.Linear(6, 6)
        self.aside.weight = self.last.weight

    def forward(self, images):
        return self.last(self.aside(self.body(images)).relu())


class Halved(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = small()

    def forward(self, images):
        return self.inner(images) / 2


HARD = {
    "shares its weights": lambda: Backbone.of(Shared(), size=16),
    "changes its logits": lambda: Backbone.of(Halved(), size=16),
    "output of a named layer": lambda: Backbone.of(small(), size=16, layer="body"),
    "no last layer": lambda: Backbone.tried(
        small().body, Backbone.of(small(), size=16).preprocessing, headless=True
    ),
    "of type Conv2d": lambda: Backbone.of(
        nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 3, 1), nn.Flatten()), size=16
    ),
}


@pytest.mark.parametrize("why", HARD)
def test_a_layer_that_cannot_be_replaced_is_told_and_another_stands_behind_the_features(why):
    backbone = HARD[why]()
    with pytest.raises(InputError, match=why):
        last_layer(backbone)
    assert not replaceable(backbone)
    layer = linear(backbone.dimensions)
    changed = with_last_layer(backbone, layer)
    images = torch.rand(4, 3, 16, 16)
    old, new = backbone(images), changed(images)
    assert isinstance(changed.network, Headed)
    assert torch.allclose(old.features, new.features, atol=1e-6)
    assert torch.allclose(new.logits, layer(old.features), atol=1e-5)
    again = with_last_layer(changed, linear(backbone.dimensions, 2))
    assert again.outputs == 2
    assert not isinstance(again.network.network, Headed)


def test_a_layer_of_other_features_is_refused():
    with pytest.raises(InputError, match=r"6 features .* got one for 7"):
        with_last_layer(Backbone.of(small(), size=16), linear(7))


def test_a_fitted_layer_makes_a_model():
    backbone = Backbone.of(small(), size=16, mean=(0.5,), std=(0.25,))
    images, labels = torch.rand(40, 3, 16, 16), np.arange(40) % 2
    images[labels == 1] /= 2
    layer = fit_linear(backbone(images).features.numpy(), labels, C=100.0)
    model = BackboneClassifier(with_last_layer(backbone, layer, ["light", "dark"])).eval()
    assert ((model(images) > 0).numpy() == labels).mean() > 0.9
