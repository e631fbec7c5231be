"""Batch normalisation folded into convolutions: the same numbers, and left alone where it would change them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from equipoise.data import ImageTable
from equipoise.nn import Backbone, features
from equipoise.nn.folded import folded

EXAMPLE = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def lived(network: nn.Module) -> nn.Module:
    """With running statistics of some pictures, and weights that are not one."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1, 0.5)
            nn.init.normal_(module.bias)
    with torch.no_grad():
        network.train()(3 * torch.rand(16, 3, 8, 8))
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def plain() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, groups=4),
        nn.BatchNorm2d(4),
    )


def test_a_folded_network_gives_the_same_and_the_first_is_left_alone():
    network = lived(plain())
    kept = copy.deepcopy(network.state_dict())
    found = folded(network, EXAMPLE)
    assert norms(found) == 0
    assert norms(network) == 2
    torch.testing.assert_close(found(EXAMPLE), network(EXAMPLE), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(values, kept[name]) for name, values in network.state_dict().items())


class Elsewhere(nn.Module):
    """What the convolution gives is used beside the normalisation too."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        found = self.convolution(images)
        return self.norm(found) + found


class Twice(nn.Module):
    """One convolution before two normalisations."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.one, self.other = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        return self.one(self.convolution(images)) + self.other(self.convolution(images.flip(1)))


@pytest.mark.parametrize(
    "network",
    [
        Elsewhere(),
        Twice(),
        nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 1)), nn.BatchNorm2d(4)),
    ],
    ids=["elsewhere", "twice", "before", "relu between", "no statistics", "weight norm"],
)
def test_what_folding_would_change_is_left_alone(network):
    network = lived(network)
    assert folded(network, EXAMPLE) is network


def test_features_are_those_of_the_network_whether_they_come_before_or_behind_a_normalisation():
    network = lived(
        nn.Sequential(*plain()[:3], nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    )
    table = ImageTable.from_arrays(
        np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8), [0, 1] * 20
    )
    images = torch.from_numpy(table.batch(np.arange(40))).permute(0, 3, 1, 2) / 255
    for layer in (None, "0", "1", "3", "4"):
        backbone = Backbone.of(network, size=8, layer=layer)
        store = features(backbone, table, dtype="float32")
        expected = backbone(images)
        np.testing.assert_allclose(store.features, expected.features.numpy(), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(store.logits, expected.logits.numpy(), rtol=1e-3, atol=1e-4)
