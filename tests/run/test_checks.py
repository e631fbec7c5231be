"""What cannot work is refused before a single step of training, whatever is combined."""

import itertools
import sys
import typing

import numpy as np
import pyarrow as pa
import pytest
from torch import nn

from equipoise.data import ImageTable, read
from equipoise.errors import EquipoiseError, InputError, MissingExtraError
from equipoise.run import (
    Attributes,
    Augmentation,
    Engine,
    Output,
    Reading,
    Scoring,
    Sources,
    Training,
    audit,
    augment,
    debias,
    evaluate,
    sweep,
    train,
    tuned,
)
from equipoise.train import GAN, RECIPES, Resampling, fit, recipe
from equipoise.train.steps import Steps

RULES = typing.get_args(typing.get_type_hints(Resampling)["rule"])
SMALL = ["width=4", "depth=2", "latent=4", "plain.batch_size=16", "debiased.batch_size=16"]
SMALL += ["plain.epochs=1", "debiased.epochs=1"]
CPU = Engine(device="cpu", progress=False)


class Trained(Exception):
    """A step was taken."""


@pytest.fixture
def no_step(monkeypatch):
    """Any step of training is an error of its own."""

    def step(*_):
        raise Trained

    monkeypatch.setattr(Steps, "_update", step)


class Pooled(nn.Module):
    def forward(self, images):
        return images.mean((2, 3))


class Broken(nn.Module):
    """One picture of many has no vector."""

    def forward(self, images):
        vectors = images.mean((2, 3))
        return vectors / (vectors[:, :1] != vectors[:, :1].max())


# Rules that must be refused on a recipe, by what its debiased model shows.
WITHOUT_CODES = {rule for rule in RULES if rule not in ("appearance", "errors")}


@pytest.mark.parametrize("name", [name for name, one in RECIPES.items() if one.backbone == "none"])
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_with_every_recipe_begins_or_is_refused_at_once(
    asked, no_step, scene, tmp_path, name, rule
):
    chosen = tuned(recipe(name), [*SMALL, f"resampling.rule={rule}"])
    refused = chosen.objective == "classifier" and rule in WITHOUT_CODES
    with pytest.raises((EquipoiseError, Trained)) as ended:
        debias(**asked(data=scene(240), recipe=chosen, engine=CPU, out=tmp_path / "out"))
    if refused:
        assert isinstance(ended.value, InputError)
        assert "Use objective 'db-vae'" in str(ended.value)
    if isinstance(ended.value, EquipoiseError):
        assert not (tmp_path / "out" / "checkpoints").exists()
        assert not (tmp_path / "out" / "settings.toml").exists()


@pytest.mark.parametrize(
    ("images", "changes", "brought", "words"),
    [
        (240, ["resampling.rule=max"], {}, "objective 'classifier' has none"),
        (240, ["resampling.ess=0.05", "resampling.max_weight=10"], {}, "at least 0.1"),
        (
            240,
            ["resampling.ess=0.001", "resampling.max_weight=none"],
            {},
            "effective sample size is at least",
        ),
        (100, [], {}, "at least 60 images"),
        (
            240,
            ["objective=db-vae", "resampling.classes=both", "resampling.rule=max"],
            {},
            "must see negatives",
        ),
        (240, ["resampling.rule=capsa"], {"embedding": Pooled()}, "got 'capsa'"),
        (40, ["resampling.rule=neighbours"], {"embedding": Pooled()}, "more than k = 20"),
        (240, [], {"embedding": Broken()}, "finite"),
        (240, [], {"embedding_column": "colour"}, "lists of numbers"),
        (240, ["objective=db-vae", "resampling.rule=mixture", "resampling.clusters=500"], {}, "500 clusters"),
        (
            240,
            [
                "objective=db-vae",
                "resampling.rule=clusters",
                "resampling.clusters=500",
                "resampling.warmup=1",
            ],
            {},
            "500 clusters",
        ),
        (240, ["objective=db-vae", "resampling.rule=max", "resampling.bins=900"], {}, "bins must be"),
        (240, ["depth=9"], {}, "depth"),
        (240, [], {"engine": Engine(device="cpu", precision="16-mixed", progress=False)}, "precision"),
        (240, [], {"engine": Engine(device="cpu", processes=3, progress=False)}, "cannot be shared by 3"),
        (240, [], {"groups": ["vector"]}, "names or numbers"),
    ],
)
def test_what_does_not_go_together(asked, no_step, scene, tmp_path, images, changes, brought, words):
    table = scene(images)
    vectors = pa.array([[float(i), 1.0] for i in range(images)])
    object.__setattr__(table, "attributes", table.attributes.append_column("vector", vectors))
    options = {"engine": CPU, **brought}
    chosen = tuned(recipe("equipoise"), [*SMALL, *changes])
    with pytest.raises(InputError, match=words):
        debias(**asked(data=table, recipe=chosen, out=tmp_path / "out", **options))
    assert not (tmp_path / "out" / "settings.toml").exists()


