import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import b2
import peers
from peers import harness, last_layer, product, reweighting, sampling, thresholds


def part(count, rare, seed, side=16):
    """Pictures whose green shows the target a little, and whose red shows a group that mostly goes with it."""
    rng = np.random.default_rng(seed)
    target = np.arange(count) % 2
    group = np.where(rng.random(count) < rare, 1 - target, target)
    level = np.stack([0.3 + 0.4 * group, 0.45 + 0.1 * target, np.full(count, 0.5)], 1)
    images = level[:, None, None, :] + rng.normal(0, 0.1, (count, side, side, 3))
    return peers.Part((255 * images.clip(0, 1)).astype(np.uint8), target, 2 * target + group, group)


@pytest.fixture(scope="module")
def task():
    return peers.Task(part(256, 0.1, 0), part(128, 0.1, 1), part(64, 0.5, 2), seed=0, steps=8)


@pytest.mark.parametrize("name", peers.METHODS)
def test_every_method_gives_finite_logits_of_both_parts(task, name):
    found = peers.METHODS[name].run(task)
    assert found.test.shape == (64,)
    assert found.held_out.shape == (128,)
    assert np.isfinite(found.test).all()
    assert np.isfinite(found.held_out).all()
    assert found.steps >= task.steps
    assert found.seconds > 0
    extra = {"JTT": 2, "SELF": 2, "cluster-balanced sampling": 2, "unseen errors as cells": 8, "mit-2021": 8}
    assert found.steps == task.steps + extra.get(name, 0)


def test_no_method_looks_at_the_answers_of_the_test(task):
    other = peers.Part(task.test.images, 1 - task.test.target, task.test.cells * 0, task.test.groups)
    twin = peers.Task(task.training, task.held_out, other, task.seed, task.steps)
    for name in ("balanced sampling", "DFR", "SELF", "threshold per group, in use too"):
        run = peers.METHODS[name].run
        np.testing.assert_array_equal(run(twin).test, run(task).test)


def test_methods_that_see_no_groups_do_not_use_the_cells(task):
    parts = [peers.Part(p.images, p.target, p.target) for p in (task.training, task.held_out, task.test)]
    twin = peers.Task(*parts, task.seed, task.steps)
    for name in ("JTT", "last layer, class-balanced", "AFR", "SELF", "cluster-balanced sampling"):
        run = peers.METHODS[name].run
        np.testing.assert_array_equal(run(twin).test, run(task).test)


def test_cells_weigh_alike_and_with_classes_each_class_half():
    cells = np.array([0, 0, 0, 0, 10, 11, 11, 12])
    weights = harness.cell_weights(cells)
    assert [weights[cells == c].sum() for c in (0, 10, 11, 12)] == pytest.approx([2] * 4)
    weights = harness.cell_weights(cells, cells // 10)
    assert [weights[cells == c].sum() for c in (0, 10, 11, 12)] == pytest.approx([4, 4 / 3, 4 / 3, 4 / 3])
    assert weights.mean() == pytest.approx(1)


def test_drawing_tells_how_often_a_cell_is_drawn_of_its_class():
    made = peers.Part(
        np.zeros((6, 1, 1, 3), np.uint8), np.array([0, 0, 1, 1, 1, 1]), np.array([0, 0, 2, 2, 2, 3])
    )
    told = harness.drawing(made, np.array([5.0, 5, 1, 1, 1, 3]))
    assert told["enrichment"] == pytest.approx({"0": 1, "2": 0.5 / 0.75, "3": 0.5 / 0.25})
    assert told["ess"] == pytest.approx(16**2 / (6 * 62))


def test_group_dro_moves_its_weight_to_the_worst_cell():
    cells = np.array([0, 1, 2, 3] * 16)
    loss = reweighting.WorstCells(cells, rate=0.1)
    logits, targets = torch.full((64,), 3.0), torch.ones(64)
    logits[cells == 2] = -3.0
    for _ in range(20):
        value = loss(logits, targets, np.arange(64))
    assert loss.q.argmax() == 2
    assert loss.q[2] > 0.9
    assert loss.q.sum() == pytest.approx(1, abs=1e-5)
    assert value > torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)


