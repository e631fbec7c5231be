"""Effective sample size, tempering, the maximum weight, and what is refused."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equipoise.errors import InputError
from equipoise.resample import (
    DegenerateWeightsError,
    effective_sample_size,
    equipoise_rule,
    max_rule,
    product_rule,
    sampling_weights,
    temper,
)

DISTINCT = arrays(np.float64, st.integers(20, 80), elements=st.floats(-50, 50), unique=True)


def test_effective_sample_size():
    assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(1.0)
    assert effective_sample_size([0.0, 5.0, 0.0, 0.0]) == pytest.approx(0.25)
    p = np.random.default_rng(0).dirichlet(np.ones(30))
    assert effective_sample_size(p) == pytest.approx(1 / (30 * sum(x**2 for x in p)))
    assert effective_sample_size(p * 1e-300) == pytest.approx(effective_sample_size(p))


@pytest.mark.parametrize("weights", [[], [[1.0]], [0.0, 0.0], [1.0, -1.0], [1.0, np.nan], [np.inf]])
def test_effective_sample_size_of_what_is_no_weight(weights):
    with pytest.raises(DegenerateWeightsError, match="Expected a vector"):
        effective_sample_size(weights)


@settings(max_examples=80, deadline=None)
@given(DISTINCT, st.floats(0.3, 1.0), st.sampled_from([None, 4.0, 10.0]))
def test_the_target_is_met_and_the_maximum_kept(logs, ess, max_weight):
    # Differences that are not rounding: the ranks decide, the spacing is drawn.
    logs = np.argsort(np.argsort(logs)) * 0.1 + logs * 0.01
    weights = temper(logs, ess=ess, max_weight=max_weight)
    assert weights.sum() == pytest.approx(1.0)
    assert effective_sample_size(weights) == pytest.approx(ess, rel=1e-5)
    if max_weight is not None:
        assert weights.max() * logs.size <= max_weight * (1 + 1e-9)
    order = np.argsort(logs)
    assert (np.diff(weights[order]) >= -1e-15).all()  # who was rarer is not drawn less


def test_the_form_is_a_power_of_the_weights():
    logs = np.random.default_rng(0).normal(size=500)
    weights = temper(logs, ess=0.4)
    power = np.polyfit(logs, np.log(weights), 1)[0]
    np.testing.assert_allclose(
        np.log(weights), power * logs + (np.log(weights) - power * logs).mean(), atol=1e-9
    )
    assert effective_sample_size(np.exp(logs)) < 0.4
    assert power < 1
    assert np.polyfit(logs, np.log(temper(logs, ess=0.1)), 1)[0] > 1  # sharpened


def test_what_the_maximum_takes_goes_to_the_others_in_proportion():
    logs = np.log([100.0, 50.0, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    weights = temper(logs, ess=None, max_weight=3.0)
    assert weights[:2].tolist() == pytest.approx([0.3, 0.3])
    np.testing.assert_allclose(weights[2:], 0.4 * np.exp(logs[2:]) / np.exp(logs[2:]).sum())


def test_without_a_target_the_rule_stays_as_it_is():
    logs = np.random.default_rng(0).normal(size=100)
    np.testing.assert_allclose(temper(logs, ess=None), np.exp(logs) / np.exp(logs).sum())
    np.testing.assert_allclose(temper(logs - 1e5, ess=0.5), temper(logs, ess=0.5), rtol=1e-4)


def test_one_is_uniform_and_equal_weights_stay_so():
    np.testing.assert_allclose(temper(np.arange(50.0), ess=1.0), 1 / 50, rtol=1e-3)
    noise = np.random.default_rng(0).normal(size=50) * 1e-13
    np.testing.assert_allclose(temper(noise, ess=0.3), 1 / 50)
    assert temper([0.0, -np.inf, 0.0], ess=None).tolist() == [0.5, 0.0, 0.5]


def test_an_outlier_is_held_by_the_maximum_and_not_by_flattening_all_others():
    logs = np.random.default_rng(0).normal(size=1000)
    logs[0] = 200.0
    free, held = temper(logs, ess=0.5), temper(logs, ess=0.5, max_weight=10.0)
    assert free[0] > 0.02
    assert free[1:].std() < 0.1 * held[1:].std()
    assert held[0] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("logs", "settings", "message"),
    [
        ([0.0, np.nan], {"ess": 0.5}, "1 of them NaN"),
        ([0.0, np.inf], {"ess": 0.5}, r"1 \+∞"),
        ([-np.inf] * 3, {"ess": 0.5}, "3 −∞"),
        ([], {"ess": 0.5}, "shape"),
        ([[0.0]], {"ess": 0.5}, "shape"),
        ([0.0] * 6 + [-1.0] * 4, {"ess": 0.5}, "got ties"),
        ([0.0, 1.0] + [-np.inf] * 8, {"ess": 0.5}, "8 of 10 rows"),
        ([0.0] + [-np.inf] * 9, {"ess": None, "max_weight": 2.0}, "drawable"),
        ([0.0] + [-50.0] * 999, {"ess": None}, "effective 1.0 of 1000 rows"),
    ],
)
def test_degenerate_weights_are_refused(logs, settings, message):
    with pytest.raises(DegenerateWeightsError, match=message):
        temper(logs, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ess": 0.0}, "ess must be"),
        ({"ess": 1.5}, "ess must be"),
        ({"ess": float("nan")}, "ess must be"),
        ({"ess": None, "max_weight": 0.5}, "max_weight must be"),
        ({"ess": 0.2, "max_weight": 4.0}, "at least 0.25"),
    ],
)
def test_bad_targets_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        temper(np.arange(10.0), **settings)


def test_sampling_weights_is_a_rule_then_temper():
    codes = np.random.default_rng(0).normal(size=(500, 4))
    for name, rule in [("max", max_rule), ("product", product_rule), ("equipoise", equipoise_rule)]:
        expected = temper(rule(codes), ess=0.6, max_weight=5.0)
        np.testing.assert_allclose(sampling_weights(codes, rule=name, ess=0.6, max_weight=5.0), expected)
    own = sampling_weights(codes, rule=partial(max_rule, bins=3), ess=None, max_weight=None)
    np.testing.assert_allclose(own, np.exp(max_rule(codes, bins=3)))
    assert not np.allclose(own, sampling_weights(codes, rule="max", ess=None, max_weight=None))
    with pytest.raises(InputError, match="got 'min'"):
        sampling_weights(codes, rule="min")


def test_the_published_product_is_refused_as_it_is():
    codes = np.random.default_rng(0).normal(size=(2000, 100))
    with pytest.raises(DegenerateWeightsError, match="Set ess"):
        sampling_weights(codes, rule="product", ess=None, max_weight=None)