@pytest.mark.parametrize("warmup", [0, 1])
@pytest.mark.parametrize(("images", "changes"), [(100, []), (240, ["ess=0.001", "max_weight=none"])])
def test_fit_too_refuses_before_it_trains(no_step, scene, warmup, images, changes):
    changes = [f"resampling.{change}" for change in [*changes, f"warmup={warmup}"]]
    with pytest.raises(InputError, match="at least"):
        fit(
            scene(images),
            tuned(recipe("equipoise"), [*SMALL, *changes]),
            engine=Engine(device="cpu", progress=False),
        )


def test_a_test_part_without_a_class_is_refused_before_training(no_step, scene, tmp_path):
    table = scene(240)
    few = table.take(np.r_[table.positives[:118], table.negatives[:118]])
    tables = few, table.take(table.positives[118:])
    with pytest.raises(InputError):
        debias(Sources(data=tables[0], test_data=tables[1]), engine=CPU, output=Output(tmp_path / "out"))


def test_a_sweep_names_the_run_that_cannot_be_trained(no_step, pictures, tmp_path):
    given = Sources(**pictures)
    small = tuned(recipe("equipoise"), SMALL)
    with pytest.raises(InputError, match=r"run resampling\.rule=max, seed=0 cannot be trained: Rule 'max'"):
        sweep(
            {"resampling.rule": ["appearance", "max"]},
            sources=given,
            reading=Reading(image_size=32),
            training=Training(small),
            engine=CPU,
            output=Output(tmp_path / "out"),
        )
    assert not (tmp_path / "out" / "points").exists()


@pytest.fixture
def annotated(scene):
    """Discs and squares, half of each striped, in a size that generators take."""
    table = scene(400)
    striped = pa.array(["yes" if i % 4 < 2 else "no" for i in range(len(table))])
    label = pa.array(table.labels)
    object.__setattr__(table, "attributes", pa.table({"striped": striped, "disc": label}))
    return table


def pairs_of(table, tmp_path, **how):
    return augment(
        Sources(data=table, validation_share=0.2),
        Attributes("disc", ["striped"]),
        how=Augmentation(**how),
        training=Training(tuned(recipe("equipoise"), SMALL)),
        engine=CPU,
        output=Output(tmp_path / "out"),
    )


