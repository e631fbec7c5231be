"""Hidden groups before and after a fix: what was planted is found, counted on the half that tests, told by columns."""

import numpy as np
import pytest

from equipoise.data import ImageTable
from equipoise.run.fix.mended import mended_slices


@pytest.fixture
def scene():
    """600 images of two classes; 60 of the first lie apart from the rest and are called the other class."""
    chance = np.random.default_rng(0)
    labels = np.repeat([0, 1], 300)
    hidden = np.arange(600) < 60
    features = chance.normal(0, 1, (600, 6)).astype(np.float32)
    features[hidden, 0] += 12
    images = chance.integers(0, 255, (600, 4, 4, 3)).astype(np.uint8)
    light = np.where(hidden, "backlit", "even")
    table = ImageTable.from_arrays(images, labels, {"light": light, "side": np.arange(600) % 2})
    before = np.where(labels == 1, 3.0, -3.0).astype(np.float32)
    before[hidden] = 2.0
    return features, table, before, hidden


def test_a_planted_group_is_found_mended_and_told_by_a_column_that_finding_did_not_see(scene):
    features, table, before, hidden = scene
    after = before.copy()
    after[hidden & (np.arange(600) % 3 > 0)] = -2.0  # two of three are right now
    found = mended_slices(features, table, before, after, attributes=["light"], seed=0)
    assert found.notes == []
    (one,) = found.slices
    assert one.label == table.class_names[0]
    assert 20 <= one.images <= 40  # those of the half that tests
    assert one.before.value == 1
    assert one.after.value == pytest.approx(1 / 3, abs=0.2)
    assert one.change.value == pytest.approx(one.after.value - one.before.value)
    assert one.change.high < 0
    (trait,) = one.traits
    assert (trait.column, trait.value, trait.share.value, trait.rest.value) == ("light", "backlit", 1.0, 0.0)


def test_a_group_that_becomes_worse_has_a_change_above_0(scene):
    features, table, before, hidden = scene
    before = before.copy()
    before[hidden & (np.arange(600) % 3 > 0)] = -2.0
    after = np.where(hidden, 2.0, before).astype(np.float32)
    (one,) = mended_slices(features, table, before, after, seed=0).slices
    assert one.change.low > 0
    assert one.traits == []


def test_why_there_are_none_is_told(scene):
    features, table, _, _ = scene
    right = np.where(table.labels == 1, 3.0, -3.0).astype(np.float32)
    none = mended_slices(features, table, right, right, seed=0)
    assert none.slices == []
    assert "No slice was found" in none.notes[0]
    few = np.arange(30)
    short = mended_slices(features[few], table.take(few), right[few], right[few], seed=0)
    assert short.slices == []
    assert "were not sought: Expected" in short.notes[0]
