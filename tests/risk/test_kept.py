"""Methods on kept features and predictions tell what they tell of the network that these came from."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.errors import InputError
from equipoise.nn.taps import features_at, find_tap, tapped
from equipoise.risk import (
    MVE,
    VAE,
    Dropout,
    Ensemble,
    Histogram,
    HistogramVAE,
    KeptFeatures,
    LastLayer,
    Neighbours,
)

METHODS = {
    "neighbours": lambda: Neighbours(k=3),
    "histogram": lambda: Histogram(bins=3, queue=90),
    "last layer": lambda: LastLayer(draws=8),
    "mve": lambda: MVE(hidden=4),
}


def network(outputs):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, outputs)).eval()


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("name", METHODS)
def test_the_same_risk_without_the_network(name, task):
    model = network(1 if task == "binary" else 3)
    images = torch.rand(64, 3, 4, 4)
    labels = torch.arange(64) % (2 if task == "binary" else 3)
    tap = find_tap(model, lambda: model(images))
    with torch.no_grad(), tapped(model, tap) as found:
        prediction = model(images)
    rows = KeptFeatures.rows(features_at(tap, found, 64).numpy(), prediction.numpy())
    method = METHODS[name]()
    assert method.on_features
    kept = method(KeptFeatures(8), layer=KeptFeatures.layer, task=task)
    kept.fit([(rows, labels)], epochs=3, generator=torch.Generator().manual_seed(1))
    shown = method(model, task=task)
    shown.fit([(images, labels)], epochs=3, generator=torch.Generator().manual_seed(1))
    told, wanted = kept.eval()(rows, return_risk=True), shown.eval()(images, return_risk=True)
    assert torch.equal(told[0], wanted[0])
    for score, values in wanted[1].raw.items():
        assert torch.allclose(told[1].raw[score], values, rtol=1e-4, atol=1e-6), score


def test_who_looks_further_says_so():
    assert not any(one.on_features for one in (Dropout(), Ensemble(), VAE(), HistogramVAE()))
    assert not Histogram(on="inputs").on_features


def test_half_precision_rows_are_single_precision():
    rows = KeptFeatures.rows(np.ones((2, 3), np.float16), np.ones((2, 1), np.float32))
    assert rows.dtype == torch.float32
    assert rows.shape == (2, 4)


@pytest.mark.parametrize("rows", [torch.zeros(4, 8), torch.zeros(2, 3, 4)])
def test_rows_without_a_prediction_are_refused(rows):
    with pytest.raises(InputError, match="rows of 8 features and a prediction"):
        KeptFeatures(8)(rows)
