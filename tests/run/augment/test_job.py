"""`augment` in a small world: a corner is bright (the target) and the light is red or blue (protected).

The generator has one direction of its latents for each, so that pairs can do what they are for.
"""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from equipoise.data import ImageTable, Split
from equipoise.errors import DataError, InputError
from equipoise.latent import Hyperplane, ModuleGenerator, read_pairs
from equipoise.report import read_augment
from equipoise.run import (
    Attributes,
    Augmentation,
    Engine,
    Measuring,
    Output,
    Reading,
    Sources,
    Training,
    augment,
)
from equipoise.run.augment.making_pairs import make_pairs
from equipoise.run.augment.protected import annotated
from equipoise.run.augment.target_models import TrainedModel, judged_models, target_models
from equipoise.run.folder import open_folder
from equipoise.run.identity import Identity
from equipoise.run.training import Start, Trainer
from equipoise.train import recipe
from equipoise.train.gan import GAN
from equipoise.train.saved_generator import load_generator

pytestmark = pytest.mark.slow

SIZE = 16
ENGINE = Engine(device="cpu", precision="32-true", progress=False)


def world(target, blue, noise):
    """Images (n, 3, 16, 16) in [0, 1] of two strengths, each in [0, 1], and of noise (n, 4)."""
    n = len(target)
    images = torch.full((n, 3, SIZE, SIZE), 0.35)
    images[:, 0] += 0.3 * (1 - blue)[:, None, None]
    images[:, 2] += 0.3 * blue[:, None, None]
    images[:, :, 2:8, 2:8] += 0.22 * target[:, None, None, None]
    images[:, :, 8:14, 8:14] += 0.22 * (1 - target)[:, None, None, None]
    waves = torch.stack([torch.sin(torch.arange(SIZE) * (i + 1) / 2) for i in range(4)])
    images += 0.05 * (noise @ waves)[:, None, :, None]
    return images.clamp(0, 1)


class Renderer(nn.Module):
    """Latents to images: two directions mean something, four are noise."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, latents):
        return world(*torch.sigmoid(self.scale * latents[:, :2]).T, latents[:, 2:])


def drawer():
    return ModuleGenerator(Renderer(), 6, output_range=(0, 1))


def drawn(n, rare, seed, **columns):
    """A table whose light follows the target but for a share `rare`."""
    chance = np.random.default_rng(seed)
    target = np.arange(n) % 2
    odd = np.zeros(n, bool)
    for value in (0, 1):
        mine = np.flatnonzero(target == value)
        odd[mine[: round(rare * len(mine))]] = True
    blue = np.where(odd, 1 - target, target)
    images = world(
        *(torch.from_numpy(v).float() for v in (target, blue)),
        torch.from_numpy(chance.normal(size=(n, 4))).float(),
    )
    images += torch.from_numpy(chance.normal(0, 0.12, images.shape)).float()
    stored = (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    light = ["blue" if b else "red" for b in blue]
    return ImageTable.from_arrays(stored, target, attributes={"light": light} | columns)


@pytest.fixture(scope="module")
def tables():
    shape = ["round", "square", None] * 80
    return drawn(480, 0.06, 0), drawn(240, 0.5, 1, shape=shape)


@pytest.fixture(scope="module")
def small():
    """Quick training."""
    chosen = recipe("equipoise")
    plain = replace(chosen.plain, epochs=3, batch_size=16, augmentation=())
    return replace(chosen, plain=plain, width=4, depth=3, norm_momentum=0.1)


def ran(tables, small, out, **changes):
    output = {name: changes.pop(name) for name in ("tell", "resume") if name in changes}
    measuring = {name: changes.pop(name) for name in ("groups", "controls") if name in changes}
    given = {
        "how": Augmentation(drawer(), latents=600),
        "measuring": Measuring(**measuring, replicates=100),
        "training": Training(small),
        "engine": ENGINE,
        "output": Output(out, **output),
    }
    sources = Sources(data=tables[0], test_data=tables[1], validation_share=0.2)
    return augment(sources, Attributes("bright", ["light"]), **given | changes)


@pytest.fixture(scope="module")
def run(tables, small, tmp_path_factory):
    out = tmp_path_factory.mktemp("augment") / "run"
    return ran(tables, small, out, groups=["shape"]), out


def same(first, second):
    """Whether two records are; settings come back from JSON as lists."""
    return replace(first, settings={}) == replace(second, settings={})


class Corners(nn.Module):
    """A perfect classifier of the target."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(30.0))

    def forward(self, images):
        return self.scale * (
            images[:, :, 2:8, 2:8].mean((1, 2, 3)) - images[:, :, 8:14, 8:14].mean((1, 2, 3))
        )


