import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest

from equipoise import Groups
from equipoise.errors import InputError
from equipoise.groups import text_of


def test_names_are_sorted_and_missing_values_are_a_group():
    groups = Groups.from_column(["b", None, "a", float("nan"), "b"], attribute="race")
    assert groups.names == ("(missing)", "a", "b")
    assert groups.ids.tolist() == [2, 0, 1, 0, 2]
    assert groups.counts.tolist() == [2, 1, 2]
    assert groups.attribute == "race"


def test_names_do_not_depend_on_the_order_of_rows():
    values = ["x", "y", "z", "x"]
    assert Groups.from_column(values).names == Groups.from_column(values[::-1]).names


def test_numbers_become_names():
    assert Groups.from_column(np.array([1, 0, 1])).names == ("0", "1")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("01", "01"),
        ("1.0", "1.0"),
        ("", ""),
        ("NA", "NA"),
        (1, "1"),
        (1.0, "1"),
        (np.float32(2), "2"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (10**20, "100000000000000000000"),
        (True, "True"),
        (np.bool_(False), "False"),
        (b"\xc3\xbc", "ü"),
        (pa.scalar(3.0), "3"),
        (decimal.Decimal("1.0"), "1.0"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (None, None),
        (float("nan"), None),
        (np.float32("nan"), None),
        (pa.scalar(None, pa.string()), None),
        (np.ma.masked, None),
        (np.datetime64("NaT"), None),
    ],
)
def test_values_as_text(value, text):
    assert text_of(value) == text
    assert Groups.from_column([value]).known.tolist() == [text is not None]


def test_the_missing_values_of_data_frames():
    pandas = pytest.importorskip("pandas")
    values = pandas.array([1, None, 2], dtype="Int64")
    assert Groups.from_column(values).names == ("(missing)", "1", "2")
    kinds = pandas.Series(["a", None, "b"], dtype="category")
    assert Groups.from_column(kinds).known.tolist() == [True, False, True]
    assert text_of(pandas.NaT) is None


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(InputError, match="not UTF-8"):
        Groups.from_column([b"\xff"])


@pytest.mark.parametrize("value", ["(missing)", "eye (missing)", '"(missing)"', "(missing) × a", "missing"])
def test_a_value_that_reads_missing_is_a_value(value):
    groups = Groups.from_column([value, None, "(missing)", "a"], attribute="eye")
    assert groups.known.tolist() == [True, False, True, True]
    assert groups.names[groups.ids[1]] == "(missing)"
    assert len(set(groups.names)) == len({value, None, "(missing)", "a"})
    assert groups.take([0, 2, 3]).known.all()
    crossed = groups.cross(Groups.from_column(["x", "x", "x", None]))
    assert crossed.known.tolist() == [True, False, True, False]
    assert sum(name in crossed.unknown for name in range(len(crossed.names))) == 2


def test_values_that_hold_the_sign_of_crossings_stay_apart():
    one = Groups.from_column(["a × b", "a"])
    two = Groups.from_column(["c", "b × c"])
    assert len(set(one.cross(two).names)) == 2


@pytest.mark.parametrize("rows", [[], [0, 2], np.array([True, False, True]), np.array([], dtype=np.int64)])
def test_taken_rows_keep_all_names(rows):
    groups = Groups.from_column(["a", "b", "a"])
    taken = groups.take(rows)
    assert taken.names == ("a", "b")
    assert taken.ids.tolist() == groups.ids[np.asarray(rows, dtype=None if len(rows) else int)].tolist()


def test_crossing_counts_as_a_naive_loop():
    rng = np.random.default_rng(0)
    first = Groups.from_column(rng.choice(["a", "b", "c"], 60), attribute="race")
    second = Groups.from_column(rng.choice(["f", "m"], 60), attribute="gender")
    crossed = first.cross(second)
    assert crossed.attribute == "race × gender"
    for i, name in enumerate(crossed.names):
        left, right = name.split(" × ")
        rows = [
            r for r in range(60) if first.names[first.ids[r]] == left and second.names[second.ids[r]] == right
        ]
        assert np.flatnonzero(crossed.ids == i).tolist() == rows
    assert crossed.counts.sum() == 60


def test_no_rows():
    groups = Groups.from_column([])
    assert len(groups) == 0
    assert groups.names == ()


@pytest.mark.parametrize(
    ("ids", "names", "words"),
    [
        ([0, 5], ("a", "b"), "must be 0…1; got 5 at row 1"),
        ([0, -1], ("a", "b"), "got -1 at row 1"),
        ([0.5, 1.0], ("a", "b"), "whole numbers"),
        ([[0]], ("a",), "vector"),
        ([0], ("a", "a"), "unique"),
    ],
)
def test_wrong_ids_and_names_are_refused(ids, names, words):
    with pytest.raises(InputError, match=words):
        Groups(np.array(ids), names)


def test_crossing_needs_equal_lengths():
    with pytest.raises(InputError, match="as many rows; got 2 and 1"):
        Groups.from_column(["a", "b"]).cross(Groups.from_column(["a"]))


def test_rows_are_joined_by_the_names_of_their_groups():
    whole = ["b", None, "a", "c", "b"]
    for at in range(6):
        parts = [Groups.from_column(some, attribute="race") for some in (whole[:at], whole[at:])]
        joined, wanted = parts[0].joined(parts[1]), Groups.from_column(whole, attribute="race")
        assert (joined.names, joined.unknown) == (wanted.names, wanted.unknown)
        assert joined.ids.tolist() == wanted.ids.tolist()
    own = Groups(np.array([0, 1]), ("z", "a"), "race")
    assert own.joined(own).names == ("z", "a")
    assert own.joined(own).ids.tolist() == [0, 1, 0, 1]
    with pytest.raises(InputError, match="of one attribute; got 'race' and 'sex'"):
        own.joined(Groups(np.zeros(1, int), ("a",), "sex"))
    with pytest.raises(InputError, match="'a' of 'race' is a value on one side"):
        own.joined(Groups(np.zeros(1, int), ("a",), "race", frozenset({0})))
