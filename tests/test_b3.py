import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.nn.small_gan import SmallGenerator
from equipoise.train.gan import GAN, TrainedGenerator
from equipoise.train.saved_generator import save_generator

spec = importlib.util.spec_from_file_location("b3", Path(__file__).parents[1] / "benchmarks" / "b3.py")
b3 = importlib.util.module_from_spec(spec)
sys.modules["b3"] = b3  # where dataclasses look for annotations
spec.loader.exec_module(b3)


class Reader(nn.Module):
    """In place of a classifier: the logit is how bright channels are, the features are their means."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = nn.Parameter(torch.tensor(parts))

    def features(self, x):
        return x.mean((2, 3))

    def forward(self, x):
        return 20 * ((self.features(x) - 0.5) @ self.parts)[:, None]


def rows(n, rare, seed):
    """Pictures whose red shows gender, whose green shows the class a little."""
    rng = np.random.default_rng(seed)
    old = np.arange(n) % 2
    female = np.where(rng.random(n) < rare, old, 1 - old)
    level = np.stack([0.3 + 0.4 * female, 0.45 + 0.1 * old, np.full(n, 0.5)], 1) + rng.normal(0, 0.05, (n, 3))
    images = (255 * level.clip(0, 1))[:, None, None, :].repeat(64, 1).repeat(64, 2).astype(np.uint8)
    return b3.Part(images, old, female)


@pytest.fixture
def scene(tmp_path):
    network = SmallGenerator(8, width=2, image_size=64, generator=torch.Generator().manual_seed(0))
    save_generator(TrainedGenerator(network, GAN(latent=8, width=2), 0, steps=77), tmp_path)
    made = b3.Scene(
        rows(400, 0.1, 0), rows(400, 0.1, 1), rows(40, 0.5, 2), seed=0, steps=2, gan=tmp_path, rest=None
    )
    made.__dict__["plain"] = Reader(-1.0, 0.4, 0.0)  # leans on gender
    return made


def test_balanced_learning_draws_cells_equally_often():
    labels, other = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 0, 1])
    weights = b3.learning(labels, other)["balanced"]["probabilities"]
    assert [weights[(labels == t) & (other == g)].sum() for t in (0, 1) for g in (0, 1)] == [1.25] * 4


def test_what_is_discovered_stands_where_gender_stands(scene):
    for counts in ((2, 3, 4, 6), (2,)):
        attribute, told = scene.discovered(counts)
        assert np.corrcoef(attribute, scene.training.female)[0, 1] > 0.95
        assert told["rare in conflict"] > 0.9 < told["rare found"]
        assert told["in conflict"] == pytest.approx((attribute == scene.training.old).mean())
        assert scene.protected(counts) is attribute
    assert scene.protected("gender") is scene.training.female


def test_pairs_come_from_the_saved_generator_and_only_good_ones_are_taken(scene):
    scene.__dict__["targets"] = {("balanced", "gender"): Reader(0.0, 100.0, 0.0)}
    scene.__dict__["genders"] = {("balanced", "gender"): Reader(100.0, 0.0, 0.0)}
    how = b3.Making("balanced", "GAN")
    made = b3.edited(scene, replace(how, all=True), 100)[0]
    good, told = b3.edited(scene, how, 100)
    assert len(made) == 200
    assert told["generator_steps"] == 77
    _, _, limits = b3.source(scene, how)
    red, green = (
        1 / (1 + np.exp(-b3.logits_of(Reader(*part), made.batch(np.arange(200))))).reshape(-1, 2)
        for part in ((100.0, 0.0, 0.0), (0.0, 100.0, 0.0))
    )
    changed, lost = (
        np.diff(side >= limit, axis=1)[:, 0]
        for side, limit in ((red, limits["protected"]), (green, limits["old"]))
    )
    assert 0 < (changed & ~lost).sum() < 100
    assert told["kept"] == (changed & ~lost).mean()
    np.testing.assert_array_equal(good.column("pair"), np.repeat(np.flatnonzero(changed & ~lost), 2))
    few = b3.edited(scene, replace(how, all=True), 40)[0]
    np.testing.assert_array_equal(few.batch(np.arange(80)), made.batch(np.arange(80)))
    far = b3.edited(scene, replace(how, margin=0.1, all=True), 100)[0]
    scores = np.asarray(far.column("target_score"))[::2]
    assert (abs(scores - limits["old"]) >= 0.1).all()


def test_the_page_tells_marks_steps_and_what_was_discovered():
    rng = np.random.default_rng(0)
    parts = {name: rows(200, 0.3, seed) for seed, name in enumerate(("held_out", "test"))}
    arrays = {name: {"old": p.old.tolist(), "female": p.female.tolist()} for name, p in parts.items()}
    pair = {
        "f_g changed": 0.5, "f_t kept": 0.8, "kept": 0.4, "rare_among_kept": 0.7, "cosine": -0.5,
        "extra_steps": 4, "generator_steps": 77, "share": 0.5,
    }  # fmt: skip
    found = {
        "clusters": [2, 3], "held-out accuracy in conflict": [0.5, 0.6], "in conflict": 0.2,
        "rare in conflict": 0.06, "rare found": 0.44,
    }  # fmt: skip
    told = {
        "pairs, GAN, balanced classifiers": pair,
        "GAN, unedited (control)": pair,
        "pairs, GAN, discovered": pair | found,
    }
    run = {("scene", ""): arrays}
    for method, (_, variants) in b3.METHODS.items():
        if method == "plain" or method in told:
            for place, variant in enumerate(variants):
                noise = {name: rng.normal(2 * p.old - 1, 1 + place) for name, p in parts.items()}
                scores = {name: values.tolist() for name, values in noise.items()}
                run[method, variant] = {"scores": scores, "told": told.get(method, {}), "seconds": 1.0}
    chosen = b3.choices(run)
    assert chosen["pairs, GAN, balanced classifiers"] == "share 0.5, margin 0.2"  # the one with least noise
    results = {"command": "x", "steps": 9, "epochs": 4.0, "precision": "32-true"}
    page = b3.markdown(results | {"rare": {"0.01": b3.summary([run], chosen)}})
    assert "| pairs, GAN, discovered ‡ |" in page
    assert "| pairs, GAN, balanced classifiers † |" in page
    assert "| 4 + 77 | 1 |" in page
    assert "more pictures than the 8,000" in page
    assert "of which 6.0 % are of a rare cell, and 44 % of the rare cells' pictures" in page
    assert "the same with gender (pairs, GAN, balanced classifiers †)" in page
    assert "the same generator's pictures, unedited" in page
