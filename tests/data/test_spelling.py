"""Doubts about values are said, and nothing is changed."""

import numpy as np
import pytest

from equipoise.data import ImageTable
from equipoise.data.spelling import doubts


def table(*values, column="site"):
    return ImageTable.from_arrays(
        np.zeros((len(values), 4, 4, 3), np.uint8), [1] * len(values), {column: list(values)}
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["1", "01", "001"], "001 and 01 and 1"),
        (["1", "1.0"], "1 and 1.0"),
        (["True", "true"], "True and true"),
        (["-1", "-01.50", "-1.5"], "-01.50 and -1.5"),
        (["male", "male ", "Male"], "Male and male and male "),
        (["NA", "b"], "NA counts as a value"),
        (["None", "null", "x"], "None and null counts as a value"),
    ],
)
def test_what_may_be_meant_otherwise(values, said):
    assert [said in line for line in doubts([table(*values)])] == [True]
    # beside one another in two tables, for example of training and of testing
    assert any(said in line for line in doubts([table(value) for value in values]))


@pytest.mark.parametrize(
    "values",
    [["1", "2", "10"], ["a", "b"], ["1.5", "15"], ["-1", "1"], ["1e5", "100000"], [".", "+", "-"], [None]],
)
def test_what_is_clear(values):
    assert list(doubts([table(*values)])) == []
    assert list(doubts([table("a.png", "A.png", column="path")])) == []
