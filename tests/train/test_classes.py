"""More than two classes: planted shapes, every recipe, weights a class, resuming, processes, bad input."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import DBVAE, Classifier, StandardCNN
from equipoise.resample import DegenerateWeightsError, effective_sample_size
from equipoise.risk import Histogram
from equipoise.train import (
    METHODS,
    RECIPES,
    Engine,
    Optimisation,
    Recipe,
    Resampling,
    check_trainable,
    fit,
    load_model,
    predict,
    recipe,
    save_model,
    steps,
)
from equipoise.train.classes import told_classes, vae_ids, weighted_classes, weighted_rows
from equipoise.train.steps import RecordedSteps

HOW = Optimisation(learning_rate=2e-3, batch_size=20, epochs=2, clip=1.0)
TINY = Recipe(
    "tiny",
    plain=HOW,
    debiased=HOW,
    resampling=Resampling(rule="equipoise", ess=0.7, max_weight=5.0, harvest=True, warmup=1),
    width=4,
    depth=2,
    latent=6,
    norm_momentum=0.1,
)
NAMES = ("bar", "cross", "disc", "dot", "square")


def shapes(count=180, classes=3, *, seed=0, rare=0.1, counts=None):
    """Shapes of one colour, a rare share of each class of another; named where there are at most five."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes if counts is None else np.repeat(np.arange(len(counts)), counts)
    classes = int(labels.max()) + 1
    y, x = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    images, blue = np.empty((len(labels), 16, 16, 3)), np.zeros(len(labels), bool)
    for i, label in enumerate(labels):
        middle, radius = rng.uniform(6.5, 9.5, 2), rng.uniform(4, 5.5)
        dy, dx = np.abs(y - middle[0]), np.abs(x - middle[1])
        inside = (
            dy < radius / 2,
            (dy < radius / 3) | (dx < radius / 3),
            np.hypot(dy, dx) < radius,
            np.hypot(dy, dx) < 2,
            np.maximum(dy, dx) < radius,
        )[label % 5]
        blue[i] = rng.random() < rare
        ink = np.array([0.2, 0.3, 0.9] if blue[i] else [0.9, 0.4, 0.3])
        images[i] = np.where(inside[..., None], ink, 0.5) + rng.normal(0, 0.05, (16, 16, 3))
    table = ImageTable.from_arrays(np.clip(images, 0, 1), labels, {"colour": np.where(blue, "blue", "red")})
    named = {name: number for number, name in enumerate(NAMES[:classes])} if classes <= 5 else {}
    return dataclasses.replace(table, classes=named)


def with_(chosen, **changes):
    parts = {name: changes.pop(name) for name in ("plain", "debiased", "resampling") if name in changes}
    for name, values in parts.items():
        changes[name] = dataclasses.replace(getattr(chosen, name), **values)
    return dataclasses.replace(chosen, **changes)


def weights_of(fitted):
    return torch.cat([p.detach().reshape(-1) for p in fitted.model.parameters()])


def same(one, two):
    return (
        torch.equal(weights_of(one), weights_of(two))
        and one.history == two.history
        and one.validation == two.validation
        and all(np.array_equal(values, two.weights[class_id]) for class_id, values in one.weights.items())
        and all(np.array_equal(d.counts, two.draws[class_id].counts) for class_id, d in one.draws.items())
        and one.weights.keys() == two.weights.keys()
        and one.draws.keys() == two.draws.keys()
    )


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "method"), [(3, "debiased"), (5, "plain")])
def test_it_learns_and_is_validated(classes, method):
    slow = with_(TINY, plain={"epochs": 8}, debiased={"epochs": 8})
    validation = shapes(20 * classes, classes, seed=9)
    fitted = fit(shapes(60 * classes, classes), slow, method=method, validation=validation)
    found = predict(fitted.model, validation)
    assert found.shape == found.logits.shape == (20 * classes, classes)
    np.testing.assert_allclose(found.sum(1), 1)
    right = found.argmax(1) == validation.labels
    assert right.mean() > 0.8
    assert fitted.validation["accuracy"][-1] == pytest.approx(right.mean())
    losses = -np.log(found[np.arange(len(right)), validation.labels])
    assert fitted.validation["classification"][-1] == pytest.approx(losses.mean())
    assert fitted.class_names == NAMES[:classes]
    assert fitted.notes == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, one in RECIPES.items() if one.backbone == "none"])
