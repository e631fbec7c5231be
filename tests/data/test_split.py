"""Splits: exact shares, the same for the same seed, and never a leak."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.data import ImageTable, split
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
