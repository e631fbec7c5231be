"""How common an image is among the training positives."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.nn import Classifier
from equipoise.run import representation
from equipoise.run.representation import load_representation, represent, save_representation


class Brightness(nn.Module):
    """Two features: the brightness, and one that never varies."""

    def forward(self, images):
        bright = images.mean((1, 2, 3))
        return torch.stack([bright, torch.zeros_like(bright)], 1)


@pytest.fixture
def model():
    return Classifier(nn.Sequential(Brightness(), nn.Linear(2, 1)))


def table(levels, labels):
    images = np.array(levels, np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    return ImageTable.from_arrays(images, np.array(labels, np.int64))


@pytest.fixture
def faces():
    """Forty dark positives, one bright; negatives are all bright."""
    return table([*range(10, 50), 200, *[201] * 30], [1] * 41 + [0] * 30)


def test_it_is_learned_from_positives_and_the_one_unlike_them_is_rarest(model, faces):
    found, own = represent(model, faces, bins=10, device="cpu")
    assert found.active.tolist() == [True, False]
    assert own.shape == (41,)
    assert own.argmin() == 40
    everyone = found.log_density(faces)
    np.testing.assert_allclose(everyone[:41], own)
    assert everyone[41:].max() < np.median(own)  # many negatives are bright, and do not count


def test_chunks_change_nothing(model, faces, monkeypatch):
    whole, own = represent(model, faces, device="cpu")
    expected = whole.log_density(faces)
    monkeypatch.setattr(representation, "CHUNK", 7)
    found, again = represent(model, faces, device="cpu")
    np.testing.assert_allclose(again, own)
    np.testing.assert_allclose(found.log_density(faces), expected)


def test_what_is_saved_says_the_same(model, faces, tmp_path):
    found, _ = represent(model, faces, bins=6, device="cpu")
    save_representation(found, tmp_path)
    again = load_representation(model, tmp_path, device="cpu")
    assert again.histogram.bins == 6
    np.testing.assert_array_equal(again.log_density(faces), found.log_density(faces))


def test_none_where_nothing_is_shown_nothing_varies_or_nothing_lies(model, faces, tmp_path):
    assert represent(Classifier(Brightness()), faces, device="cpu") is None
    assert represent(model, table([9, 9, 30], [1, 1, 0]), device="cpu") is None
    assert load_representation(model, tmp_path) is None
