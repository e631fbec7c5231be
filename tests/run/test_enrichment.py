"""Whom the sampling weights favour, at the run's strength and at the one at which runs compare."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from equipoise import fairness
from equipoise.cli import main
from equipoise.data import ImageTable
from equipoise.report import resampling_text
from equipoise.report.debias.record import ResamplingRecord
from equipoise.report.parts.typed_json import decode
from equipoise.resample import AdaptiveSampler, Draws, effective_sample_size, temper
from equipoise.run import Engine, Training
from equipoise.run.enrichment import (
    enrichment_at_half,
    resampling_record,
    sampled_by_class,
    told_beforehand,
)
from equipoise.run.enrichment import sampled as of_two_classes
from equipoise.train import Resampling

CPU = Engine(device="cpu", progress=False)


def rarity(table, seed=0):
    """Log weights of the positives; blue ones are rarer."""
    blue = np.array([value == "blue" for value in table.column("colour")])[table.positives]
    return np.random.default_rng(seed).normal(size=len(blue)) + 1.5 * blue


def test_runs_of_any_strength_are_brought_to_the_same(scene):
    table = scene(600)
    logs = rarity(table)
    groups = table.take(table.positives).groups("colour")
    expected = fairness.enrichment(temper(logs, ess=0.5, max_weight=10.0), groups)
    for ess in (0.3, 0.5, 0.95):
        made = resampling_record({1: temper(logs, ess=ess)}, table, ["colour"], rule="equipoise")
        assert made.ess == pytest.approx(ess, rel=1e-4)
        at_half = made.enrichment_at_half["colour"]["blue"]
        assert at_half.value == pytest.approx(expected["blue"].value, rel=1e-4)
        assert at_half.low < at_half.value < at_half.high
        ratio = made.share["colour"]["blue"] / made.natural_share["colour"]["blue"]
        assert made.enrichment["colour"]["blue"].value == pytest.approx(ratio)
        assert "blue (10.0 % of the images)" in made.verdict_at_half
    assert made.enrichment["colour"]["blue"].value < at_half.value - 0.5


def test_undefined_is_not_nothing(scene):
    table = scene(100)
    groups = table.take(table.positives).groups("colour")
    equal = enrichment_at_half(np.zeros(50), groups)
    assert not equal["blue"].defined
    assert equal["blue"].reason == "all images are equally rare"
    assert equal["blue"].n == 5
    few = np.full(50, -np.inf)
    few[:10] = 0.0  # a fifth of the images at most: no power of that has ESS 0.5
    assert enrichment_at_half(few, groups)["red"].reason.startswith("no power of the weights")
    made = resampling_record({1: np.full(50, 0.02)}, table, ["colour"], rule="max")
    assert made.enrichment["colour"]["blue"].value == pytest.approx(1.0)
    assert made.verdict_at_half == (
        "Whether rarity found the rare is undefined (colour): all images are equally rare."
    )


def test_columns_that_say_nothing_are_left_out_and_negatives_have_their_own(scene):
    table = scene(200)
    weights = temper(rarity(table), ess=0.6)
    made = resampling_record(
        {1: weights, 0: temper(np.arange(100.0), ess=0.7)},
        table,
        ["colour", "hat"],
        rule="neighbours",
        representation="column clip (cosine)",
    )
    assert set(made.enrichment) == {"colour"}
    assert made.representation == "column clip (cosine)"
    assert made.negatives.ess == pytest.approx(0.7, rel=1e-4)
    assert made.negatives.enrichment == {}  # negatives have no colour
    assert "none of the group columns" in made.negatives.verdict
    assert resampling_record({1: weights}, table, [], rule="x").negatives is None


def sampled(table, weights, batch):
    """The sampler's own counts of the positives."""
    sampler = AdaptiveSampler(table.labels, batch_size=2 * batch, steps=1500)
    sampler.renew({1: weights})
    for _ in sampler:
        pass
    return sampler.draws[1]


