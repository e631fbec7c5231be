"""What is measured."""

import pytest

from equipoise.errors import InputError
from equipoise.run import Measuring, Sources


def test_the_embedded_set_has_groups_of_its_own():
    assert Measuring().of(Sources()).groups == ("hidden",)
    assert Measuring(["hat"]).of(Sources()).groups == ("hat",)
    assert Measuring().of(Sources(data="faces.csv")).groups == ()
    assert Measuring(["race", "sex"]).of(Sources(data="faces.csv")).groups == ("race", "sex")


@pytest.mark.parametrize("given", [{"fpr": -0.1}, {"fpr": 1.5}, {"replicates": -1}, {"replicates": 1.5}])
def test_numbers_out_of_range_are_refused(given):
    with pytest.raises(InputError):
        Measuring(**given).of(Sources())
    with pytest.raises(InputError):
        Measuring(**given).checked()


def test_settings_make_it_again():
    asked = Measuring(("a", "b"), 0.05, 300, controls=False)
    assert Measuring(**asked.settings()) == asked
