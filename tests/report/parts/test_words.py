import math

import pytest

from equipoise.rate import Rate
from equipoise.report.parts import words


def test_a_flipped_difference_turns_its_interval_round():
    assert words.flipped(Rate(0.02, 0.01, 0.05, 9)) == Rate(-0.02, -0.05, -0.01, 9)


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(-0.04, 1, "0.0"), (0.0, 1, "0.0"), (-2.14, 1, "−2.1"), (math.nan, 1, "–"), (math.inf, 1, "∞")],
)
def test_numbers_as_people_write_them(value, digits, shown):
    assert words.decimal(value, digits) == shown


def test_a_sign_is_shown_only_where_there_is_a_difference():
    assert [words.signed(x) for x in (2.14, 0.01, 0.0, -0.01, -2.14)] == ["+2.1", "0.0", "0.0", "0.0", "−2.1"]
