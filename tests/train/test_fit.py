import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

import equipoise
from equipoise.data import ImageTable
from equipoise.errors import InputError, TrainingError
from equipoise.nn import Classifier, pixels
from equipoise.resample import effective_sample_size
from equipoise.risk import Histogram
from equipoise.train import (
    METHODS,
    Engine,
    Optimisation,
    Recipe,
    Resampling,
    fit,
    load_model,
    predict,
    save_model,
    steps,
)
from equipoise.train.rarity import latent_codes
from equipoise.train.steps import learning_rate

SMALL = Optimisation(learning_rate=2e-3, batch_size=16, epochs=2)
TINY = Recipe(
    "tiny",
    plain=SMALL,
    debiased=SMALL,
    resampling=Resampling(rule="equipoise", ess=0.7, max_weight=5.0),
    width=4,
    depth=2,
    latent=6,
    norm_momentum=0.1,
)


def with_(recipe, **changes):
    parts = {name: changes.pop(name) for name in ("debiased", "resampling", "plain") if name in changes}
    for name, values in parts.items():
        changes[name] = dataclasses.replace(getattr(recipe, name), **values)
    return dataclasses.replace(recipe, **changes)


def weights_of(fitted):
    return torch.cat([p.detach().reshape(-1) for p in fitted.model.parameters()])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns(scene, method):
    recipe = with_(TINY, debiased={"epochs": 6}, plain={"epochs": 6})
    fitted = fit(scene(400, noise=0.05), recipe, method=method, validation=scene(60, seed=9, noise=0.05))
    assert fitted.steps == 6 * 25
    assert fitted.history["total"][-1] < fitted.history["total"][0]
    assert len(fitted.validation["accuracy"]) == 6
    assert bool(fitted.weights) == (method == "debiased")
    test = scene(200, seed=5, noise=0.05)
    right = (predict(fitted.model, test) > 0.5) == (test.labels == 1)
    assert right.mean() > 0.75


def test_all_named_recipes_run(scene):
    for recipe in equipoise.train.RECIPES.values():
        if recipe.backbone != "none":
            continue  # test_probe.py
        small = with_(recipe, width=4, depth=2, latent=8, debiased={"epochs": 2})
        fitted = fit(scene(160), small)
        assert list(fitted.weights) == ([1, 0] if recipe.resampling.rule == "errors" else [1])
        assert math.isclose(fitted.weights[1].sum(), 1, abs_tol=1e-6)
        assert np.isfinite(fitted.history["total"]).all()