def test_every_recipe_and_method_runs_with_three_classes(name):
    table, chosen = shapes(), recipe(name)
    how = {"epochs": 2, "batch_size": 16}
    small = with_(chosen, width=4, depth=2, latent=8, plain=how, debiased=how)
    for method in METHODS:
        fitted = fit(table, small, method=method)
        assert np.isfinite(fitted.history["total"]).all()
        assert predict(fitted.model, table).shape == (180, 3)
        assert sorted(fitted.weights) == ([0, 1, 2] if method == "debiased" else [])
        for weights in fitted.weights.values():
            assert weights.shape == (60,)
            assert math.isclose(weights.sum(), 1, abs_tol=1e-6)
        for drawn in fitted.draws.values():
            assert drawn.counts.sum() == pytest.approx(drawn.batches * 16 / 3, abs=2)


def test_images_are_weighted_within_their_class():
    table = shapes(360)
    chosen = with_(TINY, resampling={"rule": "appearance", "renew": "once", "warmup": 0, "ess": 0.6})
    fitted = fit(table, chosen)
    for class_id, weights in fitted.weights.items():
        rows = weighted_rows(table, [class_id])
        blue = np.array(table.column("colour"))[rows] == "blue"
        assert weights[blue].mean() > 1.3 * weights[~blue].mean()
        assert effective_sample_size(weights) == pytest.approx(0.6, abs=0.01)
        assert weights.max() * len(weights) <= 5 + 1e-6