def test_jtt_draws_errors_more_often():
    weights = sampling.upweighted(np.array([-1.0, 1.0, 0.5, -0.5]), np.array([1, 1, 0, 0]), 5)
    assert weights.tolist() == [5, 1, 5, 1]


def test_rarity_keeps_the_share_of_classes_and_reaches_its_size(task):
    weights = sampling.rarity_weights(task.training, (1,), 0.5)
    positives = task.training.target == 1
    assert (weights[~positives] == 1).all()
    assert weights[positives].mean() == pytest.approx(1)
    p = weights[positives] / weights[positives].sum()
    assert 1 / (len(p) * (p @ p)) == pytest.approx(0.5, rel=1e-4)


def test_a_last_layer_stays_at_its_start_or_goes_where_the_rows_say():
    rng = np.random.default_rng(0)
    target = np.arange(200) % 2
    features = rng.normal(0, 1, (200, 3))
    features[:, 1] += 3 * (target - 0.5)
    start = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0.5])
    weight, bias = last_layer.last_layer(features, target, np.ones(200), start, pull=1e6)
    np.testing.assert_allclose([*weight, bias], [2, 0, 0, 0.5], atol=1e-3)
    weight, bias = last_layer.last_layer(features, target, np.ones(200), start, pull=1e-6)
    assert weight.argmax() == 1
    only = np.where(target == 1, 1.0, 1e-9)
    _, bias = last_layer.last_layer(features, target, only, start, pull=1e-3)
    assert bias > 3  # who weighs nothing is not heard


def test_disagreement_is_the_divergence_of_two_answers():
    gap = last_layer.divergence(np.array([0.0, 2.0, 2.0]), np.array([0.0, 2.0, -2.0]))
    assert gap[:2] == pytest.approx([0, 0])
    p, q = 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))
    assert gap[2] == pytest.approx(p * np.log(p / q) + q * np.log(q / p))


def test_logit_adjustment_takes_away_what_is_common(task):
    most = task.training.take(np.r_[np.flatnonzero(task.training.target == 1), np.arange(0, 64, 2)])
    skewed = peers.Task(most, task.held_out, task.test, 0, 2)
    plain, adjusted = peers.METHODS["plain"].run(skewed), thresholds.logit_adjustment(skewed)
    np.testing.assert_allclose(plain.test - adjusted.test, np.log(128 / 32))


def test_thresholds_of_groups_move_each_group_by_itself(task):
    plain, moved = peers.METHODS["plain"].run(task), thresholds.group_threshold(task)
    for group in (0, 1):
        mine = task.test.groups == group
        assert np.ptp((plain.test - moved.test)[mine]) < 1e-9


def test_b2_draws_by_race_among_adults_and_holds_out_others():
    rng = np.random.default_rng(0)
    race = rng.permutation(np.repeat(list(b2.COUNTS), 900))
    adult = rng.random(len(race)) < 0.9
    training, held_out = b2.drawn(race, adult, scale=0.1)
    for name, count in b2.COUNTS.items():
        assert (race[training] == name).sum() == round(0.1 * count)
        assert (race[held_out] == name).sum() == max(10, round(0.1 * count * 2000 / 9950))
    both = np.concatenate([training, held_out])
    assert len(np.unique(both)) == len(both)
    assert adult[both].all()
    again = b2.drawn(race, adult, scale=0.1)
    np.testing.assert_array_equal(again[0], training)
    assert sum(b2.COUNTS.values()) == 9950


def test_b2_cells_are_label_and_race_also_of_races_that_training_has_not():
    pictures = b2.Pictures(Path(), 1.0, None)
    images = np.zeros((4, 1, 1, 3), np.uint8)
    made = pictures.part(images, np.array([0, 1, 1, 0]), np.array(["Black", "White", "Martian", "White"]))
    assert made.groups.tolist() == [0, 6, 7, 6]
    assert made.cells.tolist() == [0, 106, 107, 6]


def test_views_are_the_picture_and_four_shifted_with_edges_repeated():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)  # the value is the column

    def corner_and_middle(images):
        return images[:, 0, 4, 0] + 10 * images[:, 0, 4, 4]

    found = product.Views(corner_and_middle)(ramp)
    # columns 0, 0, 0, edge 0 and 3; columns 4, 4, 4, 1 and 7
    assert found.item() == pytest.approx(3 / 5 + 10 * 20 / 5)