@pytest.mark.parametrize(("images", "batch", "ess"), [(120, 32, 0.5), (200, 32, 0.3), (120, 8, 0.15)])
def test_what_is_said_of_few_images_is_what_was_drawn(scene, images, batch, ess):
    table = scene(images)
    weights = temper(rarity(table), ess=ess)
    draws = sampled(table, weights, batch)
    made = resampling_record({1: weights}, table, ["colour"], rule="x", draws={1: draws})
    shares = fairness.shares(draws.counts, table.take(table.positives).groups("colour"))[1]
    assert made.counted.share["colour"] == shares
    assert made.share["colour"]["blue"] == pytest.approx(shares["blue"], rel=0.05)
    assert made.ess == pytest.approx(effective_sample_size(draws.counts), rel=0.02)
    assert made.max_weight == pytest.approx(draws.counts.max() / draws.counts.mean(), rel=0.05)
    assert made.meant.ess == pytest.approx(ess, rel=1e-4)
    assert made.ess > 1.1 * ess
    asked, drawn = made.meant.enrichment["colour"]["blue"].value, made.enrichment["colour"]["blue"].value
    assert asked > 1.05 * drawn
    said = f"({asked:.2f} was asked; batches of {batch} of {images // 2} positives cannot follow)"
    assert f"{drawn:.2f} times" in made.verdict
    assert said in made.verdict
    shown = " ".join(resampling_text(made).split())
    assert said in shown
    assert f"effective sample size {made.ess:.2f}" in shown
    assert f"The weights ask for an effective sample size of {ess:.2f}" in shown
    assert f"Counted in training: {1500 * batch:,} draws of positives by weights, in 1,500 batches." in shown


def test_of_many_images_what_is_drawn_is_what_was_asked(scene):
    table = scene(6000)
    weights = temper(rarity(table), ess=0.6, max_weight=10)
    draws = Draws(4, 0, np.zeros(3000, np.int64))
    made = resampling_record({1: weights}, table, ["colour"], rule="x", draws={1: draws})
    assert made.ess == pytest.approx(made.meant.ess, rel=0.01)
    for name, rate in made.enrichment["colour"].items():
        assert rate.value == pytest.approx(made.meant.enrichment["colour"][name].value, rel=0.01)
    assert "asked" not in made.verdict + resampling_text(made)
    assert made.counted is None


def test_what_no_batch_can_draw_is_said_beforehand(scene):
    table = scene(120)
    (note,) = told_beforehand(Resampling(ess=0.5), table, 64)
    assert "Effective sample size 0.5 cannot be drawn: a batch of 64 holds 32 of 60 positives" in note
    assert "0.53 or more" in note
    assert told_beforehand(Resampling(ess=0.6), table, 64) == []
    assert told_beforehand(Resampling(ess=0.5), table, 32) == []
    both = told_beforehand(Resampling(rule="appearance", ess=0.2, classes="both"), table, 64)
    assert ["60 positives" in both[0], "60 negatives" in both[1]] == [True, True]
    (all_of_them,) = told_beforehand(Resampling(rule="max"), table, 120)
    assert "holds all 60 positives" in all_of_them
    assert told_beforehand(Resampling(rule="max"), table, 64) == []


@pytest.fixture
def with_vectors(pictures, tmp_path):
    """Manifests of positives and negatives with a column of vectors: dark faces stand apart."""
    found = {}
    for name in ("positives", "negatives"):
        source = pa.csv.read_csv(pictures[name])
        chance = np.random.default_rng(len(name))
        dark = np.array([value == "dark" for value in source.column("skin").to_pylist()])
        vectors = chance.normal(size=(len(dark), 4)) + 8.0 * dark[:, None]
        paths = pa.array([f"{pictures[name].rpartition('/')[0]}/{p}" for p in source["path"].to_pylist()])
        table = source.set_column(0, "path", paths).append_column("vector", pa.array(list(vectors)))
        pq.write_table(table, tmp_path / f"{name}.parquet")
        found[name] = str(tmp_path / f"{name}.parquet")
    return found


