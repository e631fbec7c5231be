"""Features and labels that belong together, and those that do not."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.fix import choose, cross_fitted, refit
from equipoise.nn import Backbone, features


@pytest.fixture(scope="module")
def table():
    chance = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = chance.integers(0, 160, (120, 8, 8, 3)) + 60 * labels[:, None, None, None]
    return ImageTable.from_arrays(images.astype(np.uint8), labels)


@pytest.fixture(scope="module")
def store(table):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))
    return features(Backbone.of(network, size=8), table)


def test_a_store_and_its_table_are_its_rows_and_labels(table, store):
    layer = refit(store, table, "classes equal", seeds=1)
    alone = refit(store.features, table.labels, "classes equal", seeds=1)
    assert torch.equal(layer.weight, alone.weight)
    assert torch.equal(refit(store, table.labels, "classes equal", seeds=1).weight, layer.weight)
    assert torch.equal(refit(store.features, table, "classes equal", seeds=1).weight, layer.weight)


@pytest.mark.parametrize(
    "call",
    [
        refit,
        lambda a, b: choose(a, b, seeds=1, methods=["plain"]),
        cross_fitted,
    ],
)
@pytest.mark.parametrize("rows", [np.r_[1:120, 0], np.arange(100)], ids=["another order", "fewer"])
def test_features_of_other_pictures_are_refused_with_both_sides(call, rows, table, store):
    other = table.take(rows)
    with pytest.raises(InputError) as told:
        call(store, other)
    words = str(told.value)
    assert f"{len(other)} of digest" in words
    assert f"features of 120 pictures of digest {store.layout.pictures[:8]}" in words
    assert f"backbone {store.layout.backbone[:8]}" in words
    assert "one order" in words


def test_other_labels_of_the_same_pictures_are_taken(table, store):
    from dataclasses import replace

    turned = replace(table, labels=1 - table.labels)
    layer = refit(store, turned, "classes equal", seeds=1)
    assert torch.allclose(layer.weight, -refit(store, table, "classes equal", seeds=1).weight, atol=1e-3)
