"""Other images belong to slices by the rules that found these; what a model says of them plays no part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.slices import find


@pytest.fixture(scope="module")
def scene(planted):
    return planted(1200)


@pytest.fixture(scope="module")
def columns(scene):
    chance = np.random.default_rng(3)
    return {
        "site": np.where(scene.hidden == 0, "x", chance.choice(["x", "y", "z"], len(scene.labels))).tolist()
    }


def test_the_images_themselves_are_where_they_were(planted):
    for seed in range(3):  # merged, cut in parts, freed of others: whatever was done is done again
        scene = planted(1500, groups=4, seed=seed, wrong=0.15)
        found = find(scene.features, scene.labels, scene.logits)
        assert len(found.slices) >= 2
        assert (
            found.assign(scene.features, scene.labels) == found.ids
        ).mean() > 0.998  # at borders it may round


def test_with_columns_too(scene, columns):
    found = find(scene.features, scene.labels, scene.logits, columns=columns)
    assert np.array_equal(found.assign(scene.features, scene.labels, columns=columns), found.ids)
    elsewhere = {"site": ["w"] * len(scene.labels)}
    told = [i for i, one in enumerate(found.slices) if one.told]
    assert not np.isin(found.assign(scene.features, scene.labels, columns=elsewhere), told).any()


def test_fresh_images_of_a_hidden_group_are_put_into_its_slice(planted, scene):
    found = find(scene.features, scene.labels, scene.logits)
    fresh = planted(1200, seed=9)
    ids = found.assign(fresh.features, fresh.labels)
    for group in (0, 1):
        there = np.bincount(ids[(fresh.hidden == group) & (ids >= 0)], minlength=len(found.slices))
        inside = ids == there.argmax()
        assert (fresh.hidden[inside] == group).mean() > 0.9
        assert (ids[fresh.hidden == group] == there.argmax()).mean() > 0.8


def test_images_of_a_class_without_slices_are_in_none(planted):
    scene = planted(1200, groups=1, wrong=0.0)
    found = find(scene.features, scene.labels, scene.logits)
    assert {one.class_name for one in found.slices} == {"class 0"}
    ids = found.assign(scene.features, np.ones(len(scene.labels), int))
    assert (ids == -1).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": np.zeros((5, 3), np.float32)}, "Expected features of 30 numbers an image"),
        ({"labels": np.zeros(4, int)}, "a class id for each of 5 rows"),
        (
            {"columns": None},
            "Expected the column 'site', in which slices were sought, with 5 values; got none",
        ),
        ({"columns": {"site": ["x"]}}, "got 1 values"),
        ({"features": np.full((5, 30), np.nan, np.float32)}, "must be finite"),
    ],
)
def test_what_does_not_fit_is_refused(scene, columns, change, words):
    found = find(scene.features, scene.labels, scene.logits, columns=columns)
    asked = {
        "features": scene.features[:5],
        "labels": scene.labels[:5],
        "columns": {"site": ["x"] * 5},
    } | change
    with pytest.raises(InputError, match=words):
        found.assign(asked["features"], asked["labels"], columns=asked["columns"])


def test_slices_without_rules_say_so(scene):
    found = replace(find(scene.features, scene.labels, scene.logits), membership=None)
    with pytest.raises(InputError, match="slices without rules"):
        found.assign(scene.features, scene.labels)
