"""Every image is scored by methods that did not learn from it."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.risk import Histogram, Method, Risk
from equipoise.run.audit.cross_fitting import Learning, TableBatches, cross_fitted_scores, halves, looked
from equipoise.run.model_source import ModelSource

LEARNING = Learning(epochs=1, batch_size=32)


class Memory(Method):
    """Tells how many images equal to this one it has learned from."""

    label = "memory"
    kinds = ("epistemic",)

    def __init__(self):
        super().__init__()
        self.known = []

    def observe(self, seen):
        self.known += _names(seen.inputs)

    def risk(self, seen):
        counts = [float(self.known.count(name)) for name in _names(seen.inputs)]
        return Risk(epistemic=torch.tensor(counts), raw={"known": torch.tensor(counts)})


def _names(images):
    return [hash(tuple(image)) for image in images.flatten(1).tolist()]


class Ends(nn.Module):
    """One logit: how bright."""

    def __init__(self, outputs=1):
        super().__init__()
        self.flat, self.last = nn.Flatten(), nn.Linear(48, outputs)

    def forward(self, images):
        return self.last(self.flat(images))


@pytest.fixture
def table():
    """100 different pictures, 20 of them there twice with another label."""
    images = np.random.default_rng(0).integers(0, 256, (100, 4, 4, 3), dtype=np.uint8)
    return ImageTable.from_arrays(np.concatenate([images, images[:20]]), np.arange(120) % 2)


def test_halves_are_balanced_and_keep_copies_together(table):
    first, second = halves(table, 0)
    assert sorted([*first, *second]) == list(range(120))
    assert abs(len(first) - len(second)) <= 4
    assert not set(table.digests[first]) & set(table.digests[second])
    assert abs(table.labels[first].mean() - 0.5) < 0.1
    assert halves(table, 1)[0].tolist() != first.tolist()


def test_no_image_is_scored_by_what_learned_from_it(table):
    found = cross_fitted_scores(ModelSource(Ends(), "", ""), table, {"memory": Memory()}, "binary", LEARNING)
    assert (found.risks["epistemic_memory"] == 0).all()
    assert found.kinds == {"epistemic_memory": "epistemic"}
    assert set(found.half) == {1, 2}
    assert (found.raw["memory.known"] == 0).all()
    assert np.allclose(found.percentiles["epistemic_memory"], 0.5)


def test_a_reference_is_learned_from_and_everything_scored(table):
    source = ModelSource(Ends(), "", "")
    found = cross_fitted_scores(
        source, table.take(np.arange(60)), {"memory": Memory()}, "binary", LEARNING, reference=table
    )
    counts = found.risks["epistemic_memory"]
    assert counts.tolist() == [2.0] * 20 + [1.0] * 40
    assert set(found.half) == {1}


def test_percentiles_are_those_of_the_half(table):
    found = cross_fitted_scores(
        ModelSource(Ends(), "", ""), table, {"histogram": Histogram(2)}, "binary", LEARNING
    )
    for half in (1, 2):
        inside = found.half == half
        order = np.argsort(found.risks["representation_histogram"][inside], kind="stable")
        assert (np.diff(found.percentiles["representation_histogram"][inside][order]) >= 0).all()
        assert found.percentiles["representation_histogram"][inside].mean() == pytest.approx(0.5)


def test_the_model_stays_as_it_is(table):
    network = Ends().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cross_fitted_scores(ModelSource(network, "", ""), table, {"histogram": Histogram(2)}, "binary", LEARNING)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


def test_looking_gives_probabilities_and_features(table):
    network = Ends()
    found = looked(ModelSource(network, "", ""), table, LEARNING)
    assert found.task == "binary"
    assert found.features.shape == (120, 48)
    assert found.layer == "input of last"
    with torch.no_grad():
        images, _ = next(iter(TableBatches(table, 120, torch.device("cpu"))))
        assert np.allclose(found.probabilities[:, 1], network(images)[:, 0].double().sigmoid(), atol=1e-6)
    many = looked(ModelSource(Ends(3), "", ""), table, LEARNING)
    assert many.task == "multiclass"
    assert np.allclose(many.probabilities.sum(1), 1)


def test_batches_are_shuffled_anew_and_complete(table):
    batches = TableBatches(table, 50, torch.device("cpu"), seed=3)
    passes = [torch.cat([images.mean((1, 2, 3)) for images, _ in batches]) for _ in range(2)]
    assert len(batches) == 3
    assert not torch.equal(*passes)
    assert torch.equal(passes[0].sort().values, passes[1].sort().values)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(7, 1)), "Give the `image_size` and `channels`"),
        (nn.Sequential(nn.Conv2d(3, 2, 1)), "Expected finite logits"),
    ],
)
def test_a_network_that_does_not_fit_says_so(table, network, words):
    with pytest.raises(InputError, match=words):
        looked(ModelSource(network, "", ""), table, LEARNING)


def test_labels_that_the_model_does_not_know(table):
    wrong = ImageTable.from_arrays(table.batch(np.arange(120)), np.arange(120) % 4)
    with pytest.raises(InputError, match="Expected labels 0…1, the model's classes; got 0…3"):
        looked(ModelSource(Ends(), "", ""), wrong, LEARNING)
