"""A last layer on a backbone's features, and training that goes on from it."""

import copy
import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import equipoise
from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone, features
from equipoise.train import METHODS, Featured, load_model, predict, recipe, save_model
from equipoise.train.classes import weighted_rows
from equipoise.train.probe import row_weights


class Calls(list):
    """Of a network and of all its copies together."""

    def __deepcopy__(self, memo):
        return self


class Tiny(nn.Module):
    """Means of colours in four corners: enough to tell light from dark."""

    def __init__(self, classes=3):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Softplus(), nn.AdaptiveAvgPool2d(2)
        )
        self.last = nn.Linear(16, classes)
        self.calls = Calls()

    def forward(self, images):
        self.calls.append(len(images))
        return self.last(self.body(images).flatten(1))


def table(classes, rows=180, seed=0):
    """Brighter with the class, most pictures of a class alike; the rare tenth is greener."""
    chance = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    images = chance.integers(0, 80, (rows, 16, 16, 3)) + 55 * labels[:, None, None, None]
    images[::10, ..., 1] += 60
    return ImageTable.from_arrays(images.clip(0, 255).astype(np.uint8), labels, {})


@pytest.fixture
def backbone():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Backbone.of(Tiny(), size=16, mean=(0.5,), std=(0.25,))


@pytest.mark.parametrize("classes", [2, 3])
def test_plain_is_logistic_regression_on_the_features(backbone, classes):
    some = table(classes)
    fitted = equipoise.fit(some, recipe("probe"), method="plain", backbone=backbone)
    vectors = features(backbone, some, dtype="float32").features
    centred = (vectors - vectors.mean(0)) / vectors.std(0)
    peer = LogisticRegression(C=0.01, tol=1e-8, max_iter=5000).fit(centred, some.labels)
    wanted = peer.predict_proba(centred)
    assert np.allclose(predict(fitted.model, some), wanted[:, 1] if classes == 2 else wanted, atol=2e-3)
    assert fitted.class_names == some.class_names
    assert (fitted.steps, fitted.weights) == (0, {})


def test_classes_weigh_alike_in_uniform_and_rare_ones_more_in_debiased(backbone):
    some = table(3)
    some = some.take(np.r_[np.flatnonzero(some.labels != 2), np.flatnonzero(some.labels == 2)[:30]])
    fits = {m: equipoise.fit(some, "probe", method=m, backbone=backbone) for m in ("uniform", "debiased")}
    rows = row_weights(some, fits["debiased"].weights)
    sums = np.bincount(some.labels, rows)
    assert np.allclose(sums, sums[0])
    assert np.isclose(rows.mean(), 1)
    assert not fits["uniform"].weights
    assert sorted(fits["debiased"].weights) == [0, 1, 2]
    green = some.batch(np.arange(len(some)))[..., 1].mean((1, 2)) - some.batch(np.arange(len(some)))[
        ..., 0
    ].mean((1, 2))
    own = weighted_rows(some, [0])
    assert np.average(green[own] > 30, weights=fits["debiased"].weights[0]) > 1.05 * (green[own] > 30).mean()
    assert not np.allclose(predict(fits["uniform"].model, some), predict(fits["debiased"].model, some))


def test_the_network_runs_once_over_a_table_whatever_is_fitted_and_stays_as_it_was():
    network = Tiny()
    featured = Featured(Backbone.of(network, size=16))
    some, before = table(2), copy.deepcopy(network.state_dict())
    network.calls.clear()
    for method in ("plain", "uniform", "debiased"):
        model = equipoise.fit(some, "probe", method=method, backbone=featured).model
        told = predict(model, some)
        with torch.no_grad():
            whole = model(torch.from_numpy(some.batch(np.arange(9))).permute(0, 3, 1, 2) / 255)
        assert np.allclose(told.logits[:9], whole, atol=0.05)  # half precision of kept features
    assert network.calls.count(len(some)) == 1
    assert set(network.calls) <= {
        2,
        9,
        len(some),
    }  # two made-up pictures tell what it is; nine were asked for here
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())


def test_the_same_seed_gives_the_same_model(backbone):
    some = table(2)
    one, other = (equipoise.fit(some, "probe", backbone=backbone, seed=3) for _ in range(2))
    assert np.array_equal(predict(one.model, some), predict(other.model, some))


def tuned_recipe(**changes):
    chosen = recipe("fine-tune").to_dict()
    for part in ("plain", "debiased"):
        chosen[part] |= {"epochs": 2, "batch_size": 30, **changes}
    return equipoise.train.Recipe.from_dict(chosen)


