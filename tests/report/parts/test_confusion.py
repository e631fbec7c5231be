"""The matrix of labels and predictions: whole, in the order of classes, and only where a page has room."""

import numpy as np

from equipoise.fairness import evaluate_classes
from equipoise.report.parts.confusion import MATRIX_CLASSES, called_matrix, evaluated_matrix, matrix


def test_counts_and_shares_are_those_of_the_images():
    chance = np.random.default_rng(0)
    labels = np.concatenate([np.repeat(np.arange(9), 20), chance.integers(0, 9, 300)])
    calls = np.where(chance.random(480) < 0.5, labels, chance.integers(0, 9, 480))
    names = [f"kind {i}" for i in range(9)]
    found = evaluated_matrix("plain", evaluate_classes(calls, labels, classes=names))
    assert not found.untold
    for i, row in enumerate(found.rows):
        mine = calls[labels == i]
        assert row.label == names[i]
        assert [int(cell.count) for cell in row.cells] == np.bincount(mine, minlength=9).tolist()
        assert [cell.shade for cell in row.cells] == [round((mine == j).mean(), 3) for j in range(9)]
        assert [j for j, cell in enumerate(row.cells) if cell.right] == [i]


def test_of_too_many_classes_and_of_one_there_is_none():
    assert matrix("plain", {"a": 3}, {}) is None
    assert matrix("plain", {str(i): 3 for i in range(MATRIX_CLASSES + 1)}, {}) is None
    assert evaluated_matrix("plain", None) is None


def test_a_class_without_images_has_no_shares():
    row = matrix("plain", {"a": 0, "b": 2}, {"b": {"taken_for": {"a": 1}, "other": 0}}).rows[0]
    assert [cell.share for cell in row.cells] == ["–", "–"]


def test_a_record_that_tells_a_part_of_the_mistakes_says_so():
    assert matrix("plain", {"a": 4, "b": 2}, {"a": {"taken_for": {"b": 1}, "other": 2}}).untold


def test_counts_by_label_and_prediction_are_a_matrix():
    (found,) = called_matrix("m", {"a": {"a": 5, "b": 2}, "b": {}, "c": {"a": 1, "c": 3}})
    assert found.classes == ["a", "b", "c"]
    assert [[cell.count for cell in row.cells] for row in found.rows] == [
        ["5", "2", "0"],
        ["0"] * 3,
        ["1", "0", "3"],
    ]
    assert [row.images for row in found.rows] == ["7", "0", "4"]
    assert not found.untold
    assert called_matrix("m", None) == []
    assert called_matrix("m", {str(i): {} for i in range(MATRIX_CLASSES + 1)}) == []
