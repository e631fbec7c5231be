"""Every job puts every module of a model back into the mode that it was in, also when the pass fails."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.latent.scores import attribute_scores
from equipoise.nn import Classifier, embed
from equipoise.nn.dbvae import feature_count
from equipoise.risk import Compose, Dropout, Histogram, Neighbours
from equipoise.run.audit.view import kept_features, looked
from equipoise.run.hidden import hidden_features
from equipoise.run.model_source import model_source
from equipoise.train import predict


class Body(nn.Sequential):
    """Fails on the second pass if told to."""

    def __init__(self, fails):
        super().__init__(nn.Flatten(), nn.Linear(32 * 32 * 3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.left = 1 if fails else 10**6

    def forward(self, x):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("on purpose")
        return super().forward(x)


def table():
    chance = np.random.default_rng(0)
    return ImageTable.from_arrays(
        chance.integers(0, 255, (1200, 32, 32, 3), np.uint8), (np.arange(1200) % 2).astype(np.int64)
    )


def mixed(network):
    network.train()
    for number, module in enumerate(network.modules()):
        module.training = number % 2 == 0
    return network


def headed(body):
    return nn.Sequential(body, nn.Linear(8, 2))


def risks(body):
    network = mixed(headed(body))
    wrapped = Compose(Histogram(bins=2), Dropout(passes=3))(network, task="multiclass")
    wrapped.fit([torch.rand(40, 3, 32, 32)] * 2).calibrate([torch.rand(9, 3, 32, 32)])


def looks(body):
    backbone = model_source(headed(body)).on(table())
    with TemporaryDirectory() as cache:
        keep = {"cache": Path(cache), "device": torch.device("cpu"), "say": print, "what": "images"}
        looked(backbone, kept_features(backbone, table(), **keep))


PASSES = {
    "risks": risks,
    "embed": lambda body: embed(body, table()),
    "feature count": lambda body: [feature_count(body, 3, 32) for _ in range(2)],
    "predict": lambda body: predict(Classifier(nn.Sequential(body, nn.Linear(8, 1))), table()),
    "hidden": lambda body: hidden_features(
        Classifier(nn.Sequential(body, nn.Linear(8, 1))), table(), device="cpu"
    ),
    "looked": looks,
    "scores": lambda body: attribute_scores(
        Classifier(nn.Sequential(body, nn.Linear(8, 1))), torch.rand(2000, 3, 32, 32)
    ),
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", PASSES)
def test_modes_are_as_before(name, fails):
    torch.manual_seed(0)
    body = Body(fails)
    mixed(body)
    before = [module.training for module in body.modules()]
    assert len(set(before)) == 2
    statistics = {key: value.clone() for key, value in body.state_dict().items()}
    if fails:
        with pytest.raises((RuntimeError, ValueError), match="on purpose"):
            PASSES[name](body)
    else:
        PASSES[name](body)
    if name == "risks":
        before = [number % 2 == 1 for number in range(len(before))]  # it is the second module of the whole
    assert [module.training for module in body.modules()] == before
    assert all(torch.equal(value, statistics[key]) for key, value in body.state_dict().items())


def test_wrapping_changes_no_mode():
    network = mixed(headed(Body(False)))
    before = [module.training for module in network.modules()]
    wrapped = Neighbours()(network, task="multiclass", example=torch.rand(4, 3, 32, 32))
    assert [module.training for module in network.modules()] == before
    assert wrapped.training == network.training