def test_train_weighs_by_a_column_of_vectors_and_says_so(with_vectors, tmp_path, capsys):
    out = tmp_path / "out"
    flags = ["--epochs=1", "--batch-size=16", "--image-size=32", "--tune=width=4", "--tune=latent=6"]
    flags.append("--allow-outside")
    sources = [f"--{name}={path}" for name, path in with_vectors.items()]
    chosen = ["--embedding-column=vector", "--tune=resampling.normalisation=raw", "--ess=0.6"]
    both = ["--tune=resampling.classes=both"]
    assert main(["train", *sources, *flags, *chosen, *both, "--groups=skin", f"--out={out}"]) == 0
    shown = capsys.readouterr().out
    assert "rule neighbours, on column vector (as they are)" in " ".join(shown.split())
    assert "at ESS 0.5" in shown
    assert "At effective sample size 0.5: Rarity" in shown
    assert "Sampling of the negatives by rarity" in shown
    content = json.loads((out / "resampling.json").read_text())
    assert content.pop("schema_version") == 4
    record = decode(ResamplingRecord, content)
    assert record.rule == "neighbours"
    assert record.enrichment["skin"]["dark"].value > 1.5
    assert record.enrichment_at_half["skin"]["dark"].value > record.enrichment["skin"]["dark"].value
    assert record.negatives.meant.ess == pytest.approx(0.6, abs=0.01)
    assert record.negatives.ess > 0.6
    assert record.batch == 8
    assert record.counted.draws == 8 * record.counted.batches > 0
    assert record.counted.share["skin"]["dark"] == pytest.approx(record.share["skin"]["dark"], rel=0.5)
    assert 'embedding_column = "vector"' in (out / "settings.toml").read_text()
    few = ["--batch-size=64", "--ess=0.3", "--embedding-column=vector", "--groups=skin", "--epochs=1"]
    assert main(["train", *sources, *flags[2:], *few, f"--out={tmp_path / 'few'}"]) == 0
    shown = capsys.readouterr()
    assert "a batch of 64 holds 32 of 96 positives, each once at most" in shown.err
    assert "was asked; batches of 32 of 96 positives cannot follow)" in " ".join(shown.out.split())
    again = ["train", *sources, *flags, *both, "--embedding-column=skin", "--groups=skin", f"--out={out}"]
    assert main([*again, "--overwrite"]) == 2
    assert "Expected lists of numbers in column 'skin'" in capsys.readouterr().err
    assert (out / "resampling.json").exists()  # what was wrong was known before the earlier run went


def test_effective_size_of_half_is_kept_as_it_is(scene):
    table = scene(300)
    weights = temper(rarity(table), ess=0.5, max_weight=10.0)
    made = resampling_record({1: weights}, table, ["colour"], rule="equipoise")
    assert effective_sample_size(weights) == pytest.approx(0.5)
    assert made.enrichment_at_half["colour"]["blue"].value == pytest.approx(
        made.enrichment["colour"]["blue"].value, rel=1e-5
    )


def named(count, *, classes):
    """Pictures of some classes by name, dark and light; the first of each class is dark."""
    chance = np.random.default_rng(0)
    labels = np.arange(count) % classes
    dark = np.arange(count) < classes * 10
    images = (
        chance.integers(0, 255, (count, 16, 16, 3), np.uint8) // np.where(dark, 4, 1)[:, None, None, None]
    )
    table = ImageTable.from_arrays(images.astype(np.uint8), labels, {"skin": np.where(dark, "dark", "light")})
    return dataclasses.replace(table, classes={f"kind <{k}>": k for k in range(classes)})


def test_more_than_two_classes_are_told_by_name():
    table = named(300, classes=3)
    weights = {class_id: np.where(np.arange(100) < 10, 5.0, 1.0) / 140 for class_id in (0, 2)}
    fitted = SimpleNamespace(weights=weights, draws={0: Draws(21, 4, np.ones(100, np.int64), more=1 / 3)})
    start = Training().start(CPU)
    found = sampled_by_class(fitted, table, ["skin"], start)
    assert list(found) == ["kind <0>", "kind <2>"]
    free, held = found["kind <2>"], found["kind <0>"]
    assert free.enrichment["skin"]["dark"].value == pytest.approx(5 * 100 / 140)
    assert free.batch is None
    assert 1 < held.enrichment["skin"]["dark"].value < free.enrichment["skin"]["dark"].value
    assert (held.batch, held.images, held.counted.draws) == (22, 100, 100)
    assert held.meant.enrichment["skin"]["dark"].value == pytest.approx(5 * 100 / 140)
    assert "batches of 22 of 100 images of 'kind <0>' cannot follow" in held.verdict
    assert of_two_classes(fitted, table, ["skin"], start) is None


def test_what_no_batch_of_many_classes_can_draw_is_said_beforehand():
    table = named(300, classes=3)
    assert told_beforehand(Resampling(ess=0.5), table, 64) == []
    (note,) = told_beforehand(Resampling(ess=0.2), table, 64)
    assert "holds 21.3 images of a class on average, which is much or all of 'kind <0>', 'kind <1>'" in note
    others = np.flatnonzero(table.labels != 1)
    few, rest = told_beforehand(Resampling(), table.take([1, *others]), 64)
    assert "'kind <1>' (1)" in few
    assert "much or all of 'kind <1>'." in rest