def test_same_seed_same_model_other_seed_other(scene):
    table = scene()
    one, again, other = (fit(table, TINY, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(weights_of(one), weights_of(again))
    assert one.history == again.history
    assert not torch.equal(weights_of(one), weights_of(other))


def test_the_weights_have_the_effective_sample_size_asked_for(scene):
    fitted = fit(scene(), TINY)
    assert fitted.weights[1].shape == (120,)
    assert abs(effective_sample_size(fitted.weights[1]) - 0.7) < 0.02
    assert fitted.weights[1].max() * 120 <= 5.0 + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("harvest", [False, True])
@pytest.mark.parametrize("average", [None, 0.9])
def test_resume_ends_with_the_numbers_of_an_uninterrupted_run(scene, tmp_path, monkeypatch, harvest, average):
    recipe = with_(
        TINY,
        debiased={
            "epochs": 3,
            "augmentation": ("flip", "light"),
            "average": average,
            "schedule": "one-cycle",
        },
        resampling={"harvest": harvest},
    )
    table, validation = scene(), scene(40, seed=2)
    whole = fit(table, recipe, validation=validation, folder=tmp_path / "whole")
    real, calls = steps.augmented, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 25:  # in the middle of the second epoch
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(steps, "augmented", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(table, recipe, validation=validation, folder=tmp_path / "part")
    monkeypatch.setattr(steps, "augmented", real)
    resumed = fit(table, recipe, validation=validation, folder=tmp_path / "part", resume=True)
    assert torch.equal(weights_of(whole), weights_of(resumed))
    assert whole.history == resumed.history
    assert whole.validation == resumed.validation
    np.testing.assert_array_equal(whole.weights[1], resumed.weights[1])
    np.testing.assert_array_equal(whole.draws[1].counts, resumed.draws[1].counts)
    assert whole.draws[1].counts.sum() == whole.draws[1].batch * whole.draws[1].batches > 0
    again = fit(table, recipe, validation=validation, folder=tmp_path / "part", resume=True)
    assert torch.equal(weights_of(whole), weights_of(again))


BOTH = with_(
    TINY,
    resampling={"rule": "appearance", "renew": "once", "classes": "both", "ess": 0.5, "max_weight": 10.0},
)


@pytest.mark.slow
def test_negatives_are_drawn_by_rarity_too_if_asked(scene):
    table = scene(400, noise=0.05)
    images = table.batch(np.arange(400))
    dark = table.negatives[:15]  # a rare kind of negative
    images[dark] //= 4
    planted = ImageTable.from_arrays(images, table.labels)
    both = fit(planted, BOTH)
    alone = fit(planted, with_(BOTH, resampling={"classes": "positives"}))
    assert both.weights[0].shape == (200,)
    assert abs(effective_sample_size(both.weights[0]) - 0.5) < 0.01
    assert both.weights[0][:15].mean() * 200 > 2
    assert 0 not in alone.weights
    np.testing.assert_array_equal(both.weights[1], alone.weights[1])
    assert not torch.equal(weights_of(both), weights_of(alone))
    assert torch.equal(weights_of(both), weights_of(fit(planted, BOTH)))


def test_resume_with_negatives_by_rarity(scene, tmp_path, monkeypatch):
    whole = fit(scene(), BOTH, folder=tmp_path / "whole")
    real, calls = steps.augmented, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(steps, "augmented", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(scene(), BOTH, folder=tmp_path / "part")
    monkeypatch.setattr(steps, "augmented", real)
    resumed = fit(scene(), BOTH, folder=tmp_path / "part", resume=True)
    assert torch.equal(weights_of(whole), weights_of(resumed))
    np.testing.assert_array_equal(whole.weights[0], resumed.weights[0])
    np.testing.assert_array_equal(whole.draws[0].counts, resumed.draws[0].counts)
    np.testing.assert_array_equal(whole.weights[1], resumed.weights[1])


def test_latent_codes_cannot_weigh_negatives(scene):
    with pytest.raises(InputError, match="must see negatives; got rule 'equipoise'"):
        fit(scene(), with_(BOTH, resampling={"rule": "equipoise"}))
    fit(scene(), with_(BOTH, resampling={"rule": "equipoise"}), method="uniform")  # resamples nothing


def test_resume_with_other_data_is_refused(scene, tmp_path):
    fit(scene(), TINY, folder=tmp_path)
    with pytest.raises(InputError, match=r"other settings \(data differ\)"):
        fit(scene(seed=1), TINY, folder=tmp_path, resume=True)


def test_a_nan_stops_with_the_step_the_checkpoint_and_what_to_try(scene, tmp_path, monkeypatch):
    real, calls = steps.augmented, []

    def poisoned(*args, **kwargs):
        calls.append(1)
        return real(*args, **kwargs) * (float("nan") if len(calls) == 20 else 1)

    monkeypatch.setattr(steps, "augmented", poisoned)
    with pytest.raises(TrainingError) as caught:
        fit(scene(), TINY, folder=tmp_path)
    message = str(caught.value)
    assert "at step 19 (epoch 2)" in message
    assert "epoch-0000.safetensors" in message
    assert "smaller learning rate" in message


def test_a_diverging_run_stops(scene):
    wild = with_(TINY, debiased={"learning_rate": 1e25})
    with pytest.raises(TrainingError, match=r"not finite|finite losses"):
        fit(scene(), wild, method="uniform")


def test_model_files_round_trip(scene, tmp_path):
    table = scene()
    fitted = fit(table, TINY)
    save_model(fitted, tmp_path, image_size=16, channels=3)
    saved = load_model(tmp_path)
    np.testing.assert_array_equal(predict(saved.model, table), predict(fitted.model, table))
    assert saved.config["recipe"]["name"] == "tiny"


def test_an_encoder_of_the_users_own(scene, tmp_path):
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 12))
    before = encoder[0].weight.clone()
    for method in ("debiased", "plain"):
        fitted = fit(scene(), TINY, encoder=encoder, method=method)
        assert torch.equal(encoder[0].weight, before)
        save_model(fitted, tmp_path / method, image_size=16, channels=3)
        with pytest.raises(InputError, match="pass the same one as `encoder`"):
            load_model(tmp_path / method)
        saved = load_model(tmp_path / method, encoder=encoder)
        np.testing.assert_array_equal(predict(saved.model, scene()), predict(fitted.model, scene()))


def test_codes_use_evaluation_mode_and_the_mode_comes_back(scene):
    table, fitted = scene(), fit(scene(), TINY)
    model = fitted.model.train()
    rows = table.positives[:10]
    together, errors = latent_codes(model, table, rows, device=torch.device("cpu"), errors=True)
    assert model.training
    alone, _ = latent_codes(model, table, rows[3:4], device=torch.device("cpu"))
    np.testing.assert_allclose(together[3:4], alone, atol=1e-6)
    assert errors.shape == (10,)
    assert (errors > 0).all()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.ones(40, int), r"no negatives \(label 0\)"),
        (np.zeros(40, int), r"no positives \(label 1\)"),
        (2 * (np.arange(40) % 2), "none of '1' among 40 images of 3 classes"),
        (np.arange(40) < 5, "needs 8 positives and as many negatives; got 5 and 35"),
    ],
)
def test_tables_that_cannot_be_trained_on(labels, words):
    table = ImageTable.from_arrays(
        np.random.default_rng(0).integers(0, 255, (40, 16, 16, 3), np.uint8), labels
    )
    with pytest.raises(InputError, match=words):
        fit(table, TINY)