def test_vectors_of_every_class_are_weighted():
    table = shapes()
    vectors = np.random.default_rng(0).normal(size=(180, 4)).astype(np.float32)
    odd = [np.flatnonzero(table.labels == class_id)[0] for class_id in range(3)]
    vectors[odd] += 9
    fitted = fit(table, with_(TINY, resampling={"normalisation": "raw"}), embedding=vectors)
    assert all(weights.argmax() == 0 for weights in fitted.weights.values())


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["equipoise", "appearance"])
def test_resume_ends_with_the_numbers_of_an_uninterrupted_run(tmp_path, monkeypatch, rule):
    table, validation = shapes(200, counts=(70, 65, 65)), shapes(30, seed=2)
    chosen = with_(
        TINY,
        debiased={"epochs": 3, "augmentation": ("flip", "light"), "average": 0.9},
        resampling={"rule": rule},
    )
    whole = fit(table, chosen, validation=validation, folder=tmp_path / "whole")
    real, calls = steps.augmented, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 24:  # in the third epoch
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(steps, "augmented", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(table, chosen, validation=validation, folder=tmp_path / "part")
    monkeypatch.setattr(steps, "augmented", real)
    resumed = fit(table, chosen, validation=validation, folder=tmp_path / "part", resume=True)
    assert same(whole, resumed)
    assert whole.draws
    assert same(whole, fit(table, chosen, validation=validation, folder=tmp_path / "part", resume=True))


@pytest.mark.slow
def test_two_processes_train_as_one():
    table = shapes()
    chosen = with_(TINY, resampling={"harvest": False, "warmup": 0})
    one, two = (fit(table, chosen, engine=Engine(processes=n, device="cpu")) for n in (1, 2))
    assert two.steps == one.steps
    assert [two.draws[c].counts.sum() for c in range(3)] == [one.draws[c].counts.sum() for c in range(3)]
    assert two.history["total"][0] == pytest.approx(one.history["total"][0], rel=0.5)
    again = fit(table, chosen, engine=Engine(processes=2, device="cpu"))
    torch.testing.assert_close(weights_of(two), weights_of(again), rtol=1e-4, atol=1e-5)


def test_bf16_trains_close_to_full_precision():
    full, half = (fit(shapes(), TINY, engine=Engine(precision=p)) for p in ("32-true", "bf16-mixed"))
    assert not torch.equal(weights_of(full), weights_of(half))
    assert abs(full.history["total"][-1] - half.history["total"][-1]) < 0.15


def test_a_mirrored_model_says_the_same_of_an_image_and_its_mirror_image():
    for method in ("plain", "debiased"):
        model = fit(shapes(), with_(TINY, mirror=True), method=method).model
        images = torch.rand(4, 3, 16, 16)
        torch.testing.assert_close(model(images), model(images.flip(3)))
        assert model(images).shape == (4, 3)


def test_recorded_steps_are_steps(monkeypatch):
    """Replayed on the CPU in place of a CUDA graph."""
    table, chosen = shapes(), with_(TINY, objective="classifier")
    plain = fit(table, chosen, method="plain")
    monkeypatch.setattr("equipoise.train.loop.recordable", lambda *_: True)
    monkeypatch.setattr("equipoise.train.steps.aside", lambda body: body())
    monkeypatch.setattr("equipoise.train.steps.recorded", lambda body: body)
    taken = []
    real = RecordedSteps._body
    monkeypatch.setattr(RecordedSteps, "_body", lambda self: (taken.append(1), real(self))[1])
    recorded = fit(table, chosen, method="plain", engine=Engine(compile=True))
    assert len(taken) == plain.steps
    torch.testing.assert_close(weights_of(recorded), weights_of(plain), rtol=1e-3, atol=1e-4)


# Which classes carry the VAE


def test_the_vae_learns_from_the_classes_that_are_named():
    chosen = with_(TINY, vae_classes=("square", "bar"))
    table = shapes(250, 5)
    fitted = fit(table, chosen)
    assert fitted.model.vae_classes == (0, 4)
    assert sorted(fitted.weights) == [0, 4]  # codes say nothing of the others
    by_look = with_(chosen, resampling={"rule": "appearance"})
    assert weighted_classes(by_look, NAMES, embedded=False) == (4, 3, 2, 1, 0)
    images, labels = torch.rand(6, 3, 16, 16), torch.tensor([0, 1, 2, 3, 4, 4])
    losses = fitted.model.train().losses(images, labels).parts
    others = fitted.model.losses(images[1:4], labels[1:4]).parts
    assert losses["reconstruction"] > 0
    assert others["reconstruction"] == others["kl"] == 0


def test_of_two_classes_it_is_the_positives_unless_others_are_named(scene):
    assert vae_ids(TINY, ("negative", "positive")) is None
    both = with_(TINY, vae_classes=("negative", "positive"))
    assert fit(scene(), both, method="uniform").model.vae_classes == (0, 1)
    with pytest.raises(InputError, match="latent codes of the positives, class 'positive', which must carry"):
        fit(scene(), with_(TINY, vae_classes=("negative",)))


def test_vae_classes_are_in_a_recipe_s_dictionary_only_where_they_are_named():
    assert "vae_classes" not in TINY.to_dict()
    named = with_(TINY, vae_classes=("bar",))
    assert Recipe.from_dict(named.to_dict()) == named
    with pytest.raises(
        InputError, match=r"Expected `vae_classes` among .*'bar', 'cross', 'disc' and 2 more; got 'hat'"
    ):
        vae_ids(with_(TINY, vae_classes=("hat",)), NAMES)
    for wrong in ("bar", (), (1,)):
        with pytest.raises(InputError, match="list of class names"):
            with_(TINY, vae_classes=wrong)


# Classes that are small, missing or too many


def test_small_classes_are_repeated_and_drawn_uniformly_and_it_is_said():
    table = shapes(counts=(90, 70, 1, 4))
    chosen = with_(TINY, resampling={"rule": "appearance", "warmup": 0, "renew": "once"})
    fitted = fit(table, chosen)
    assert sorted(fitted.weights) == [0, 1]
    assert fitted.notes == (
        "Fewer images of a class than its share of a batch, 5 of 20: 'disc' (1), 'dot' (4). Each of these images "
        "is in a batch more than once.",
        "Drawn uniformly, not by rarity: 'disc', 'dot'. They have too few images, or images too much alike, for "
        "weights by rule 'appearance'.",
    )
    assert fit(table, chosen, method="plain").notes == fitted.notes[:1]


def test_no_class_that_can_be_weighed_is_an_error():
    table = shapes(90)
    chosen = with_(TINY, resampling={"rule": "appearance", "warmup": 1})
    with pytest.raises(
        InputError, match=r"at least 60 images of a class; got 30 of the largest, 'disc'.*`tune`"
    ):
        fit(table, chosen)
    with pytest.raises(DegenerateWeightsError, match="'disc', 'cross', 'bar', each of fewer than 60 images"):
        fit(table, with_(chosen, resampling={"warmup": 0}))


def test_a_thousand_classes_in_batches_of_64():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2000, 16, 16, 3), np.uint8)
    table = ImageTable.from_arrays(images, np.arange(2000) % 1000)
    chosen = with_(TINY, objective="classifier", plain={"batch_size": 64, "epochs": 1})
    fitted = fit(table, chosen, method="plain")
    assert predict(fitted.model, table).shape == (2000, 1000)
    assert fitted.notes == ()


