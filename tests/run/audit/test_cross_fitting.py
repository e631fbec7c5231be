"""Every image is scored by methods that did not learn from it."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import features
from equipoise.risk import MVE, Dropout, Histogram, LastLayer, Method, Neighbours, Risk
from equipoise.run.audit.cross_fitting import Learning, check_methods, cross_fitted_scores, halves
from equipoise.run.audit.view import View
from equipoise.run.model_source import ModelSource

LEARNING = Learning(epochs=1, batch_size=32)


class Memory(Method):
    """Tells how many images equal to this one it has learned from."""

    label = "memory"
    kinds = ("epistemic",)

    def __init__(self):
        super().__init__()
        self.known = []

    def looked_at(self, seen):
        return seen.inputs

    def observe(self, seen):
        self.known += _names(self.looked_at(seen))

    def risk(self, seen):
        counts = [float(self.known.count(name)) for name in _names(self.looked_at(seen))]
        return Risk(epistemic=torch.tensor(counts), raw={"known": torch.tensor(counts)})


class MemoryOfFeatures(Memory):
    """The same by features: those that are kept will do."""

    uses_features = on_features = True

    def looked_at(self, seen):
        return seen.needed_features()


class Calls(nn.Module):
    """Counts the pictures that go through a network."""

    def __init__(self, network):
        super().__init__()
        self.network, self.pictures = network, 0

    def forward(self, images):
        self.pictures += len(images)
        return self.network(images)


def view_of(network, table):
    source = ModelSource(network, "", "")
    backbone = source.on(table)
    return View(source, backbone, table, features(backbone, table))


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


@pytest.mark.parametrize("memory", [Memory, MemoryOfFeatures])
def test_no_image_is_scored_by_what_learned_from_it(table, memory):
    found = cross_fitted_scores(view_of(Ends(), table), {"memory": memory()}, LEARNING)
    assert (found.risks["epistemic_memory"] == 0).all()
    assert found.kinds == {"epistemic_memory": "epistemic"}
    assert set(found.half) == {1, 2}
    assert (found.raw["memory.known"] == 0).all()
    assert np.allclose(found.percentiles["epistemic_memory"], 0.5)


@pytest.mark.parametrize("memory", [Memory, MemoryOfFeatures])
def test_a_reference_is_learned_from_and_everything_scored(table, memory):
    network, some = Ends(), table.take(np.arange(60))
    found = cross_fitted_scores(
        view_of(network, some), {"memory": memory()}, LEARNING, reference=view_of(network, table)
    )
    counts = found.risks["epistemic_memory"]
    assert counts.tolist() == [2.0] * 20 + [1.0] * 40
    assert set(found.half) == {1}


def test_methods_on_features_cost_no_pass_of_the_network(table):
    network = Calls(Ends())
    view = view_of(network, table)
    before = network.pictures
    on_features = {
        "neighbours": Neighbours(5),
        "last_layer": LastLayer(),
        "mve": MVE(),
        "histogram": Histogram(2),
    }
    found = cross_fitted_scores(view, on_features, LEARNING)
    assert len(found.risks) == 4
    assert network.pictures == before
    cross_fitted_scores(view, {"dropout": Dropout(3)}, LEARNING)
    # who is asked for all the same: what it scores goes through once as it is and once a pass, beside a few batches
    assert 4 * 120 <= network.pictures - before <= 4 * 120 + 2 * 7 * LEARNING.batch_size


def test_kept_features_tell_what_pictures_tell(table):
    """The same method through the network: as near as float16 is."""
    view = view_of(Ends(3), ImageTable.from_arrays(table.batch(np.arange(120)), np.arange(120) % 3))
    learning = replace(LEARNING, batch_size=120)
    chosen = {"neighbours": Neighbours(5), "last_layer": LastLayer()}
    kept = cross_fitted_scores(view, chosen, learning)
    looking = {name: copy.deepcopy(method) for name, method in chosen.items()}
    for method in looking.values():
        method.on_features = False
    shown = cross_fitted_scores(view, looking, learning)
    for name, values in kept.risks.items():
        assert np.corrcoef(values, shown.risks[name])[0, 1] > 0.999
        assert not np.array_equal(values, shown.risks[name])  # or the second was not another way


def test_percentiles_are_those_of_the_half(table):
    found = cross_fitted_scores(view_of(Ends(), table), {"histogram": Histogram(2)}, LEARNING)
    for half in (1, 2):
        inside = found.half == half
        order = np.argsort(found.risks["representation_histogram"][inside], kind="stable")
        assert (np.diff(found.percentiles["representation_histogram"][inside][order]) >= 0).all()
        assert found.percentiles["representation_histogram"][inside].mean() == pytest.approx(0.5)


def test_the_model_stays_as_it_is(table):
    network = Ends().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cross_fitted_scores(view_of(network, table), {"histogram": Histogram(2), "dropout": Dropout(2)}, LEARNING)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


class Skips(Ends):
    """Has a dropout layer that it never calls."""

    def __init__(self):
        super().__init__()
        self.never = nn.Dropout(0.5)


@pytest.mark.parametrize(
    ("method", "words"),
    [(Neighbours(70), "needs 71 images to learn from; got 60"), (Dropout(2), "none of network.never was")],
)
def test_what_a_method_cannot_do_is_known_before_the_pass(table, method, words):
    network = Calls(Skips())
    source = ModelSource(network, "", "")
    with pytest.raises(InputError, match=words):
        check_methods(source, source.on(table), {"audited": table}, {"m": method}, LEARNING)
    assert network.pictures < 30
