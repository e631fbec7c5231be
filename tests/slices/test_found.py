"""The column of slices, as it is written and as groups."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from equipoise.errors import InputError
from equipoise.rate import Rate
from equipoise.slices import Found, Slice


def found() -> Found:
    rate = Rate(0.5, 0.4, 0.6, 30)
    one = Slice(
        "cat #1",
        "cat",
        2,
        rate,
        rate,
        rate,
        rate,
        0.01,
        {"dog": 3},
        (0,),
        (),
        rate,
        "hard",
        None,
        ("clusters",),
    )
    return Found((one,), np.array([0, -1, 0]), np.array([True, False, False]), np.ones(3, bool), (), 0.1)


def test_the_column_has_a_name_or_nothing():
    assert found().column() == ["cat #1", None, "cat #1"]
    groups = found().groups()
    assert groups.attribute == "slice"
    assert groups.known.tolist() == [True, False, True]


def test_written_without_places_of_the_machine(tmp_path):
    path = tmp_path / "slices.parquet"
    found().write(path, ["/somewhere/secret/1.jpg", "b/2.jpg", None])
    assert pq.read_table(path).to_pydict() == {
        "path": ["…/1.jpg", "b/2.jpg", None],
        "slice": ["cat #1", None, "cat #1"],
        "half": ["tests", "finds", "finds"],
    }
    found().write(path)
    assert pq.read_table(path).column_names == ["slice", "half"]
    assert [file.name for file in tmp_path.iterdir()] == ["slices.parquet"]


def test_paths_of_another_table_are_refused(tmp_path):
    with pytest.raises(InputError, match="each of 3 images; got 1"):
        found().write(tmp_path / "slices.parquet", ["a"])


def test_said_in_words():
    said = str(found())
    assert "One slice found" in said
    assert "taken for dog (3)" in said
