import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.nn.small_gan import SmallGenerator
from equipoise.train.gan import GAN, TrainedGenerator
from equipoise.train.saved_generator import save_generator

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import b3
import b3_methods
from lines import Lines
from peers import Outcome, Trained


class Reader(nn.Module):
    """In place of a classifier: the logit is how bright channels are, the features are their means."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = nn.Parameter(torch.tensor(parts))

    def features(self, x):
        return x.mean((2, 3))

    def forward(self, x):
        return 20 * ((self.features(x) - 0.5) @ self.parts)[:, None]


def reader(*parts):
    return Trained(Reader(*parts).eval(), 1, 1.0)


def rows(n, rare, seed):
    """Pictures whose red shows gender, whose green shows the class a little."""
    rng = np.random.default_rng(seed)
    old = np.arange(n) % 2
    female = np.where(rng.random(n) < rare, old, 1 - old)
    level = np.stack([0.3 + 0.4 * female, 0.45 + 0.1 * old, np.full(n, 0.5)], 1) + rng.normal(0, 0.05, (n, 3))
    images = (255 * level.clip(0, 1))[:, None, None, :].repeat(64, 1).repeat(64, 2).astype(np.uint8)
    return b3.annotated(images, old, female)


@pytest.fixture
def scene(tmp_path):
    network = SmallGenerator(8, width=2, image_size=64, generator=torch.Generator().manual_seed(0))
    save_generator(TrainedGenerator(network, GAN(latent=8, width=2), 0, steps=77), tmp_path)
    made = b3_methods.Scene(
        rows(400, 0.1, 0), rows(800, 0.1, 1), rows(40, 0.5, 2), seed=0, steps=2, gan=tmp_path, rest=None
    )
    made.__dict__["plain"] = reader(-1.0, 0.4, 0.0)  # leans on gender
    return made


def test_balanced_learning_draws_cells_equally_often():
    labels, other = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 0, 1])
    weights = b3_methods.learning(labels, other)["balanced"]["probabilities"]
    assert [weights[(labels == t) & (other == g)].sum() for t in (0, 1) for g in (0, 1)] == [1.25] * 4


def test_what_is_discovered_stands_where_gender_stands(scene):
    attribute, told = scene.discovered
    assert np.corrcoef(attribute, scene.training.groups)[0, 1] > 0.8
    assert told["slices"] >= 2
    assert told["rare inside"] > 0.8 < told["rare found"]
    assert told["inside"] == pytest.approx((attribute == scene.training.target).mean())
    assert scene.protected("slices") is attribute
    assert scene.protected("gender") is scene.training.groups


def test_where_nothing_is_discovered_plain_stays(scene):
    scene.__dict__["plain"] = reader(0.0, 0.0, 0.0)  # calls all alike: no part of a class fails more
    assert scene.discovered == (None, {"slices": 0})
    outcome = b3_methods.METHODS["balanced sampling, discovered"][1][""](scene)
    np.testing.assert_array_equal(outcome.test, scene.plain.logits(scene.test.images))
    with pytest.raises(ValueError, match="Nothing was discovered"):
        scene.protected("slices")


@pytest.mark.slow
def test_pairs_come_from_the_saved_generator_and_only_good_ones_are_taken(scene):
    scene.__dict__["targets"] = {("balanced", "gender"): reader(0.0, 100.0, 0.0)}
    scene.__dict__["genders"] = {("balanced", "gender"): reader(100.0, 0.0, 0.0)}
    how = b3_methods.Making("balanced", "GAN")
    made = b3_methods.edited(scene, replace(how, all=True), 100)[0]
    good, told = b3_methods.edited(scene, how, 100)
    assert len(made) == 200
    assert told["generator_steps"] == 77
    _, _, limits = b3_methods.source(scene, how)
    red, green = (
        1 / (1 + np.exp(-reader(*part).logits(made.batch(np.arange(200))))).reshape(-1, 2)
        for part in ((100.0, 0.0, 0.0), (0.0, 100.0, 0.0))
    )
    changed, lost = (
        np.diff(side >= limit, axis=1)[:, 0]
        for side, limit in ((red, limits["protected"]), (green, limits["old"]))
    )
    assert 0 < (changed & ~lost).sum() < 100
    assert told["kept"] == (changed & ~lost).mean()
    np.testing.assert_array_equal(good.column("pair"), np.repeat(np.flatnonzero(changed & ~lost), 2))
    whole = b3_methods.with_pairs(scene, how, 0.25)
    assert whole.steps == scene.steps + 2  # f_t, f_g, and the main training
    assert whole.seconds > 2
    assert 0.2 < whole.told["share"] < 0.26
    assert np.isfinite(whole.test).all()
    assert (
        len(b3_methods.stages(scene, replace(how, by=(2,), classifiers="plain"))) == 2
    )  # f_t finds the sides too
    few = b3_methods.edited(scene, replace(how, all=True), 40)[0]
    np.testing.assert_array_equal(few.batch(np.arange(80)), made.batch(np.arange(80)))
    far = b3_methods.edited(scene, replace(how, margin=0.1, all=True), 100)[0]
    scores = np.asarray(far.column("target_score"))[::2]
    assert (abs(scores - limits["old"]) >= 0.1).all()


def lines_of_runs(tmp_path, seeds=2):
    """Lines of some methods whose noise grows with the place of the variant."""
    rng = np.random.default_rng(0)
    parts = {name: rows(200, 0.3, seed) for seed, name in enumerate(("held_out", "test"))}
    answers = {name: (p.target, p.groups) for name, p in parts.items()}
    pair = {
        "f_g changed": 0.5, "f_t kept": 0.8, "kept": 0.4, "rare_among_kept": 0.7, "cosine": -0.5,
        "generator_steps": 77, "share": 0.5,
    }  # fmt: skip
    found = {
        "slices": 2, "wrong": [0.5, 0.6], "inside": 0.2, "rare inside": 0.06, "rare found": 0.44,
    }  # fmt: skip
    told = {
        "plain": {},
        "pairs, GAN, balanced classifiers": pair,
        "GAN, unedited (control)": pair,
        "pairs, GAN, discovered": pair | found,
    }
    lines = Lines(tmp_path / "b3.jsonl", "b3", "x")
    for seed in range(seeds):
        for method, said in told.items():
            for place, variant in enumerate(b3.METHODS[method][1]):
                noise = {n: rng.normal(2 * p.target - 1, 1 + place) for n, p in parts.items()}
                outcome = Outcome(noise["test"], noise["held_out"], said, 9, 1.0)
                made = SimpleNamespace(answers=answers)
                setting = {"c": 0.01, "variant": variant, "epochs": 4}
                lines.run(method, seed, lambda o=outcome, s=made: b3.measured(s, o), setting=setting)
    return lines.read()


def test_the_page_tells_marks_steps_and_what_was_discovered(tmp_path):
    lines = lines_of_runs(tmp_path)
    chosen = b3.choices(lines)
    assert chosen["pairs, GAN, balanced classifiers"] == "share 0.5, margin 0.2"  # the one with least noise
    page = b3.table(lines)
    assert page.count("### c = 1%\n") == 1
    assert "| pairs, GAN, discovered |" in page
    assert "| pairs, GAN, balanced classifiers † |" in page
    assert "| 9 + 77 | 2 |" in page
    assert "6.0 % of them of a rare cell, and 44 % of the rare cells" in page
    assert "the same with gender (pairs, GAN, balanced classifiers †)" in page
    assert "the same generator's pictures, unedited" in page
    assert "found in 2 of 2 seeds" in page
    assert "Plain is wrong in 55 % of the held-out ones there that test." in page
    files = b3.figures(lines, tmp_path)
    assert [file.name for file in files] == ["b3-cells-1.svg"]
    assert "pairs, GAN, discovered" in files[0].read_text()


def test_numbers_of_a_run_are_those_of_its_cells(tmp_path):
    (line,) = [line for line in lines_of_runs(tmp_path, 1) if line["method"] == "plain"]
    half = line["numbers"]["at_half"]
    cells = {name: cell["value"] for name, cell in half["cells"].items()}
    assert set(cells) == {"young × men", "young × women", "old × men", "old × women"}
    assert half["worst_cell_accuracy"]["value"] == min(cells.values()) == cells[half["worst_cell"]]
    assert half["gap"]["value"] == pytest.approx(max(cells.values()) - min(cells.values()), abs=3e-5)
    assert half["deo"]["value"] == pytest.approx(abs(cells["old × men"] - cells["old × women"]), abs=3e-5)


def test_a_kept_run_is_not_trained_again(tmp_path):
    entry = {"method": "plain", "variant": "", "seconds": 2.0, "told": {"extra_steps": 3}}
    entry["scores"] = {"test": [1.0, -1.0], "held_out": [0.5]}
    file = tmp_path / "scene.jsonl"
    file.write_text(json.dumps({"method": "LISA", "variant": "", "error": "x"}) + "\n")
    with file.open("a") as kept:
        kept.write(json.dumps(entry) + "\n" + json.dumps(entry)[:30])
    kept = b3.Kept(file, steps=10)
    assert list(kept.runs) == [("plain", "")]
    found = kept.outcome(None, "plain", "")  # with no scene to train in
    assert found.steps == 13
    assert found.test.tolist() == [1, -1]
