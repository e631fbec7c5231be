"""Folds: classes even, units whole."""

import numpy as np

from equipoise.fix.checks import units_of
from equipoise.fix.folds import folds, linked


def test_classes_are_shared_out_evenly_and_by_the_seed():
    labels = np.repeat([0, 1, 2], [40, 8, 5])
    place = folds(labels, np.arange(53), 4, seed=1)
    counts = np.array([[np.sum((labels == c) & (place == f)) for f in range(4)] for c in range(3)])
    assert counts.sum() == 53
    assert np.ptp(counts, axis=1).max() <= 1
    assert counts.min() >= 1
    assert (place == folds(labels, np.arange(53), 4, seed=1)).all()
    assert (place != folds(labels, np.arange(53), 4, seed=2)).any()


def test_rows_of_a_unit_are_on_one_fold_and_folds_stay_even():
    chance = np.random.default_rng(0)
    units = np.sort(chance.integers(0, 30, 200))
    units = np.unique(units, return_inverse=True)[1]
    labels = units % 2
    place = folds(labels, units, 4, seed=0)
    assert all(len(np.unique(place[units == u])) == 1 for u in np.unique(units))
    assert np.ptp(np.bincount(place)) < 20


def test_links_go_through_contents_and_subjects():
    contents = np.array([7, 7, 8, 9, 10, 10])
    subjects = np.array([-1, 3, 3, -1, -1, 5])
    found = linked(6, [contents, subjects])
    assert found[0] == found[1] == found[2]
    assert found[4] == found[5]
    assert len({found[0], found[3], found[4]}) == 3
    assert len(np.unique(linked(4, []))) == 4
    same = units_of(6, [contents, [None, "anna", "anna", None, None, "x"], None])
    assert (same == found).all()
