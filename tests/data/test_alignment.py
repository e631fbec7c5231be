"""Classes told by name: what a test counts is what training meant."""

from dataclasses import replace

import numpy as np
import pytest

from equipoise.data import ImageTable, aligned, classes_of
from equipoise.errors import InputError


def made(labels, classes=None):
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] + np.zeros((1, 8, 8, 1), np.uint8)
    return replace(ImageTable.from_arrays(images, labels), classes=classes or {})


@pytest.mark.parametrize(
    ("training", "labels", "classes", "expected"),
    [
        ({"cat": 0, "dog": 1}, [0, 0], {"dog": 0}, [1, 1]),
        ({"cat": 0, "dog": 1}, [0, 1], {"dog": 0, "cat": 1}, [1, 0]),
        ({"ant": 0, "bee": 1, "cow": 2}, [1, 0], {"bee": 0, "cow": 1}, [2, 1]),
        ({"ant": 0, "bee": 1, "cow": 2}, [0], {"ant": 0, "emu": 1}, [0]),  # no image is an emu
        ({"1": 0, "2": 1, "3": 2}, [1, 1], {"1": 1}, [0, 0]),
        ({"0": 0, "1": 1, "2": 2, "3": 3}, [0, 1], {"2": 0, "3": 1}, [2, 3]),
        ({"ant": 0, "bee": 1, "cow": 2}, [2, 0], {}, [2, 0]),  # arrays count by their ids
        ({}, [1, 0], {"cat": 0, "dog": 1}, [1, 0]),
        ({"dog": 1}, [0, 1], {"cat": 0, "dog": 1}, [0, 1]),  # one class against all others
        ({"dog": 1}, [0, 1], {"dog": 0, "emu": 1}, [1, 0]),
        ({"dog": 1}, [0, 1], {"dog": 1}, [0, 1]),
        ({"cat": 0, "dog": 1}, [0, 1], {"dog": 1}, [0, 1]),
        ({"face": 1, "scene": 0}, [1, 0], {"faces": 1, "place": 0}, [1, 0]),
        ({"0": 0, "1": 1}, [1, 0], {"face": 1, "background": 0}, [1, 0]),
        ({"cat": 0, "dog": 1}, [1, 0], {"0": 0, "1": 1}, [1, 0]),  # numbers are ids
    ],
)
def test_ids_follow_names(training, labels, classes, expected):
    table = aligned(made(labels, classes), training)
    assert table.labels.tolist() == expected
    assert table.classes == (training or classes)
    assert (expected != labels) == any("numbered by name" in note for note in table.notes)


@pytest.mark.parametrize(
    ("training", "labels", "classes", "words"),
    [
        (
            {"cat": 0, "dog": 1},
            [0, 1, 1],
            {"dog": 0, "emu": 1},
            r"\(cat, dog\); got others as well: emu \(2 ",
        ),
        ({"cat": 0, "dog": 1}, [0, 1], {"face": 1, "scene": 0}, "scene .1 images., face"),
        ({"0": 0, "1": 1}, [0, 1], {"cat": 0, "dog": 1}, "cat .*dog"),
        ({"ant": 0, "bee": 1, "cow": 2}, [3], {}, "3 .1 images"),
        ({"ant": 0, "bee": 1, "cow": 2}, [0, 1], {"0": 0, "1": 1}, "got others as well: 0 .1 images., 1"),
        ({"1": 0, "2": 1, "3": 2}, [0, 1], {"0": 0, "1": 1}, "got others as well: 0 .1 images.[.]"),
        ({"a": 0, "b": 1}, [0] * 9, {"a": 0, "b": 0}, "got others as well: a, b"),
        ({"x": 0, "y": 1}, range(9), {f"class {i}": i for i in range(9)}, "and 4 more"),
    ],
)
def test_a_class_that_training_does_not_have_is_named(training, labels, classes, words):
    with pytest.raises(InputError, match=words):
        aligned(made(list(labels), classes), training)


def test_images_and_columns_stay_in_their_rows():
    table = made([1, 0, 1], {"bee": 0, "cow": 1})
    moved = aligned(table, {"ant": 0, "bee": 1, "cow": 2})
    np.testing.assert_array_equal(moved.digests, table.digests)
    assert aligned(moved, {"ant": 0, "bee": 1, "cow": 2}).labels.tolist() == [2, 1, 2]


def test_the_classes_of_a_table():
    assert classes_of(made([0, 1])) == {}
    assert classes_of(made([0, 1], {"dog": 1})) == {"dog": 1}
    assert classes_of(made([0, 2])) == {"0": 0, "1": 1, "2": 2}
    assert classes_of(made([0, 1], {"ant": 0, "bee": 1, "cow": 2})) == {"ant": 0, "bee": 1, "cow": 2}
