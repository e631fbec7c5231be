"""Columns: names, types of other tables, and values as text."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from equipoise.data import ImageTable
from equipoise.data.columns import as_text, columns_of, joined, named
from equipoise.errors import DataError, InputError


def test_names():
    assert named(["a", "b c"], "t") == (["a", "b c"], ())
    assert named([" a", "\ufeffb", ""], "t")[0] == ["a", "b", ""]
    for twice in (["a", "a"], ["a", " a "], ["x", "\ufeffx"]):
        with pytest.raises(DataError, match=r"in t; got '[ax]' more than once"):
            named(twice, "t")


@pytest.mark.parametrize(
    "values",
    [
        np.array([3, 1, 2], ">i4"),
        np.array([3, 1, 2], ">i8"),
        np.array([3.0, 1.0, 2.0], ">f8"),
        np.array([3, 1, 2], "<u2"),
        np.array(["3", "1", "2"], ">U1"),
        np.array([b"3", b"1", b"2"]),
    ],
)
def test_columns_of_any_byte_order(values):
    images = np.zeros((3, 8, 8, 3), np.uint8)
    table = ImageTable.from_arrays(images, np.array([0, 1, 1], ">i2"), {"site": values})
    assert table.labels.tolist() == [0, 1, 1]
    assert table.groups("site").names == ("1", "2", "3")


def test_big_endian_images():
    images = np.linspace(0, 1, 3 * 8 * 8 * 3).reshape(3, 8, 8, 3)
    same = ImageTable.from_arrays(images.astype(">f4"), [0, 1, 1])
    assert same.fingerprint == ImageTable.from_arrays(images.astype("<f4"), [0, 1, 1]).fingerprint


def test_numbers_that_are_too_large_are_text():
    table = columns_of({"subject": [10**19, 10**19 + 1]}, 2)
    assert table.to_pydict() == {"subject": ["10000000000000000000", "10000000000000000001"]}


def test_columns_that_cannot_be_attributes():
    with pytest.raises(InputError, match="different names"):
        columns_of({"1": [1], 1: [2]}, 1)
    with pytest.raises(InputError, match="different names"):
        columns_of(pa.table([[1], [2]], names=["a", "a"]), 1)
    with pytest.raises(InputError, match="one type"):
        columns_of({"a": np.array([1 + 2j])}, 1)
    with pytest.raises(InputError, match="2 masked"):
        ImageTable.from_arrays(np.zeros((3, 8, 8, 3), np.uint8), np.ma.array([0, 1, 1], mask=[1, 0, 1]))


def test_typed_values_as_text():
    for values, texts in (
        (pa.array([1.0, None, 2.5]), ["1", None, "2.5"]),
        (pa.array([True, False]), ["True", "False"]),
        (pa.array([2**63], pa.uint64()), ["9223372036854775808"]),
        (pa.array([b"a", b"\xff"]), ["a", "b'\\xff'"]),
        (pa.array(["01", None], pa.large_string()), ["01", None]),
        (pa.array([None, None]), [None, None]),
    ):
        assert as_text(pa.chunked_array([values])).to_pylist() == texts


@pytest.mark.parametrize(
    ("one", "two", "values"),
    [
        (pa.array([1, 2]), pa.array([1.0, None]), ["1", "2", "1", None]),
        (pa.array(["1", "2"]), pa.array([1, None]), ["1", "2", "1", None]),
        (pa.array([True, False]), pa.array(["True", None]), ["True", "False", "True", None]),
        (pa.array([2**63], pa.uint64()), pa.array([-1]), ["9223372036854775808", "-1"]),
        (pa.array(["a"]).dictionary_encode(), pa.array(["a"]), ["a", "a"]),
    ],
)
def test_columns_of_two_tables_mean_the_same(one, two, values):
    tables = [pa.table({"c": one}), pa.table({"c": two})]
    assert joined(tables).column("c").to_pylist() == values


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([datetime.date(2020, 1, 31), None]), ["2020-01-31", None]),
        (pa.array([datetime.datetime(2020, 1, 31, 12)]), ["2020-01-31 12:00:00"]),
        (pa.array([1], pa.timestamp("ns")), ["1970-01-01 00:00:00.000000001"]),  # finer than Python's
        (pa.array([10**15], pa.timestamp("s")), None),  # after Python's last year
        (pa.array([90], pa.duration("s")), ["90"]),
        (pa.array([datetime.time(3, 4)]), ["03:04:00"]),
    ],
)
def test_dates_are_text(values, texts):
    images = np.zeros((len(values), 4, 4, 3), np.uint8)
    table = ImageTable.from_arrays(images, [1] * len(values), pa.table({"day": values}))
    assert texts is None or table.column("day") == texts
    assert len(table.groups("day")) == len(values)


def test_a_file_of_separators_has_too_many_columns():
    with pytest.raises(DataError, match=r"at most 20,000 columns in t; got 20,001"):
        named([str(i) for i in range(20_001)], "t")
