"""Thresholds of the target's classifiers are chosen without test data."""

from types import SimpleNamespace

import numpy as np
import pytest

from equipoise.data import ImageTable
from equipoise.data.split import Split
from equipoise.run.augment import target_models
from equipoise.run.augment.protected import Protected
from equipoise.run.augment.target_models import TrainedModel, judged_models

N = 80


@pytest.fixture
def scene(monkeypatch):
    """Validation logits are 0 … 79 with the upper quarter positive, test logits lie 1000 above; two groups by turns."""
    place = np.arange(N)

    def table(first):
        return ImageTable.from_arrays(np.full((N, 2, 2, 3), first, np.uint8), (place >= 60).astype(np.int64))

    tables = Split(train=table(0), validation=table(1), test=table(2))
    logits = {id(tables.validation): place.astype(float), id(tables.test): 1000.0 + place}
    monkeypatch.setattr(target_models, "logits_of", lambda model, images, device: logits[id(images)])
    monkeypatch.setattr(target_models, "FEW", 5)
    sides = dict.fromkeys(("train", "validation", "test"), place % 2)
    models = {"plain": TrainedModel("plain", "plain", "", SimpleNamespace(model=None))}
    return models, tables, Protected("light", ("red", "blue"), "annotated", sides)


def test_a_threshold_makes_as_many_validation_images_positive_as_there_are(scene):
    models, tables, one = scene
    found, notes = judged_models(models, tables, [one], "cpu")
    assert notes == []
    plain = found["plain"].judged
    assert 59 < plain.threshold <= 60
    assert (plain.scores == 1000 + np.arange(N)).all()


def test_by_group_each_test_score_is_less_the_threshold_of_its_own_group(scene):
    models, tables, one = scene
    moved = judged_models(models, tables, [one], "cpu")[0]["thresholds"].judged
    limits = 1000 + np.arange(N) - moved.scores
    assert moved.threshold == 0
    for group in (0, 1):
        (limit,) = np.unique(limits[np.arange(N) % 2 == group])
        assert 58 < limit <= 61
    assert limits[0] != limits[1]


def test_too_few_of_a_group_or_sides_that_were_discovered_leave_it_out(scene, monkeypatch):
    models, tables, one = scene
    monkeypatch.setattr(target_models, "FEW", 11)
    found, (note,) = judged_models(models, tables, [one], "cpu")
    assert list(found) == ["plain"]
    assert "needs 11 validation images with and without the target, and has 10 and 30" in note
    discovered = Protected("discovered", one.sides, "discovered", one.ids, annotated=False)
    assert list(judged_models(models, tables, [discovered], "cpu")[0]) == ["plain"]