@pytest.mark.parametrize(
    ("counts", "batch", "processes", "words"),
    [
        ((30, 0, 30), 20, 1, "got none of 'cross' among 60 images of 3 classes"),
        ((30, 0, 30, 0, 3), 20, 1, "got none of 'cross', 'dot' among 63"),
        ((30, 2, 30), 64, 1, "needs as many images; got 62 of 3 classes, fewest of class 'cross': 2"),
        ((30, 30, 30), 32, 3, "multiple of 3"),
    ],
)
def test_tables_that_cannot_be_trained_on(counts, batch, processes, words):
    with pytest.raises(InputError, match=words):
        check_trainable(shapes(counts=counts), batch, processes)


def test_validation_of_other_classes_is_refused():
    with pytest.raises(InputError, match="3 classes that are trained; got class ids up to 4"):
        fit(shapes(), TINY, validation=shapes(20, 5))


def test_many_names_are_told_shortly():
    assert told_classes(["a", "b", "c", "d", "e"]) == "'a', 'b', 'c' and 2 more"


# Models of the user's own, and files


def test_an_encoder_and_a_model_of_the_users_own(tmp_path):
    table = shapes()
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 12))
    fitted = fit(table, TINY, encoder=encoder)
    save_model(fitted, tmp_path, image_size=16, channels=3)
    saved = load_model(tmp_path, encoder=encoder)
    np.testing.assert_array_equal(predict(saved.model, table), predict(fitted.model, table))
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    for given in (Classifier(network), Histogram(queue=100)(network)):
        own = fit(table, with_(TINY, plain={"epochs": 6}), method="plain", model=given)
        found = predict(own.model, table)
        assert found.shape == (180, 3)
        assert (found.argmax(1) == table.labels).mean() > 0.5
        save_model(own, tmp_path / "given", image_size=16, channels=3)
        again = load_model(tmp_path / "given", model=given)
        np.testing.assert_array_equal(predict(again.model, table), found)


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_a_model_of_other_outputs_is_refused_with_both_numbers(outputs):
    model = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(768, outputs)))
    with pytest.raises(
        InputError, match=rf"\(batch, 3\), as the data have 3 classes; got shape \(2,.*{outputs}?"
    ):
        fit(shapes(), TINY, method="plain", model=model)


def test_networks_of_k_outputs_start_from_the_seed():
    one, again = (
        DBVAE(
            outputs=3, width=4, depth=2, image_size=16, latent=6, generator=torch.Generator().manual_seed(1)
        )
        for _ in range(2)
    )
    assert torch.equal(one.head.weight, again.head.weight)
    assert one.head.out_features == 15
    assert one.vae_classes == (0, 1, 2)
    assert StandardCNN(3, width=4, depth=2, image_size=16)(torch.zeros(2, 3, 16, 16)).shape == (2, 3)