def test_settings_that_do_not_exist(scene):
    with pytest.raises(InputError, match="method must be one of"):
        fit(scene(), TINY, method="debias")
    with pytest.raises(InputError, match="device that this machine has"):
        fit(scene(), TINY, engine=Engine(device="abacus"))
    with pytest.raises(InputError, match="multiple of 6"):
        fit(scene(), TINY, engine=Engine(processes=3))
    with pytest.raises(InputError, match="folder of the first start"):
        fit(scene(), TINY, resume=True)


def test_one_cycle_rises_and_falls_and_constant_does_not():
    how = Optimisation(learning_rate=1.0, schedule="one-cycle")
    rates = [learning_rate(how, step, 100) for step in range(100)]
    assert max(rates) == rates[25] == 1.0
    assert np.all(np.diff(rates[:26]) > 0)
    assert np.all(np.diff(rates[25:]) < 0)
    assert rates[-1] < 0.01
    assert {learning_rate(Optimisation(learning_rate=0.3), step, 9) for step in range(9)} == {0.3}


def test_bf16_trains_close_to_full_precision(scene):
    full, half = (fit(scene(), TINY, engine=Engine(precision=p)) for p in ("32-true", "bf16-mixed"))
    assert not torch.equal(weights_of(full), weights_of(half))
    assert abs(full.history["total"][-1] - half.history["total"][-1]) < 0.1


@pytest.mark.slow
def test_two_processes_stay_in_step(scene, tmp_path):
    fitted = fit(scene(), TINY, engine=Engine(processes=2), folder=tmp_path)
    assert fitted.steps == 2 * 15
    assert np.isfinite(fitted.history["total"]).all()
    assert abs(effective_sample_size(fitted.weights[1]) - 0.7) < 0.02
    assert (
        fitted.draws[1].counts.sum() == fitted.draws[1].batch * fitted.draws[1].batches > 0
    )  # of both processes
    again = fit(scene(), TINY, engine=Engine(processes=2))
    torch.testing.assert_close(weights_of(fitted), weights_of(again), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_an_error_in_a_process_is_told(scene, monkeypatch, tmp_path):
    wild = with_(TINY, debiased={"learning_rate": 1e25})
    with pytest.raises(TrainingError, match="`processes` 1"):
        fit(scene(), wild, method="uniform", engine=Engine(processes=2))


def test_tensorboard_events_are_written(scene, tmp_path):
    pytest.importorskip("tensorboard")
    fit(scene(), TINY, folder=tmp_path, engine=Engine(tensorboard=True))
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert (tmp_path / "history.csv").read_text().startswith("step,epoch,learning_rate,total")


# A model of the user's own


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(512, 1),
    )