class Light(Corners):
    """A perfect classifier of the light, "red" being side 1."""

    def forward(self, images):
        return self.scale * (images[:, 0].mean((1, 2)) - images[:, 2].mean((1, 2)))


def test_pairs_show_what_real_images_never_do(small, tmp_path):
    """Without a single rare image plain takes the light for the target; pairs by perfect classifiers undo it."""
    tables = Split(drawn(320, 0.0, 0), drawn(80, 0.0, 1), drawn(240, 0.5, 2))
    known = annotated(tables._asdict(), ["light"])
    with open_folder(tmp_path, Identity({})) as folder:
        folder.begin()
        made = make_pairs(
            drawer(),
            {"bright": Corners(), "light": Light()},
            {"bright": 0.5, "light": 0.5},
            320,
            Augmentation(latents=600),
            folder=tmp_path / "pairs",
            seed=0,
            say=print,
        )
        trainer = Trainer(Start(small, ENGINE), folder, print, top="augmented")
        models = target_models(tables, known, made, trainer, sampling="natural", controls=False, seed=0)
    judged, _ = judged_models(models, tables, known, "cpu")
    light = known[0].ids["test"]
    right = {
        name: ((one.judged.scores >= one.judged.threshold) == tables.test.labels)
        for name, one in judged.items()
    }
    rare = light == tables.test.labels  # red is side 1, and goes with the dark
    assert right["plain"][~rare].mean() > 0.9
    assert right["plain"][rare].mean() < 0.6  # like chance
    assert right["augmented"][rare].mean() > 0.8
    assert right["augmented"][~rare].mean() > 0.8


def test_a_threshold_for_each_group_undoes_a_shift_between_them():
    """A model that sees the target, but scores red images far higher."""

    class Shifted(Corners):
        def forward(self, images):
            red = images[:, 0].mean((1, 2)) > images[:, 2].mean((1, 2))
            return super().forward(images) / 10 + 4 * red

    tables = Split(drawn(80, 0.5, 0), drawn(120, 0.5, 1), drawn(120, 0.5, 2))
    known = annotated(tables._asdict(), ["light"])
    plain = TrainedModel("plain", "plain", "", SimpleNamespace(model=Shifted()))
    judged, notes = judged_models({"plain": plain}, tables, known, "cpu")
    right = {
        name: np.mean((one.judged.scores >= one.judged.threshold) == tables.test.labels)
        for name, one in judged.items()
    }
    assert notes == []
    assert right["plain"] < 0.6
    assert right["thresholds"] > 0.95
    assert judged["thresholds"].sees == "in use"


def test_changes_are_against_plain(run):
    record, _ = run
    assert record.models["plain"].changes == {}
    for name in ("augmented", "unedited", "balanced"):
        change, mine, plain = (
            record.models[name].changes["light"],
            record.models[name].numbers["light"].metrics,
            record.models["plain"].numbers["light"].metrics,
        )
        assert change.deo.value == pytest.approx(mine.deo.value - plain.deo.value)
        assert change.ap.value == pytest.approx(mine.ap.value - plain.ap.value)


def test_all_classifiers_of_the_target_take_equally_many_steps(run):
    record, _ = run
    assert (
        list(record.models)
        == ["plain", "augmented", "unedited", "balanced", "thresholds"][: len(record.models)]
    )
    assert len({model.steps for model in record.models.values()}) == 1


