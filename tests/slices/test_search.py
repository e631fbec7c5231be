"""The half that tests has no say in what is tested, and a candidate is told by features, never by errors."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise.slices.halves import Halves, fingerprints, halves
from equipoise.slices.inputs import Given, given
from equipoise.slices.search import Searched, searched

NOTHING = {"columns": None, "together": (), "class_names": None, "flags": None}


@pytest.fixture(scope="module")
def scene(planted):
    return planted(1200)


@pytest.fixture(scope="module")
def sides(scene) -> Halves:
    wrong = (scene.logits >= 0) != scene.labels
    return halves(fingerprints(scene.features, scene.labels), 2 * scene.labels + wrong, scene.labels, (), 0)


def search(scene, sides: Halves, logits) -> list[Searched]:
    known: Given = given(scene.features, scene.labels, logits, **NOTHING)
    return searched(known, sides, [0, 1], 0)


def test_what_the_model_said_of_the_half_that_tests_plays_no_part(scene, sides):
    other = np.where(sides.testing, -scene.logits, scene.logits)
    for one, again in zip(search(scene, sides, scene.logits), search(scene, sides, other), strict=True):
        assert len(one.slices) == len(again.slices) > 0
        for own, same in zip(one.slices, again.slices, strict=True):
            assert (own.rows == same.rows).all()


def test_what_it_said_of_the_half_that_finds_does(scene, sides):
    other = np.where(sides.testing, scene.logits, -scene.logits)
    before, after = search(scene, sides, scene.logits), search(scene, sides, other)
    assert any(len(one.slices) != len(again.slices) for one, again in zip(before, after, strict=True))


def test_images_with_equal_features_are_in_one_slice_whatever_the_model_said(scene, sides):
    """So no slice can be the errors themselves."""
    features = np.repeat(scene.features[::2], 2, axis=0)
    labels = np.repeat(scene.labels[::2], 2)
    logits = scene.logits
    wrong = (logits >= 0) != labels
    cut = halves(fingerprints(features, labels), 2 * labels + wrong, labels, (), 0)
    for one in searched(given(features, labels, logits, **NOTHING), cut, [int(labels[0])], 0):
        for found in one.slices:
            inside = np.zeros(len(labels), bool)
            inside[one.rows[found.rows]] = True
            assert (inside[::2] == inside[1::2]).all()


def test_slices_of_a_class_share_no_image(scene, sides):
    for one in search(scene, sides, scene.logits):
        assert np.sum([found.rows for found in one.slices], axis=0).max() <= 1
