"""Splits: exact shares, the same for the same seed, and never a leak."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.data import ImageTable, split
from equipoise.data.side import side_folder, side_named
from equipoise.data.split import Split, check_together, official_split
from equipoise.errors import InputError


def made(pictures, labels, attributes=None):
    """A table whose picture i is told by the number pictures[i]."""
    images = np.zeros((len(pictures), 4, 4, 1), np.uint8)
    images[:, 0, 0, 0] = np.asarray(pictures) % 256
    images[:, 0, 1, 0] = np.asarray(pictures) // 256
    return ImageTable.from_arrays(images, labels, attributes)


@pytest.fixture
def table(rng):
    labels = np.repeat([0, 1], 500)
    return made(np.arange(1000), labels, {"race": rng.choice(list("aab"), 1000), "row": np.arange(1000)})


def rows(sides):
    return [side.column("row") for side in sides]


def test_shares_are_exact_in_every_stratum(table):
    sides = split(table, stratify=["race"])
    assert [len(side) for side in sides] == [700, 100, 200]
    assert sorted(itertools.chain(*rows(sides))) == list(range(1000))
    assert all(side == sorted(side) for side in rows(sides))
    for label in (0, 1):
        for race in "ab":
            size = sum(np.asarray(table.column("race"))[table.labels == label] == race)
            for side, share in zip(sides, (0.7, 0.1, 0.2), strict=True):
                got = sum(np.asarray(side.column("race"))[side.labels == label] == race)
                assert abs(got - share * size) < 2


def test_the_seed_decides(table):
    assert rows(split(table)) == rows(split(table))
    assert rows(split(table)) != rows(split(table, seed=1))


def test_the_order_of_rows_does_not_matter(table, rng):
    shuffled = split(table.take(rng.permutation(1000)), stratify=["race"])
    assert [sorted(side) for side in rows(shuffled)] == rows(split(table, stratify=["race"]))


def test_tiny_strata_still_add_up():
    table = made(np.arange(100), np.zeros(100), {"one": [str(i) for i in range(100)], "row": range(100)})
    assert [len(side) for side in split(table, stratify=["one"])] == [70, 10, 20]


@pytest.mark.parametrize("fractions", [(1, 0, 0), (0.8, 0.2, 0), (0, 0, 1)])
def test_a_side_without_share_is_empty(table, fractions):
    assert [len(side) for side in split(table, fractions=fractions)] == [1000 * share for share in fractions]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_nothing_leaks(data):
    n = data.draw(st.integers(1, 60))
    pictures = data.draw(st.lists(st.integers(0, 25), min_size=n, max_size=n))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    people = data.draw(st.lists(st.none() | st.integers(0, 25), min_size=n, max_size=n))
    use = data.draw(st.booleans())
    table = made(pictures, labels, {"person": people, "row": range(n)})
    sides = split(table, seed=data.draw(st.integers(0, 9)), together="person" if use else None)
    assert sorted(itertools.chain(*rows(sides))) == list(range(n))
    for index, one in enumerate(sides):
        for two in sides[index + 1 :]:
            assert not set(one.digests.tolist()) & set(two.digests.tolist())
            if use:
                assert not (set(one.column("person")) & set(two.column("person"))) - {None}


def test_together_follows_chains():
    # picture 0 links a and b, picture 1 links b and c: all one unit
    table = made([0, 0, 1, 1, 2, 3], [1] * 6, {"person": ["a", "b", "b", "c", "c", "d"], "row": range(6)})
    for seed in range(8):
        sides = rows(split(table, seed=seed, fractions=(0.5, 0, 0.5), together="person"))
        assert {0, 1, 2, 3, 4} in [set(side) - {5} for side in sides]


def test_people_are_shared_out_fairly(rng):
    table = made(np.arange(2000), np.zeros(2000), {"person": rng.integers(0, 300, 2000)})
    got = np.array([len(side) for side in split(table, together="person")]) / 2000
    np.testing.assert_allclose(got, [0.7, 0.1, 0.2], atol=0.02)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fractions": (0.5, 0.5)}, "three shares"),
        ({"fractions": (0.5, 0.4, 0.2)}, "sum to 1"),
        ({"fractions": (1.2, -0.2, 0)}, "≥ 0"),
        ({"stratify": "race"}, r'\["race"\]'),
        ({"stratify": ["age"]}, "'age'"),
        ({"together": "age"}, "'age'"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_requests_are_refused(table, options, words):
    with pytest.raises(InputError, match=words):
        split(table, **options)


def test_an_empty_table_is_refused(table):
    with pytest.raises(InputError, match="empty table"):
        split(table.take([]))


@pytest.mark.parametrize(
    "values",
    [
        ["train", "validation", "test"],
        ["Training", "VAL", "testing"],
        ["train", "dev", "eval"],
        ["0", "1", "2"],
        [0, 1, 2],
        [0.0, 1.0, 2.0],
        ["train ", "valid", "evaluation"],
    ],
)
def test_an_official_split_is_taken_as_it_is(values):
    column = [values[i] for i in (0, 2, 1, 0, 2, 0)]
    sides = official_split(made(np.arange(6), [0, 1] * 3, {"part": column, "row": range(6)}), "part")
    assert rows(sides) == [[0, 3, 5], [2], [1, 4]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["train", "test", "extra"], r"got 'extra' in 1 of 3 rows.*Write one of these"),
        (["train", "test", None], "got no value in 1 of 3"),
        (["train", "test", 3], "got '3'"),
        ([True, False, True], "got 'True', 'False' in 3"),
        (["train", "train", "val"], r"got none for test \(its values are train, val\)"),
        (["test", "2", "1"], "got none for train "),
        ([1, 1, 1], "got none for train and test"),
        (["a", "b", "c"], "train or training or 0; validation or valid or val or dev or 1; test"),
    ],
)
def test_columns_that_are_no_split(values, words):
    values = [None if value is None else str(value) for value in values]
    with pytest.raises(InputError, match=words):
        official_split(made(np.arange(3), [0, 1, 1], {"part": values}), "part")
    with pytest.raises(InputError, match="'side'"):
        official_split(made(np.arange(3), [0, 1, 1], {"part": values}), "side")


def test_subjects_on_two_sides_are_told():
    table = made(np.arange(6), [0, 1] * 3, {"who": ["1", "01", "2", "3", "2", None]})
    sides = Split(table.take([0, 1, 5]), table.take([2]), table.take([3, 4]))
    with pytest.raises(InputError, match="got 1 on two, for example 2 in validation and test"):
        check_together(sides, "who")
    check_together(Split(table.take([0, 2, 4, 5]), table.take([]), table.take([1, 3])), "who")  # 1 is not 01
    alone = Split(table.take([5]), table.take([]), table.take([5, 0]))
    check_together(alone, "who")  # a subject that is not known is nobody


def test_classes_stay_balanced_where_subjects_stay_together(rng):
    people = np.repeat(np.arange(300), 8)
    labels = np.repeat(rng.random(300) < 0.3, 8).astype(int)
    table = made(np.arange(2400), labels, {"who": [f"{p:03}" for p in people]})
    for side, share in zip(split(table, together="who", seed=3), (0.7, 0.1, 0.2), strict=True):
        assert abs(len(side) / 2400 - share) < 0.02
        assert abs(side.labels.mean() - labels.mean()) < 0.03


def test_what_folders_and_values_of_a_split_are_called():
    sides = {
        "train": "train",
        "Training": "train",
        "train_set": "train",
        "training-data": "train",
        "train2017": "train",
        "train-00000-of-00002": "train",
        "val_images": "validation",
        "dev": "validation",
        "TEST": "test",
        "evaluation": "test",
    }
    assert {name: side_folder(name) for name in sides} == sides
    for name in (
        "trainer",
        "testament",
        "value",
        "devices",
        "constraint",
        "train station",
        "0",
        "my-train",
        "",
    ):
        assert side_folder(name) is None
    assert side_named("train_set") is None  # a value says it plainly


def test_every_class_is_learned_and_none_is_lost(rng):
    counts = [1, 2, 3, 10, 60, 1, 400]
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    table = made(
        np.arange(len(labels)), labels, {"row": range(len(labels)), "one": list(map(str, range(len(labels))))}
    )
    for seed in range(5):
        for stratify in ([], ["one"]):
            sides = split(table, seed=seed, stratify=stratify)
            assert sorted(itertools.chain(*rows(sides))) == list(range(len(labels)))
            assert set(sides.train.labels) == set(range(len(counts)))  # those of one image too
            assert abs(len(sides.test) - 0.2 * len(labels)) < 4
    got = np.bincount(sides.test.labels, minlength=7) / counts
    told = sides.test.notes[-1]
    assert all(
        (f"{name} ({n})" in told) == (share == 0)
        for name, n, share in zip("0123456", counts, got, strict=True)
    )
    for seed in range(5):
        by_class = np.bincount(split(table, seed=seed).test.labels, minlength=7)
        assert (np.abs(by_class - 0.2 * np.asarray(counts)) < 2).all()


def test_classes_of_one_image_are_named_as_untested():
    images = np.arange(41, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    table = ImageTable.from_arrays(images, [0] * 20 + [1] * 20 + [2])
    sides = split(replace(table, classes={"a": 0, "b": 1, "<i>c": 2}))
    assert [side.notes[-1] for side in sides] == [
        "1 of 3 classes have too few images for the test side; nothing is measured of them: <i>c (1)"
    ] * 3
    assert split(table, fractions=(0.8, 0.2, 0)).train.notes == ()  # nothing is to be tested
    assert len(split(table, fractions=(0, 0, 1)).train) == 0


def test_a_class_moves_with_its_equal_pictures():
    table = made([7, 7, *range(20), *range(30, 50)], [2, 0, *[0] * 20, *[1] * 20])
    for seed in range(8):
        sides = split(table, seed=seed, fractions=(0.5, 0, 0.5))
        assert 2 in sides.train.labels
        assert not set(sides.train.digests) & set(sides.test.digests)


def test_splits_of_two_classes_stay_as_they_were():
    sides = split(made(np.arange(31), [1, *[0] * 30], {"row": range(31)}), seed=3)
    assert rows(sides)[1:] == [[6, 22, 27], [3, 5, 10, 12, 18, 30]]
    sides = split(made(np.arange(31), [0, *[1] * 30]), fractions=(0.4, 0, 0.6))
    assert 0 in sides.test.labels  # a single image goes where the shares have it
    assert 2 in split(made(np.arange(31), [2, *[0] * 15, *[1] * 15]), fractions=(0.4, 0, 0.6)).train.labels
    assert all(side.notes == () for side in sides)
