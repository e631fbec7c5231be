import math

import pytest

from equipoise import Rate
from equipoise.errors import InputError


def test_undefined_is_not_zero():
    rate = Rate.undefined("no positives")
    assert math.isnan(rate.value)
    assert math.isnan(rate.low)
    assert not rate.defined
    assert "undefined: no positives" in repr(rate)


@pytest.mark.parametrize(("value", "reason"), [(math.nan, None), (0.5, "because")])
def test_a_value_or_a_reason_but_not_both(value, reason):
    with pytest.raises(InputError, match="a value or the reason"):
        Rate(value, 0.0, 1.0, 3, reason)


def test_the_complement_swaps_the_ends():
    rate = Rate(0.9, 0.8, 0.95, 40).complement
    assert (rate.value, rate.low, rate.high) == pytest.approx((0.1, 0.05, 0.2))
    assert rate.n == 40
    assert rate.complement.value == pytest.approx(0.9)


def test_the_complement_of_undefined_is_undefined_for_the_same_reason():
    assert Rate.undefined("no positives").complement.reason == "no positives"