def test_a_wrapped_model_is_trained_and_then_tells_its_risk(scene):
    wrapped = Histogram(queue=100)(small_network(), task="binary")
    before = wrapped.model[0].weight.clone()
    table, test = scene(noise=0.05), scene(100, seed=5, noise=0.05)
    recipe = with_(TINY, plain={"epochs": 6})
    fitted = fit(table, recipe, method="plain", model=wrapped, validation=test)
    assert torch.equal(wrapped.model[0].weight, before)
    assert not wrapped.built
    assert fitted.given
    assert fitted.steps == 6 * 15
    assert not fitted.model.training
    assert int(fitted.model.methods["histogram"].running.position[1]) == 100
    images = pixels(torch.from_numpy(test.batch(np.arange(100))))
    logits, risk = fitted.model(images, return_risk=True)
    assert torch.isfinite(risk.representation).all()
    assert risk.representation.std() > 0
    np.testing.assert_allclose(predict(fitted.model, test), logits[:, 0].sigmoid().detach(), atol=1e-5)
    assert ((predict(fitted.model, test) > 0.5) == (test.labels == 1)).mean() > 0.75
    assert fitted.validation["accuracy"][-1] > 0.75
    assert "risk" in fitted.history


def test_a_given_model_gives_the_same_with_the_same_seed(scene):
    given = Histogram(queue=100)(Classifier(small_network()))  # with dropout, which draws global chance
    state = torch.get_rng_state()
    fits = [fit(scene(), TINY, method="plain", model=given, seed=seed) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), state)
    one, again, other = (f.model.state_dict() for f in fits)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["methods.histogram.running.codes"], other["methods.histogram.running.codes"])


def test_a_given_model_resumes_and_is_saved_and_loaded(scene, tmp_path, monkeypatch):
    given = Histogram(queue=100)(Classifier(small_network()))
    whole = fit(scene(), TINY, method="plain", model=given, folder=tmp_path / "whole")
    real, calls = steps.augmented, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(steps, "augmented", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(scene(), TINY, method="plain", model=given, folder=tmp_path / "part")
    resumed = fit(scene(), TINY, method="plain", model=given, folder=tmp_path / "part", resume=True)
    wanted, found = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)

    save_model(whole, tmp_path / "saved", image_size=16, channels=3)
    loaded = load_model(tmp_path / "saved", model=given).model
    images = torch.rand(4, 3, 16, 16)
    for a, b in zip(whole.model(images, return_risk=True), loaded(images, return_risk=True), strict=True):
        torch.testing.assert_close(*(x if isinstance(x, torch.Tensor) else x.representation for x in (a, b)))
    with pytest.raises(InputError, match="Pass the same model as `model`"):
        load_model(tmp_path / "saved")
    save_model(fit(scene(), TINY, method="plain"), tmp_path / "ours", image_size=16, channels=3)
    with pytest.raises(InputError, match="Leave `model` out"):
        load_model(tmp_path / "ours", model=given)


def test_a_wrapped_model_trains_in_bf16(scene):
    given = Histogram(queue=100)(small_network(), task="binary")
    fitted = fit(scene(), TINY, method="plain", model=given, engine=Engine(precision="bf16-mixed"))
    assert fitted.model.methods["histogram"].running.codes.dtype == torch.float32


@pytest.mark.slow
def test_two_processes_train_a_wrapped_model(scene):
    given = Histogram(queue=100)(Classifier(small_network()))
    fitted = fit(scene(), TINY, method="plain", model=given, engine=Engine(processes=2, device="cpu"))
    assert int(fitted.model.methods["histogram"].running.position[1]) == 100


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (nn.Linear(2, 1), {}, "Expected a module with `losses`; got Linear"),
        (Classifier(nn.Linear(2, 1)), {}, r"must take images of shape \(batch, 3, 16, 16\)"),
        (
            Histogram()(nn.Sequential(nn.Flatten(), nn.Linear(768, 2))),
            {},
            r"one logit .* have 2 classes; got shape \(2, 2\)",
        ),
        (Classifier(nn.Sequential(nn.Flatten(), nn.Linear(768, 1))), {"method": "debiased"}, "'debiased'"),
        (Classifier(nn.Identity()), {"encoder": nn.Identity()}, "with an encoder"),
    ],
)
def test_models_that_cannot_be_trained(scene, model, arguments, message):
    with pytest.raises(InputError, match=message):
        fit(scene(), TINY, model=model, **{"method": "plain"} | arguments)


def test_statistics_of_a_given_model_are_not_averaged(scene):
    with pytest.raises(InputError, match="cannot be averaged"):
        fit(scene(), with_(TINY, plain={"average": 0.9}), method="plain", model=Classifier(small_network()))
