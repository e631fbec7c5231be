import numpy as np
import pytest

from equipoise.intervals import bias_corrected, held


def test_a_bias_in_the_replicates_moves_the_interval_back_twice():
    replicates = np.random.default_rng(0).normal(3.0, 1.0, 50_000)
    rate = bias_corrected(replicates, 2.0, 10)
    assert (rate.low, rate.high) == pytest.approx((1 - 1.96, 1 + 1.96), abs=0.05)


def test_an_interval_holds_its_value_and_takes_each_end_from_its_side():
    lows, highs = np.linspace(0, 1, 1001), np.linspace(2, 3, 1001)
    rate = held(1.5, lows, highs, 4)
    assert (rate.low, rate.high, rate.n) == (pytest.approx(0.025), pytest.approx(2.975), 4)
    assert held(-1.0, lows, highs, 4).low == -1
