"""Whom the sampling weights favour, at the run's strength and at the one at which runs compare."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from equipoise import fairness
from equipoise.cli import main
from equipoise.report.record import ResamplingRecord
from equipoise.report.typed_json import decode
from equipoise.resample import effective_sample_size, temper
from equipoise.run.enrichment import enrichment_at_half, resampling_record


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
        made = resampling_record(temper(logs, ess=ess), table, ["colour"], rule="equipoise")
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
    made = resampling_record(np.full(50, 0.02), table, ["colour"], rule="max")
    assert made.enrichment["colour"]["blue"].value == pytest.approx(1.0)
    assert made.verdict_at_half == (
        "Whether rarity found the rare is undefined (colour): all images are equally rare."
    )


def test_columns_that_say_nothing_are_left_out_and_negatives_have_their_own(scene):
    table = scene(200)
    weights = temper(rarity(table), ess=0.6)
    made = resampling_record(
        weights,
        table,
        ["colour", "hat"],
        rule="neighbours",
        representation="column clip (cosine)",
        negative_weights=temper(np.arange(100.0), ess=0.7),
    )
    assert set(made.enrichment) == {"colour"}
    assert made.representation == "column clip (cosine)"
    assert made.negatives.ess == pytest.approx(0.7, rel=1e-4)
    assert made.negatives.enrichment == {}  # negatives have no colour
    assert "none of the group columns" in made.negatives.verdict
    assert resampling_record(weights, table, [], rule="x").negatives is None


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
    assert content.pop("schema_version") == 2
    record = decode(ResamplingRecord, content)
    assert record.rule == "neighbours"
    assert record.enrichment["skin"]["dark"].value > 1.5
    assert record.enrichment_at_half["skin"]["dark"].value > record.enrichment["skin"]["dark"].value
    assert record.negatives.ess == pytest.approx(0.6, abs=0.01)
    assert 'embedding_column = "vector"' in (out / "settings.toml").read_text()
    again = ["train", *sources, *flags, *both, "--embedding-column=skin", "--groups=skin", f"--out={out}"]
    assert main([*again, "--overwrite"]) == 2
    assert "Expected lists of numbers in column 'skin'" in capsys.readouterr().err
    assert (out / "resampling.json").exists()  # what was wrong was known before the earlier run went


def test_effective_size_of_half_is_kept_as_it_is(scene):
    table = scene(300)
    weights = temper(rarity(table), ess=0.5, max_weight=10.0)
    made = resampling_record(weights, table, ["colour"], rule="equipoise")
    assert effective_sample_size(weights) == pytest.approx(0.5)
    assert made.enrichment_at_half["colour"]["blue"].value == pytest.approx(
        made.enrichment["colour"]["blue"].value, rel=1e-5
    )
