"""Pictures → vectors by a user's network."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.density import HistogramDensity, NeighbourDensity
from equipoise.errors import InputError
from equipoise.nn import embed, embedding


class MeanColour(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)

    def forward(self, images):
        return self.drop(self.norm(images.mean((2, 3))))


def pictures(count=1200, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)


def test_a_table_an_array_and_a_function_give_the_same_and_the_network_is_left_as_it_was():
    images = pictures()
    module = MeanColour().train()
    module.drop.eval()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    table = ImageTable.from_arrays(images, np.arange(1200) % 2)
    expected = images.reshape(1200, 64, 3).mean(1) / 255 / np.sqrt(1 + 1e-5)
    for given in (table, images, lambda: (images[i : i + 700] for i in (0, 700))):
        np.testing.assert_allclose(embed(module, given), expected, atol=1e-6)
    np.testing.assert_allclose(embed(module, table, rows=table.positives), expected[1::2], atol=1e-6)
    assert module.training
    assert not module.drop.training
    assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())


def test_many_vectors_lie_in_a_temporary_file(monkeypatch):
    monkeypatch.setattr(embedding, "IN_MEMORY", 100)
    images = pictures(600)
    found = embed(MeanColour(), images)
    assert isinstance(found, np.memmap)
    monkeypatch.undo()
    np.testing.assert_array_equal(found, embed(MeanColour(), images))


def test_any_density_takes_the_vectors():
    images = pictures(200)
    images[:4] //= 8  # dark ones
    vectors = embed(MeanColour(), images)
    neighbours = NeighbourDensity(10).fit(vectors).log_prob(vectors, leave_one_out=True)
    assert set(neighbours.argsort()[:4].tolist()) == {0, 1, 2, 3}
    assert set(HistogramDensity().fit(vectors).log_prob(vectors).argsort()[:4].tolist()) == {0, 1, 2, 3}


def test_maps_of_one_pixel_are_vectors():
    found = embed(nn.AdaptiveAvgPool2d(1), pictures(5))
    assert found.shape == (5, 3)


class Gives(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


@pytest.mark.parametrize(
    ("module", "given", "message"),
    [
        (np.mean, pictures(2), "Expected a torch nn.Module .* got"),
        (nn.Linear(5, 2), pictures(2), r"must take images of shape \(batch, 3, 8, 8\)"),
        (nn.Identity(), pictures(2), r"one vector an image, .* got shape \(2, 3, 8, 8\)"),
        (Gives(lambda x: (x, x)), pictures(2), "got a tuple"),
        (
            Gives(lambda x: x.mean((2, 3)) / 0),
            np.zeros((3, 8, 8, 3), np.uint8),
            "NaN or infinity .* picture 0",
        ),
        (Gives(lambda x: torch.zeros(len(x), len(x))), pictures(700), "one length .* got 512 and then 188"),
        (MeanColour(), pictures(0), "at least one picture"),
        (MeanColour(), pictures(2) / 255.0, "must be uint8 arrays .* got float64"),
        (MeanColour(), lambda: [torch.zeros(1, 8, 8, 3)], "got Tensor"),
    ],
)
def test_what_cannot_be_embedded(module, given, message):
    with pytest.raises(InputError, match=message):
        embed(module, given)


def test_rows_are_of_a_table():
    with pytest.raises(InputError, match="positions of a table"):
        embed(MeanColour(), pictures(3), rows=[0])
