"""Labels: what a column says, and what is no label."""

import pytest

from equipoise.data.classes import class_ids
from equipoise.errors import DataError, InputError


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ([1, 0, 2], [1, 0, 2]),
        ([1, 1], [1, 1]),  # one of the two classes alone
        ([0, 0], [0, 0]),
        ([1, 0, 3], [1, 0, 2]),
        ([42, 3, 7, 3], [2, 0, 1, 0]),
        ([1, 2, 3, 4, 5], [0, 1, 2, 3, 4]),
        (["10", "9", "2"], [2, 1, 0]),  # by number, not by the alphabet
        ([7], [0]),
        ([-1, 1, -1], [0, 1, 0]),
        ([True, False], [1, 0]),
        (["1", "0"], [1, 0]),
        ([1.0, 0.0], [1, 0]),
        (["face", "NonFace", "non-faces"], [1, 0, 0]),
        (["yes", "no"], [1, 0]),
        (["others", "faces"], [0, 1]),
        (["cats", "non-faces"], [1, 0]),
        (["dog", "cat", "emu", "cat"], [1, 0, 2, 0]),
        (["sun", "inf"], [1, 0]),
        (["none", "glasses"], [1, 0]),  # none of them is a class; None would be no label
        (["1_0", "0_1"], [1, 0]),  # names, though Python reads 1_0 as ten
        (["+", "-"], [0, 1]),
    ],
)
def test_class_ids(values, ids):
    got, classes = class_ids(values, column="c")
    assert got.tolist() == ids
    assert classes.notes[0].startswith("Labels from c: ")


def test_the_positive_class_can_be_named():
    got, classes = class_ids(["a", "b", "c", "b"], column="x", positive="b")
    assert got.tolist() == [0, 1, 0, 1]
    assert classes.notes == ("Labels from x: b = 1, all others = 0",)
    for numbers in ([0, 2, 1], [0.0, 2.0, 1.0], ["0", "2", "1"]):
        assert class_ids(numbers, column="x", positive="2")[0].tolist() == [0, 1, 0]


def test_the_order_of_a_schema_counts_where_names_say_nothing():
    found, classes = class_ids(["cat", "dog", "cat"], column="c", order=("dog", "cat", "emu"))
    assert found.tolist() == [1, 0, 1]
    assert classes.notes == ("Labels from c: dog = 0, cat = 1, emu = 2",)
    assert class_ids(["face", "non_face"], column="c", order=("face", "non_face"))[0].tolist() == [1, 0]
    assert class_ids(["7", "3"], column="c", order=("7", "3"))[0].tolist() == [1, 0]  # numbers have their own
    with pytest.raises(InputError, match="got 'emu'"):
        class_ids(["cat"], column="c", positive="emu", order=("cat", "emu"))  # no row has it


def test_numbers_that_are_not_dense_are_names_and_said():
    _, classes = class_ids([42, 3, 7], column="age")
    assert classes.ids == {"3": 0, "7": 1, "42": 2}
    assert classes.notes == (
        "Labels from age: 3 = 0, 7 = 1, 42 = 2; these numbers are not 0…2 and are numbered in their order",
    )
    for values in ([0, 1, 2], [0, 1], [-1, 1], [1]):
        assert "order" not in class_ids(values, column="age")[1].notes[0]


def test_a_thousand_classes_with_names_of_any_kind():
    names = [f"<b>{i}</b>\x1b[31m" for i in range(1000)]
    ids, classes = class_ids(names, column="c")
    assert sorted(ids) == list(range(1000))
    assert {name: ids[row] for row, name in enumerate(names)} == classes.ids
    assert classes.notes[0].endswith(", …")


@pytest.mark.parametrize(
    ("values", "positive", "error", "words"),
    [
        ([1, None], None, DataError, "none in row 1 of 'c'"),
        ([1.0, float("nan")], None, DataError, "none in row 1"),
        (["1", "NA", "0", "NA"], None, DataError, r"'NA' in row 1 of 'c' \(2 of 4 rows have no label\)"),
        (["face", "null"], None, DataError, "'null' in row 1"),
        (["a", "n/a"], "a", DataError, "write it otherwise"),
        (["a", "None"], None, DataError, "'None' in row 1"),
        (["a", " "], None, DataError, "' ' in row 1"),
        (["1", "01", "0"], None, DataError, "01 and 1 in 'c', which may be one class or two"),
        ([1, -2], None, DataError, "got -2 in 'c'"),
        (["a", "b"], "x", InputError, r"\(a, b\); got 'x'"),
    ],
)
def test_columns_that_are_no_labels(values, positive, error, words):
    with pytest.raises(error, match=words):
        class_ids(values, column="c", positive=positive)
