"""What methods see of a table: kept features and logits, batch by batch."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import features
from equipoise.risk import Dropout, Neighbours
from equipoise.run.audit.view import Batches, View, kept_features, looked
from equipoise.run.model_source import ModelSource

CPU = torch.device("cpu")


class Ends(nn.Module):
    """Logits of the pixels, which are the features too, a thousand times or more."""

    def __init__(self, outputs=1, factor=1.0):
        super().__init__()
        self.flat, self.last, self.factor = nn.Flatten(), nn.Linear(48, outputs), factor

    def forward(self, images):
        return self.last(self.factor * self.flat(images))


@pytest.fixture
def table():
    images = np.random.default_rng(0).integers(0, 256, (120, 4, 4, 3), dtype=np.uint8)
    return ImageTable.from_arrays(images, np.arange(120) % 2)


def seen(network, table):
    backbone = ModelSource(network, "", "").on(table)
    return looked(backbone, features(backbone, table))


def test_looking_gives_probabilities_and_features(table):
    network = Ends()
    found = seen(network, table)
    assert found.task == "binary"
    assert found.features.shape == (120, 48)
    assert found.layer == "input of last"
    images = torch.from_numpy(table.batch(np.arange(120))).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        assert np.allclose(found.probabilities[:, 1], network(images)[:, 0].double().sigmoid(), atol=1e-6)
    many = seen(Ends(3), table)
    assert many.task == "multiclass"
    assert np.allclose(many.probabilities.sum(1), 1)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(7, 1)), r"Give the size and channels that it was made for"),
        (nn.Sequential(nn.Conv2d(3, 2, 1)), r"Expected logits of shape"),
        (nn.Sequential(nn.Flatten(), nn.Linear(48, 2), nn.ReLU(), nn.Softplus()), None),
    ],
)
def test_a_network_that_does_not_fit_says_so(table, network, words):
    if words is None:  # a last layer need not be last
        assert seen(network, table).features.shape == (120, 48)
        return
    with pytest.raises(InputError, match=words):
        seen(network, table)


def test_logits_that_are_no_numbers_name_the_image(table):
    backbone = ModelSource(Ends(2), "their network", "").on(table)
    store = features(backbone, table)
    store.logits[7, 1] = np.nan
    with pytest.raises(InputError, match="their network gives NaN or infinity for image 7"):
        looked(backbone, store)


def test_features_that_float16_does_not_hold_are_kept_as_float32(table, tmp_path):
    said = []
    backbone = ModelSource(Ends(2, factor=1e6), "", "").on(table)
    keep = {"cache": tmp_path, "device": CPU, "say": said.append, "what": "images"}
    store = kept_features(backbone, table, **keep)
    assert store.features.dtype == np.float32
    assert any("float32" in line for line in said)
    assert kept_features(ModelSource(Ends(2), "", "").on(table), table, **keep).features.dtype == np.float16


def test_a_second_start_runs_nothing(table, tmp_path):
    network = Ends(2)
    backbone = ModelSource(network, "", "").on(table)
    keep = {"cache": tmp_path, "device": CPU, "say": lambda line: None, "what": "images"}
    first = kept_features(backbone, table, **keep)
    network.forward = None  # whoever calls it fails
    again = kept_features(backbone, table, **keep)
    assert np.array_equal(first.features, again.features)
    assert np.array_equal(first.logits, again.logits)


@pytest.mark.parametrize("method", [Neighbours(), Dropout()])
def test_batches_are_shuffled_anew_and_complete(table, method):
    source = ModelSource(Ends(), "", "")
    backbone = source.on(table)
    shown = View(source, backbone, table, features(backbone, table)).shown(method)
    rows, taken = np.arange(10, 110), []
    batches = Batches(shown.read, rows, table.labels, 30, CPU, seed=3, told=taken.append)
    passes = [list(batches) for _ in range(2)]
    firsts = [torch.cat([inputs.flatten(1).sum(1) for inputs, _ in one]) for one in passes]
    assert len(batches) == len(passes[0]) == 4
    assert not torch.equal(*firsts)
    assert torch.allclose(firsts[0].sort().values, firsts[1].sort().values)
    assert taken == [30, 60, 90, 100, 130, 160, 190, 200]
    inputs, labels = passes[0][0]
    order = next(iter(Batches(shown.read, rows, table.labels, 100, CPU)))
    assert order[1].tolist() == table.labels[rows].tolist()
    place = [int((order[0] == one).flatten(1).all(1).nonzero()[0]) for one in inputs]
    assert labels.tolist() == table.labels[rows][place].tolist()