def test_the_record_says_what_was_made_and_trained_on(run):
    record, out = run
    assert same(read_augment(out), record)
    assert record.measured == ["light", "shape"]
    assert record.protected["light"].sides == ["blue", "red"]
    assert record.protected["light"].found == "annotated"
    assert record.data.cells["test"]["light"] == {"blue": [60, 60], "red": [60, 60]}
    assert sum(sum(n) for n in record.data.cells["train"]["light"].values()) == 384
    assert "shape" not in record.data.cells["train"]
    assert record.data.cells["test"]["shape"] == {"round": [40, 40], "square": [40, 40]}
    assert record.pairs.share == pytest.approx(0.67, abs=0.01)
    assert record.planes["bright"].auroc.value > 0.9
    planes = load_file(out / "hyperplanes.safetensors")
    light_plane = Hyperplane(planes["light.weight"].numpy(), float(planes["light.bias"]))
    assert np.abs(light_plane.weight).argmax() == 1  # the direction that the light follows
    pairs = read_pairs(out / "pairs")
    assert len(pairs) == 2 * record.pairs.count
    light = np.asarray(pairs.column("light_score")).reshape(-1, 2)
    assert np.abs(light[:, 0] - light[:, 1]).mean() > 0.5
    labels = pairs.labels.reshape(-1, 2)
    assert (labels[:, 0] == labels[:, 1]).all()
    scores = pq.read_table(out / "scores.parquet")
    assert {"probability_plain", "probability_augmented", "light", "shape"} <= set(scores.column_names)
    logits, chances = (scores.column(f"{what}_plain").to_numpy() for what in ("logit", "probability"))
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), chances)
    assert 0 < record.models["plain"].threshold < 1


def test_histograms_hold_every_image_once(run):
    record, _ = run
    for model in record.models.values():
        counts = model.numbers["light"].histograms
        assert sum(map(sum, counts["positives"].values())) == 120
        assert sum(map(sum, counts["negatives"].values())) == 120


def test_edited_images_are_shown_only_if_asked_for_and_fit_a_page(run, tables, small, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["equipoise.run.augment.account"], "ROOM", 3000)
    record, _ = run
    assert set(record.pictures) == {"samples"}
    shown = Augmentation(drawer(), latents=600, show_edits=True)
    shown = ran(tables, small, tmp_path / "shown", controls=False, how=shown)
    assert shown.pictures == {name: f"pictures/{name}.jpg" for name in ("samples", "edits")}
    assert "unedited" not in shown.models


def test_the_same_call_shows_the_finished_run_and_other_data_are_refused(run, tables, small):
    record, out = run
    lines = []
    assert same(ran(tables, small, out, groups=["shape"], tell=lines.append), record)
    assert any("holds this run already" in line for line in lines)
    with pytest.raises(InputError, match="other images now"):
        ran((drawn(480, 0.06, 9), tables[1]), small, out, groups=["shape"])


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_numbers(run, tables, small, tmp_path):
    record, _ = run
    out = tmp_path / "stopped"

    def stop(line):
        if "not edited" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        ran(tables, small, out, groups=["shape"], tell=stop)
    assert "`resume` goes on from there" in stopped.value.__notes__[0]
    again = ran(tables, small, out, groups=["shape"], resume=True)
    assert {n: m.numbers for n, m in again.models.items()} == {n: m.numbers for n, m in record.models.items()}


def brief(small):
    """So little training that a classifier leans on what is easy."""
    plain = replace(
        recipe("equipoise-latent").plain, epochs=2, batch_size=small.plain.batch_size, learning_rate=1e-3
    )
    return replace(small, plain=plain, mirror=False)


def discovering(table, test, small, out):
    return augment(
        Sources(data=table, test_data=test, validation_share=0.4),
        Attributes("bright", ["discover"]),
        how=Augmentation(drawer(), latents=600, keep="all"),
        measuring=Measuring(["light"], controls=False, replicates=100),
        training=Training(brief(small)),
        engine=ENGINE,
        output=Output(out),
    )