def test_fine_tuning_starts_from_the_probe_and_trains_early_layers_slowly(backbone):
    some = table(3)
    probe = equipoise.fit(some, "probe", method="plain", backbone=backbone)
    still = tuned_recipe(learning_rate=1e-12, average=None, augmentation=(), weight_decay=0.0)
    start = equipoise.fit(some, still, method="plain", backbone=backbone)
    for name, value in probe.model.backbone.network.named_parameters():
        assert torch.allclose(value, start.model.backbone.network.get_parameter(name), atol=1e-6)
    moved = equipoise.fit(some, tuned_recipe(learning_rate=1e-2, average=None), backbone=backbone)
    how_far = {
        name: float((value - backbone.network.get_parameter(name)).detach().abs().mean())
        for name, value in moved.model.backbone.network.named_parameters()
        if "last" not in name
    }
    assert all(far > 0 for far in how_far.values())
    assert moved.steps == 2 * (180 // 30)
    even = equipoise.fit(
        some, tuned_recipe(learning_rate=1e-2, average=None, first_layer_rate=None), backbone=backbone
    )
    first = "body.0.weight"
    far = (
        (even.model.backbone.network.get_parameter(first) - backbone.network.get_parameter(first))
        .detach()
        .abs()
    )
    assert how_far[first] < 0.5 * float(far.mean())
    assert len(moved.history["total"])


def test_fine_tuning_ends_better_than_the_probe(backbone):
    colours = np.random.default_rng(0).integers(0, 2, (240, 2))
    images = np.zeros((240, 16, 16, 3), np.uint8)
    images[..., :2] = 60 + 130 * colours[:, None, None]
    some = ImageTable.from_arrays(images, colours[:, 0] ^ colours[:, 1], {})
    losses = {}
    for name in ("probe", "fine-tune"):
        chosen = (
            "probe"
            if name == "probe"
            else tuned_recipe(epochs=25, learning_rate=5e-2, augmentation=(), first_layer_rate=None)
        )
        model = equipoise.fit(some, chosen, method="plain", backbone=backbone).model
        logits = predict(model, some).logits
        losses[name] = np.logaddexp(0, np.where(some.labels == 1, -logits, logits)).mean()
    assert losses["fine-tune"] < 0.9 * losses["probe"]


def test_a_saved_model_says_the_same_and_its_weights_are_the_networks_own(backbone, tmp_path):
    some = table(3)
    fitted = equipoise.fit(some, "probe", backbone=backbone)
    save_model(fitted, tmp_path, image_size=16, channels=3, framing=some.framing)
    found = load_model(tmp_path, encoder=Tiny())
    wanted, told = predict(fitted.model, some).logits, predict(found.model, some).logits
    assert np.allclose(wanted, told, atol=0.05)
    plain = Tiny(3)
    plain.load_state_dict(equipoise.files.read_tensors(tmp_path / "model.safetensors", "weights", "")[0])
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["classes"] == ["0", "1", "2"]
    assert config["preprocessing"]["mean"] == [0.5]
    with pytest.raises(InputError, match="trained with, Tiny; got none"):
        load_model(tmp_path)
    with pytest.raises(InputError, match="got one without it"):
        load_model(tmp_path, encoder=nn.Sequential(Tiny(), nn.Identity()))
    other = Tiny()
    other.body[2] = nn.ReLU()
    with pytest.raises(InputError, match="another architecture"):
        load_model(tmp_path, encoder=other)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["probe", "fine-tune"])
def test_both_recipes_run_by_every_method(backbone, name, classes, method):
    some = table(classes)
    chosen = "probe" if name == "probe" else tuned_recipe(epochs=1)
    fitted = equipoise.fit(some, chosen, method=method, backbone=backbone, validation=some.take([0, 1, 2]))
    assert predict(fitted.model, some).shape == ((180,) if classes == 2 else (180, 3))
    assert sorted(fitted.weights) == ({2: [1], 3: [0, 1, 2]}[classes] if method == "debiased" else [])
    for weights in fitted.weights.values():
        assert np.isclose(weights.sum(), 1)
    assert (fitted.steps > 0) == (name == "fine-tune")
    assert all(np.isfinite(values).all() for values in fitted.history.values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"recipe": "probe"}, "for a network that you bring; got none"),
        ({"recipe": "equipoise", "backbone": True}, "builds a network of its own"),
        ({"recipe": "probe", "backbone": True, "encoder": nn.Identity()}, "got an encoder or a model"),
    ],
)
def test_what_does_not_go_together_is_refused(backbone, arguments, words):
    if "backbone" in arguments:
        arguments = {**arguments, "backbone": backbone}
    with pytest.raises(InputError, match=words):
        equipoise.fit(table(2), **arguments)


def test_pictures_of_another_size_are_refused_before_the_network_runs():
    network = Tiny()
    backbone = Backbone.of(network, size=24)
    network.calls.clear()
    with pytest.raises(InputError, match="24"):
        equipoise.fit(table(2), "probe", backbone=backbone)
    assert not network.calls
