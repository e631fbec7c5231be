"""Merit: the worst cell, small cells, and its doubt."""

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.fix import group_thresholds
from equipoise.fix.logit_adjustment import shifts_of
from equipoise.fix.merit import doubt_of_difference, merged, merit, worst_cell


def test_the_worst_cell_and_their_mean():
    right = np.array([True, True, False, True, False, False])
    first, second = np.array([0, 0, 1, 1, 1, -1]), np.array([0, 0, 0, 0, 2, 2])
    assert worst_cell(right, first) == pytest.approx(1 / 3)
    assert merit(right, [first, second]) == pytest.approx((1 / 3 + 0) / 2)
    labels = np.array([0, 0, 0, 0, 1, 1])
    assert merit(right, [first, second], labels) == pytest.approx((1 / 6 + 2.5 * (0.75 + 0) / 2) / 3.5)
    assert worst_cell(right, first, np.array([1, 1, 0, 2, 0, 5])) == 1
    assert np.isnan(worst_cell(right, np.full(6, -1)))


def test_small_cells_are_one_or_none():
    cells = np.repeat([0, 1, 2, 3], [20, 6, 5, 10])
    found = merged(cells)
    assert len(set(found[20:31])) == 1
    assert found[20] not in (0, 1, 2, 3)
    assert (found[31:] == 3).all()
    alone = merged(np.repeat([0, 1], [20, 6]))
    assert (alone[20:] == -1).all()
    assert (alone[:20] == 0).all()


def test_doubt_is_that_of_two_shares():
    chance = np.random.default_rng(0)
    a, b = chance.random(2000) < 0.7, chance.random(2000) < 0.5
    doubt = doubt_of_difference([a], [b], [[np.zeros(2000, int)]], None, seed=0)
    assert doubt == pytest.approx(np.sqrt((0.7 * 0.3 + 0.25) / 2000), rel=0.2)
    assert doubt_of_difference([a], [a], [[np.zeros(2000, int)]], None, seed=0) == 0


def test_shifts_make_recall_alike():
    chance = np.random.default_rng(0)
    labels = chance.choice(3, 3000, p=[0.6, 0.3, 0.1])
    logits = 2 * np.eye(3)[labels] + chance.normal(size=(3000, 3)) + [2.0, 0, -1]
    before = [np.mean(logits[labels == c].argmax(1) == c) for c in range(3)]
    moved = logits + shifts_of(logits, labels, 3)
    after = [np.mean(moved[labels == c].argmax(1) == c) for c in range(3)]
    assert min(before) < 0.5
    assert min(after) > 0.75
    assert np.ptp(after) < 0.03


def test_thresholds_a_group_are_of_that_group():
    chance = np.random.default_rng(0)
    groups, labels = chance.integers(0, 2, 4000), chance.integers(0, 2, 4000)
    logits = 2 * (2 * labels - 1) + chance.normal(size=4000) + 3 * groups
    shifts = group_thresholds(logits, labels, groups)
    moved = logits + (shifts[:, 1] - shifts[:, 0])[groups]
    cells = [
        np.mean((moved > 0) == labels, where=(groups == g) & (labels == c)) for g in (0, 1) for c in (0, 1)
    ]
    assert shifts.shape == (2, 2)
    assert min(cells) > 0.95
    assert np.isclose(shifts[1, 1] - shifts[1, 0], -3, atol=0.4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"groups": [0, 0, 1, 1]}, "none of class 0 in group 1"),
        ({"groups": [0, 0, 0]}, "groups of whole numbers"),
        ({"labels": [0, 1, 2, 1]}, "Labels must be 0…1"),
        ({"logits": [0.0, 1.0]}, "logits of 2 classes"),
    ],
)
def test_errors(change, words):
    given = {"logits": [0.0, 1.0, 0.0, 1.0], "labels": [0, 1, 1, 1], "groups": [0, 0, 0, 0], **change}
    with pytest.raises(InputError, match=words):
        group_thresholds(**given)
