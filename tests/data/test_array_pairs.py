"""Arrays in memory: images, labels, columns."""

import numpy as np
import pytest
import torch

from equipoise.data import read
from equipoise.errors import DataError, InputError

IMAGES = np.arange(4, dtype=np.uint8)[:, None, None, None] + np.zeros((4, 6, 9, 3), np.uint8)


def test_labels_of_any_kind():
    for labels, ids in (
        ([3, 7, 42, 3], [0, 1, 2, 0]),
        (np.array([[1], [0], [1], [0]]), [1, 0, 1, 0]),
        (torch.tensor([True, False, True, False]), [1, 0, 1, 0]),
        (["a", "b", "a", "c"], [0, 1, 0, 2]),
        ([-1, 1, 1, -1], [0, 1, 1, 0]),
    ):
        assert read((IMAGES, labels), image_size=6).labels.tolist() == ids
    assert read((IMAGES,), label=0).labels.tolist() == [0] * 4


def test_groups_choose_columns():
    columns = {"site": list("abab"), "age": [1, 2, 3, None]}
    assert read((IMAGES, [0, 1, 0, 1], columns)).attributes.column_names == ["site", "age", "path"]
    assert read((IMAGES, [0, 1, 0, 1], columns), groups=["age"]).attributes.column_names == ["age", "path"]
    table = read({"images": IMAGES, "y": [0, 1, 0, 1], **columns}, groups=["site"])
    assert table.column("site") == list("abab")
    assert read((IMAGES, [0, 1, 0, 1], *columns.values()), groups=["site", "age"]).column("age") == [
        1,
        2,
        3,
        None,
    ]
    by_site = read({"images": IMAGES, **columns}, label_column="site")
    assert by_site.classes == {"a": 0, "b": 1}
    by_site = read({"images": IMAGES, **columns}, label_column="site", groups=["age"])
    assert by_site.classes == {"a": 0, "b": 1}
    assert by_site.attributes.column_names == ["age", "path"]


@pytest.mark.parametrize(
    ("given", "options", "error", "words"),
    [
        ((IMAGES, [0, 1]), {}, InputError, "4 values, one an image; got .'label': 2"),
        (
            (IMAGES, np.eye(4)),
            {},
            InputError,
            r"one value an image in 'label', shape \(n,\); got \(4, 4\).*argmax",
        ),
        ((IMAGES, [0, 1, 0, 1], list("abab")), {}, InputError, "a name for each of the 1 columns"),
        ((IMAGES, [0, 1, 0, 1], {"a": list("abab")}), {"groups": ["b"]}, InputError, "'b', .*"),
        ((IMAGES, [0, 1, 0, 1], {"a": list("aba")}), {}, InputError, "one an image; got .'a': 3"),
        ({"pixels": IMAGES}, {}, InputError, "by one of the names image, images.*got pixels"),
        ({"images": IMAGES}, {}, DataError, "label=1"),
        ((IMAGES[0, 0], [0] * 9), {}, InputError, r"got shape \(9, 3\)"),
        ((IMAGES[:0], []), {}, InputError, r"got shape \(0, 6, 9, 3\)"),
        ((), {}, InputError, "got NoneType"),
        ((IMAGES.astype(int), [0, 1, 0, 1]), {}, InputError, "got int64"),
        ((IMAGES, [0, None, 1, 1]), {}, DataError, "none in row 1"),
        ((np.zeros((2, 3, 8, 3), np.uint8), [0, 1]), {}, InputError, 'Say layout="NHWC"'),
        (([np.zeros((8, 8)), "a.png"], [0, 1]), {}, InputError, "a picture in row 1.*got str"),
    ],
)
def test_arrays_that_do_not_fit(given, options, error, words):
    with pytest.raises(error, match=words):
        read(given, **options)


def test_pictures_of_any_size_in_a_sequence():
    images = [np.full(shape, 7, np.uint8) for shape in ((8, 8), (9, 20, 3), (3, 30, 12), (5, 5, 1))]
    table = read((images, [0, 1, 0, 1]), image_size=8)
    assert (table.batch(range(4)) == 7).all()
    layout = read((np.zeros((2, 3, 8, 3), np.uint8), [0, 1]), layout="NCHW", image_size=4)
    assert len(layout) == 2