def test_augment_names_a_missing_package_before_it_reads_or_trains(no_step, annotated, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"scikit-learn|sklearn.*equipoise\[latent\]"):
        pairs_of(annotated, tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_rule_names_a_missing_package_before_training(no_step, scene, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    for rule, warmup in itertools.product(("mixture", "clusters"), (0, 1)):
        changes = ["objective=db-vae", f"resampling.rule={rule}", f"resampling.warmup={warmup}"]
        with pytest.raises(MissingExtraError, match=r"equipoise\[latent\]"):
            train(
                Sources(data=scene(240)),
                training=Training(tuned(recipe("equipoise"), [*SMALL, *changes])),
                engine=CPU,
                output=Output(tmp_path / "o"),
            )
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    shown = Engine(device="cpu", tensorboard=True, progress=False)
    with pytest.raises(MissingExtraError, match=r"equipoise\[tensorboard\]"):
        train(Sources(data=scene(240)), engine=shown, output=Output(tmp_path / "o"))


def test_augment_refuses_what_no_generator_or_classifier_can_learn(no_step, annotated, tmp_path):
    with pytest.raises(InputError, match="A batch of 600 needs as many images"):
        pairs_of(annotated, tmp_path, generator=GAN(steps=1, batch_size=600))
    odd = ImageTable.from_arrays(
        np.zeros((400, 24, 24, 3)) + np.arange(400)[:, None, None, None] / 400, annotated.labels
    )
    object.__setattr__(odd, "attributes", annotated.attributes)
    with pytest.raises(InputError, match="16, 32, 64 or 128"):
        pairs_of(odd, tmp_path)
    striped = pa.array(["yes" if i < 4 else "no" for i in range(400)])
    object.__setattr__(annotated, "attributes", annotated.attributes.set_column(0, "striped", striped))
    with pytest.raises(InputError, match="classifier of striped cannot be trained"):
        pairs_of(annotated, tmp_path, classifiers="plain")
    assert not (tmp_path / "out" / "settings.toml").exists()


@pytest.mark.parametrize(
    ("images", "methods", "words"),
    [
        (30, ["neighbours", "dropout"], "neighbours needs 21 images"),
        (60, ["neighbours", "dropout", "histogram"], "histogram needs 50 images"),
        (60, ["neighbours", "dropout", "histogram_vae"], "histogram_vae needs 50 images"),
    ],
)
def test_an_audit_says_which_method_has_too_few_images(scene, tmp_path, images, methods, words):
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 2))
    said = []
    with pytest.raises(InputError, match=words):
        audit(
            network,
            Sources(data=scene(images)),
            scoring=Scoring(methods=methods),
            engine=CPU,
            output=Output(tmp_path / "out", tell=said.append),
        )
    assert not any("learned" in line for line in said)


def test_an_audit_needs_every_class_in_every_fold(scene, tmp_path):
    table = scene(100)
    labels = np.where(np.arange(100) < 3, 2, table.labels)
    few = ImageTable(table.parts, table.rows, labels, table.attributes, table.digests)
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    with pytest.raises(InputError, match="3 of class 2"):
        audit(network, Sources(data=few), engine=CPU, output=Output(tmp_path / "out"))


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (lambda out: train(Sources(test_data="x"), output=out), "`test_data` for train, which takes all"),
        (lambda out: train(Sources(test_share=0.5), output=out), "`test_share` for train"),
        (lambda out: evaluate("m", Sources(data="x", test_positives="y"), output=out), "`test_positives`"),
        (
            lambda out: evaluate("m", Sources(data="x"), engine=Engine(precision="32-true"), output=out),
            "`precision` for evaluate",
        ),
        (
            lambda out: audit("m", Sources(data="x"), engine=Engine(processes=2, compile=True), output=out),
            "`processes` and no `compile` for audit",
        ),
        (
            lambda out: sweep({"latent": [3]}, training=Training(encoder="a:b"), output=out),
            "`encoder` for sweep",
        ),
        (
            lambda out: augment(
                Sources(data="x"), Attributes("a", ["b"]), training=Training(embedding="a:b"), output=out
            ),
            "`embedding` for augment",
        ),
        (
            lambda out: augment(Sources(data="x", images=5), Attributes("a", ["b"]), output=out),
            "`images` for augment",
        ),
        (lambda out: augment(Sources(), Attributes("a", ["b"]), output=out), "Give them as `data`"),
        (
            lambda out: train(Sources(data="x"), engine=Engine(on="ray"), output=out),
            "no `on` for what trains",
        ),
        (
            lambda out: debias(Sources(data="x"), engine=Engine(on="ray"), output=out),
            "no `on` for what trains",
        ),
    ],
)
def test_what_a_job_does_not_do_is_not_passed_over(tmp_path, begin, words):
    with pytest.raises(InputError, match=words):
        begin(Output(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def halved(picture):
    return picture.resize((16, 16))


def test_pictures_of_a_transform_that_no_file_could_tell_of_train_nothing(tmp_path, no_step):
    chance = np.random.default_rng(0)
    samples = [(chance.integers(0, 256, (20, 20, 3), np.uint8), i % 2) for i in range(64)]
    table = read(samples, transform=halved, cache=tmp_path / "cache")
    recipe_ = Training(tuned(recipe("equipoise"), SMALL))
    for job in (debias, train):
        with pytest.raises(InputError, match=r"no config\.json can hold"):
            job(Sources(data=table), training=recipe_, engine=CPU, output=Output(tmp_path / "out"))
