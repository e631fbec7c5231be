import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import enrichment
from lines import Lines


def portraits(count, rare, *, size=32, seed=0):
    """Bright ovals under light of any strength, the first few dark; and ovals of another outline as the rest."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(-1, 1, size)
    inside = (grid[:, None] / 0.8) ** 2 + (grid[None] / 0.6) ** 2 < 1
    albedo = np.where(np.arange(count) < rare, 0.15, 0.6)[:, None, None] * rng.normal(1, 0.05, (count, 1, 1))
    lit = rng.uniform(0.3, 1, (count, 1, 1))
    images = np.where(inside, albedo, 0.9) * lit + rng.normal(0, 0.01, (count, size, size))
    shown = (255 * images.clip(0, 1) ** (1 / 2.2)).astype(np.uint8)
    cast = rng.uniform(0.8, 1, (count, 1, 1, 3))
    return (shown[..., None] * cast).astype(np.uint8)


@pytest.fixture(scope="module")
def scene():
    images = portraits(300, 9)
    groups = {"skin": np.where(np.arange(300) < 9, "dark", "light")}
    rest = np.random.default_rng(1).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    return enrichment.Scene(enrichment.Class("faces", images, groups, rest, images[:40]), 0, quick=True)


@pytest.mark.parametrize("name", [m for m in enrichment.METHODS if m not in enrichment.TRAINED])
def test_every_rule_gives_weights(scene, name):
    log_weights = enrichment.METHODS[name](scene)
    assert log_weights.shape == (300,)
    assert np.isfinite(log_weights).all()


def test_uniform_is_no_help_and_reflectance_finds_what_is_dark_in_any_light(scene):
    none = enrichment.measured(enrichment.METHODS["uniform"], [scene])
    assert none["enrichment"]["dark"] == pytest.approx(1)
    found = enrichment.measured(enrichment.METHODS["reflectance: two scales"], [scene])
    assert found["enrichment"]["dark"] > 4
    assert found["ess"][0] == pytest.approx(0.5, rel=1e-4)
    assert found["largest"] <= 10 + 1e-9
    assert found["pictures"] == {"dark": 9, "light": 291}


def test_reflectance_does_not_see_how_strong_the_light_is():
    images = np.full((2, 64, 64, 3), 0.9)
    images[:, 20:44, 20:44] = 0.5
    images[1] *= 0.5
    shown = (255 * images ** (1 / 2.2)).astype(np.uint8)
    first, second = enrichment.over(shown, enrichment.reflectance)[:, 0]
    assert first == pytest.approx(np.log(0.5 / 0.9), abs=0.02)
    assert second == pytest.approx(first, abs=0.02)


def test_colour_does_not_see_a_cast():
    images = np.random.default_rng(0).uniform(0.3, 0.6, (1, 64, 64, 3))
    both = np.concatenate([images, images * [1.3, 1.0, 0.7]])
    shown = (255 * both ** (1 / 2.2)).astype(np.uint8)
    first, second = enrichment.over(shown, enrichment.colour)
    np.testing.assert_allclose(first, second, atol=0.03)


def test_axes_have_one_standard_deviation_each_and_leave_out_what_does_not_vary():
    rng = np.random.default_rng(0)
    codes = enrichment.axes(
        np.column_stack([rng.normal(0, 9, 500), rng.normal(0, 0.1, 500), np.ones(500)]), 3
    )
    assert codes.shape == (500, 2)
    np.testing.assert_allclose(np.cov(codes.T, bias=True), np.eye(2), atol=1e-6)


def test_self_supervised_features_hang_on_the_seed_alone(scene):
    images = scene.images[:64]
    first, again, other = (
        enrichment.self_supervised(images, seed=seed, epochs=1, batch=32) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape == (64, 128)
    assert np.abs(first - other).max() > 0


@pytest.mark.slow
def test_b1_is_drawn_as_the_benchmark_draws_it(shared_data, tmp_path):
    import pyarrow.parquet as pq

    race, gender, age = enrichment.columns(
        shared_data / "fairface64" / "train.parquet", "race", "gender", "age"
    )
    rows = enrichment.b1_rows(race, gender, age, 3, 0.02)
    positives, _ = enrichment.b1.draw(shared_data, tmp_path, 3, 0.02)
    drawn = pq.read_table(positives, columns=["race", "age", "gender"])
    for name, values in (("race", race), ("age", age), ("gender", gender)):
        assert drawn.column(name).to_pylist() == values[rows].tolist()


def line(method, seed, value, **setting):
    return {
        "method": method,
        "seed": seed,
        "setting": {"benchmark": "b1"} | setting,
        "numbers": {"enrichment": {"Black": value}, "other": {"age": {"70+": 1.5}}, "seconds": 2.0},
    }


def test_table_has_means_and_ranges_and_leaves_out_other_pictures(tmp_path):
    lines = [line("uniform", 0, 1.0), line("uniform", 1, 1.2), line("uniform", 0, 9.0, test_positives="a")]
    row = enrichment.table(lines).splitlines()[-1]
    assert row.startswith("| uniform | 1.10 (1.00–1.20) | – |")
    assert "9.0" not in row
    (file,) = enrichment.figures(lines, tmp_path)
    assert "uniform" in file.read_text() or file.stat().st_size > 1000


def test_what_has_a_line_is_not_measured_again_and_brought_pictures_go_in(tmp_path, monkeypatch, capsys):
    drawn = []

    def others(positives, negatives, column):
        drawn.append(column)
        images = portraits(120, 6)
        return [enrichment.Class("faces", images, {column: np.where(np.arange(120) < 6, "a", "b")}, images)]

    monkeypatch.setattr(enrichment, "others", others)
    (tmp_path / "p").touch()
    argv = ["--lines", str(tmp_path / "lines"), "--test-positives", str(tmp_path / "p")]
    argv += ["--test-negatives", str(tmp_path / "p"), "--group-column", "skin", "--methods", "uniform"]
    for _ in range(2):
        enrichment.main([*argv, "light: two scales"])
    assert drawn == ["skin"]
    found = Lines(tmp_path / "lines", "enrichment", "").read()
    assert [entry["method"] for entry in found] == ["uniform", "light: two scales"]
    assert found[0]["setting"]["test_positives"] == "p"
    with pytest.raises(SystemExit):
        enrichment.main(["--test-positives", str(tmp_path / "p")])


def test_where_few_are_rare_the_smallest_possible_ess_is_taken():
    rare = np.arange(1000) < 10
    weights = enrichment.tempered(-np.log(np.where(rare, 10.0, 990.0)))
    ess = 1 / (len(weights) * np.square(weights / weights.sum()).sum())
    assert 0.54 < ess < 0.57  # ten times as often leaves 0.55
    assert weights[rare].sum() / weights.sum() > 9 * 0.01
    many = np.arange(1000) < 100
    weights = enrichment.tempered(-np.log(np.where(many, 100.0, 900.0)))
    assert 1 / (len(weights) * np.square(weights / weights.sum()).sum()) == pytest.approx(0.5, abs=0.01)
