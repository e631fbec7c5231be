"""The second stage: a further model whose last layer is chosen without labels of groups, on pictures to learn from."""

import importlib
import json
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from equipoise import run
from equipoise.cli import main
from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.fix import Candidate, Choice, refit
from equipoise.nn import Backbone
from equipoise.report import read as read_record
from equipoise.report.debias.page import html
from equipoise.train import Engine, load_model, predict
from equipoise.train import recipe as find_recipe

pytestmark = pytest.mark.slow

REFITTED = ["debiased-refitted", "plain-refitted"]
NUMBERS = ("models", "comparisons", "data", "second_stage")
stage_module = importlib.import_module("equipoise.run.debias.second_stage")  # `run.debias` is the job


def shortcut(count, seed, turned=0.06):
    """Dark or bright pictures: red goes with the class but for a few, green goes with it weakly."""
    chance = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    place = np.where(chance.random(count) < turned, 1 - labels, labels)
    images = chance.integers(90, 160, (count, 16, 16, 3))
    images[..., 0] += (40 * place)[:, None, None]
    images[:, 4:12, 4:12, 1] += (22 * labels)[:, None, None]
    columns = {"place": [str(value) for value in place], "subject": [str(row // 2) for row in range(count)]}
    return ImageTable.from_arrays(np.clip(images, 0, 255).astype(np.uint8), labels, attributes=columns)


class Means(torch.nn.Module):
    """Pictures → the means of their parts, as a network whose weights no label has seen."""

    def __init__(self):
        super().__init__()
        self.colours, self.pool = torch.nn.Conv2d(3, 6, 1), torch.nn.AdaptiveAvgPool2d(4)
        self.head = torch.nn.Linear(96, 3)

    def forward(self, images):
        return self.head(self.pool(self.colours(images)).flatten(1))


def backbone():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Backbone.of(Means(), size=16)


def job(out, recipe, *, second_stage=True, measuring=None, resume=False, **training):
    chosen = run.tuned(
        find_recipe(recipe),
        [
            "plain.epochs=1",
            "debiased.epochs=1",
            "plain.batch_size=32",
            "debiased.batch_size=32",
            "width=4",
            "depth=2",
            "latent=6",
        ],
    )
    return run.debias(
        run.Sources(data=shortcut(600, 0), test_data=shortcut(400, 1, 0.5)),
        reading=run.Reading(image_size=16),
        training=run.Training(chosen, seed=3, **training),
        measuring=measuring or run.Measuring(("place",), replicates=100),
        second_stage=second_stage,
        engine=Engine(device="cpu", progress=False),
        output=run.Output(out, resume=resume),
    )


def numbers(folder):
    record = json.loads((folder / "record.json").read_text())
    for model in record["models"].values():
        del model["seconds"]
    for one in record.get("second_stage", {}).values():
        del one["seconds"]
    return {key: record[key] for key in NUMBERS if key in record}


@pytest.fixture
def refitted(monkeypatch):
    """The choice is made at once: a plain layer, whatever it is worth. What it was asked about."""
    asked = []

    def at_once(store, table, current, *, together, seed):
        asked.append((store, table, current, together))
        layer = refit(store, table, "plain", C=1e-3, seeds=1, classes=len(table.class_names))
        tried = [Candidate(name, {}, 0.5, (0.5,), 0.5, 0.5, 0.5, None) for name in ("plain", "leave it")]
        return Choice(layer, tried[0], tuple(tried), "A rule.", 1.0, 0.0), None, 0.1

    monkeypatch.setattr(stage_module, "chosen_layer", at_once)
    return asked


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """A probe with a real choice among few methods."""
    out = tmp_path_factory.mktemp("probe") / "out"
    with pytest.MonkeyPatch.context() as patch:
        few = partial(stage_module.chosen_layer, methods=["errors as groups"])
        patch.setattr(stage_module, "chosen_layer", few)
        job(out, "probe", backbone=backbone())
    return out


def test_a_probe_is_mended_on_its_training_pictures(probed):
    record = read_record(probed)
    assert list(record.models) == ["plain", "debiased", "uniform", *REFITTED, "threshold-only"]
    one = record.second_stage["plain-refitted"]
    assert (one.model, one.images, one.held_out, one.left_out) == ("plain", 600, False, 0)
    assert one.choice.method == "errors as groups"
    assert one.choice.gain > one.choice.doubt
    assert one.change.worst_cell["place"].low > 0
    before, after = (record.models[name].classes.accuracy.value for name in ("plain", "plain-refitted"))
    assert one.change.accuracy.value == pytest.approx(after - before)
    assert "plain-refitted" in record.comparisons.differences
    assert record.second_stage["debiased-refitted"].model == "debiased"
    assert record.settings["second_stage"] is True
    assert record.settings["validation_share"] == 0.0
    assert "validation" not in record.data.fingerprint


def test_the_page_says_what_was_chosen_and_what_that_changed(probed):
    page = html(read_record(probed), probed)
    assert "plain, last layer refitted" in page
    assert "chosen on the 600 training images, cross-fitted" in page
    assert "errors as groups (" in page


def test_every_command_reads_the_further_model(probed, tmp_path):
    test = shortcut(400, 1, 0.5)
    record = run.evaluate(
        [run.Network(probed / "models" / "plain-refitted", backbone().network)],
        run.Sources(data=test),
        measuring=run.Measuring(("place",), replicates=100),
        engine=Engine(device="cpu", progress=False),
        output=run.Output(tmp_path / "out"),
    )
    (found,) = record.models.values()
    assert found.classes.accuracy == read_record(probed).models["plain-refitted"].classes.accuracy


def test_what_the_layer_is_held_against_was_not_fitted_on_the_rows(tmp_path, refitted):
    job(
        tmp_path / "out",
        "probe",
        backbone=backbone(),
        measuring=run.Measuring(("place",), controls=False, replicates=100),
    )
    ((store, table, current, _),) = refitted
    fitted = pq.read_table(tmp_path / "out" / "scores.parquet")["logit_debiased"].to_numpy()
    assert current.shape == (len(table),)
    assert len(store) == len(table) == 600
    assert np.isfinite(current).all()
    assert current.std() > 0
    assert fitted.shape == (400,)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("equipoise", "fine-tune")]


@pytest.mark.parametrize("recipe", ["mit-2021", *SLOW])
def test_a_trained_network_is_refitted_on_pictures_that_were_held_out(recipe, tmp_path, refitted):
    brought = {"backbone": backbone()} if recipe == "fine-tune" else {}
    record = job(tmp_path / "out", recipe, **brought)
    assert record.settings["validation_share"] == 0.2
    assert record.data.counts["validation"] == {"positives": 60, "negatives": 60}
    assert sum(record.data.counts["train"].values()) == 480
    assert list(record.second_stage) == REFITTED
    scores = pq.read_table(tmp_path / "out" / "scores.parquet")
    for (store, table, current, _), (name, one) in zip(refitted, record.second_stage.items(), strict=True):
        assert (one.images, one.held_out) == (120, True)
        assert len(table) == len(store) == 120
        folder = tmp_path / "out" / ("" if one.model == "debiased" else f"models/{one.model}")
        given = {"encoder": backbone().network} if brought else {}
        kept = load_model(folder, **given).model
        assert np.allclose(predict(kept, table, device="cpu").logits, current, atol=1e-5)
        again = load_model(tmp_path / "out" / "models" / name, **given)
        told = predict(again.model, shortcut(400, 1, 0.5), device="cpu").logits
        np.testing.assert_allclose(told, scores[f"logit_{name}"].to_numpy(), atol=1e-5)
        expected = refit(store, table, "plain", C=1e-3, seeds=1)(torch.from_numpy(store.features))[:, 0]
        np.testing.assert_allclose(
            predict(again.model, table, device="cpu").logits, expected.detach(), atol=1e-4
        )


@pytest.mark.slow
def test_one_seed_is_one_run_interrupted_or_not(tmp_path, refitted, monkeypatch):
    job(tmp_path / "whole", "mit-2021")
    refit_stage = stage_module.SecondStage.refitted
    calls = []

    def stopped(*given, **how):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return refit_stage(*given, **how)

    monkeypatch.setattr(stage_module.SecondStage, "refitted", stopped)
    with pytest.raises(KeyboardInterrupt):
        job(tmp_path / "out", "mit-2021")
    job(tmp_path / "out", "mit-2021", resume=True)
    assert numbers(tmp_path / "out") == numbers(tmp_path / "whole")


def test_without_it_nothing_is_held_out_and_nothing_is_written(tmp_path):
    record = job(tmp_path / "out", "probe", second_stage=False, backbone=backbone())
    assert "debiased-refitted" not in record.models
    written = json.loads((tmp_path / "out" / "record.json").read_text())
    assert "second_stage" not in written
    assert "second_stage" not in (tmp_path / "out" / "settings.toml").read_text()


def test_a_layer_that_is_left_is_no_further_model(tmp_path, monkeypatch):
    def left(store, table, current, *, together, seed):
        one = Candidate("leave it", {}, 0.5, (0.5,), 0.5, 0.5, 0.5, None)
        return Choice(None, one, (one,), "A rule.", 1.0, 0.0, ("It stays as it is: so.",)), None, 0.1

    monkeypatch.setattr(stage_module, "chosen_layer", left)
    record = job(tmp_path / "out", "probe", backbone=backbone())
    assert set(record.models) == {"plain", "debiased", "uniform", "threshold-only"}
    assert record.second_stage["debiased-refitted"].change is None
    assert not (tmp_path / "out" / "models" / "debiased-refitted").exists()
    assert "left as it is, so there is no further model. It stays as it is: so." in html(record)


def test_too_few_held_out_pictures_are_refused_before_training(tmp_path):
    table = shortcut(600, 0)
    few = table.take(np.r_[np.flatnonzero(table.labels == 0), np.flatnonzero(table.labels == 1)[:12]])
    with pytest.raises(InputError, match=r"a larger `validation_share`.*got fewer of class 1 \(2\)"):
        run.debias(
            run.Sources(data=few, test_data=shortcut(100, 1)),
            reading=run.Reading(image_size=16),
            training=run.Training("mit-2021"),
            second_stage=True,
            engine=Engine(device="cpu", progress=False),
            output=run.Output(tmp_path / "out"),
        )
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_held_out_pictures_that_are_trained_on_too_take_no_part():
    table = shortcut(80, 0)
    tables = run.Sources(data=table, test_data=shortcut(40, 1)).split(run.Reading(image_size=16), seed=0)
    doubled = type(tables)(tables.train, tables.train.take(np.arange(60)), tables.test)
    mixed = doubled._replace(
        validation=ImageTable.concat([tables.train.take(np.arange(20)), shortcut(60, 7)])
    )
    start = run.Training("mit-2021").start(Engine(device="cpu"))
    stage = stage_module.SecondStage.of(mixed, start, run.Reading(image_size=16))
    assert (len(stage.table), stage.left_out) == (60, 20)
    with pytest.raises(InputError, match="images that are held out"):
        stage_module.SecondStage.of(doubled, start, run.Reading(image_size=16))


def test_subjects_stay_on_one_fold():
    table = shortcut(80, 0)
    tables = run.Sources(data=table, test_data=shortcut(40, 1)).split(run.Reading(image_size=16), seed=0)
    start = run.Training("probe", backbone=backbone()).start(Engine(device="cpu"))
    reading = run.Reading(image_size=16, together="subject")
    stage = stage_module.SecondStage.of(tables, start, reading)
    assert list(stage.together[1]) == table.column("subject")


def test_the_flag_asks_for_it(monkeypatch):
    found = {}

    def noted(*given, **how):
        found.update(how)
        raise InputError("enough")

    monkeypatch.setattr(run, "debias", noted)
    assert main(["debias", "--second-stage"]) == 2
    assert found["second_stage"] is True
    assert main(["debias"]) == 2
    assert found["second_stage"] is False