def test_discovered_sides_need_no_annotation(tables, small, tmp_path):
    record = discovering(drawn(900, 0.15, 3), tables[1], small, tmp_path / "found")
    found = record.protected["discovered"]
    assert found.found.startswith("discovered: what a brief classifier fails on")
    assert "bright #1: " in found.found
    assert found.agreement["light"] > 0.9
    assert found.sides == ["looks like not bright", "looks like bright"]
    negatives, positives = record.data.cells["train"]["discovered"]["looks like bright"]
    assert negatives < 0.3 * positives  # most look like their class
    assert record.measured == ["light", "discovered"]
    assert record.models["augmented"].sees == ""
    assert "thresholds" not in record.models


def test_where_nothing_fails_there_is_nothing_to_cross(tables, small, tmp_path):
    with pytest.raises(InputError, match=r"found none among 240 validation images.*Hold out more"):
        discovering(drawn(600, 0.0, 3), tables[1], small, tmp_path / "none")


@pytest.mark.slow
def test_a_generator_is_trained_if_none_is_given(tables, small, tmp_path):
    quick = GAN(latent=6, width=8, discriminator_width=8, steps=120, batch_size=16, look_every=60)
    out = tmp_path / "trained"
    record = ran(
        tables,
        small,
        out,
        how=Augmentation(quick, latents=600, keep="all"),
        controls=False,
    )
    assert record.generator.trained_here
    assert record.generator.steps == 120
    assert load_generator(out / "generator").latent == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protected": []}, "`protected` must be"),
        ({"protected": ["bright"]}, "`protected` must be"),
        ({"protected": ["light", "discover"]}, "`protected` must be"),
        ({"protected": ["target"]}, "must not be called 'target'"),
        ({"protected": ["shade"]}, "Expected a column 'shade' for `protected`"),
        ({"protected": ["many"]}, "must have two values"),
        ({"reading": Reading(label_column="bright")}, "names the label column"),
        ({"how": Augmentation("no/such/folder")}, "Expected the folder of a generator"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_trained(tables, small, tmp_path, changes, message):
    train, test = (drawn(240, 0.1, seed, many=["a", "b", "c"] * 80) for seed in (5, 6))
    given = {
        "how": Augmentation(drawer()),
        "training": Training(small),
        "engine": ENGINE,
        "output": Output(tmp_path),
    }
    attributes = Attributes("bright", changes.pop("protected", ["light"]))
    with pytest.raises((InputError, DataError), match=message):
        augment(Sources(data=train, test_data=test, validation_share=0.2), attributes, **given | changes)
    assert not (tmp_path / "settings.toml").exists()


def test_a_generator_of_another_size_is_refused(tables, small, tmp_path):
    class Wide(Renderer):
        def forward(self, latents):
            return nn.functional.interpolate(super().forward(latents), size=32)

    with pytest.raises(InputError, match="draws 32 × 32 pixels"):
        ran(tables, small, tmp_path, how=Augmentation(ModuleGenerator(Wide(), 6, output_range=(0, 1))))


def test_attributes_that_latents_do_not_tell_are_refused(tables, small, tmp_path):
    class Winding(Renderer):
        def forward(self, latents):  # no straight line follows it
            return world(*(0.5 + 0.5 * torch.sin(9 * latents[:, :2])).T, latents[:, 2:])

    winding = ModuleGenerator(Winding(), 6, output_range=(0, 1))
    with pytest.raises(InputError, match="The hyperplane of 'bright' must separate"):
        ran(tables, small, tmp_path, how=Augmentation(winding, latents=600))


@pytest.mark.parametrize(
    "setting",
    [
        {"share": 0},
        {"share": 1},
        {"margin": 0.5},
        {"keep": "some"},
        {"variant": "turn"},
        {"sampling": "odd"},
        {"latents": 9},
    ],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(InputError, match=f"`{next(iter(setting))}` must be"):
        Augmentation(**setting)
