import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equipoise.errors import InputError
from equipoise.resample import DegenerateWeightsError, capsa_rule, effective_sample_size, risk_weights
from equipoise.resample.risk import normal_scores, percentiles


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_each_risk_raises_the_weight_alone_and_both_count_alike():
    rare, hard = normal(500), normal(500, seed=1)
    for one in ({"representation": rare}, {"epistemic": hard}):
        weights = risk_weights(**one)
        order = np.argsort(next(iter(one.values())))
        assert weights.sum() == pytest.approx(1)
        assert (np.diff(weights[order]) >= 0).all()
        assert effective_sample_size(weights) == pytest.approx(0.5, rel=1e-5)
    np.testing.assert_allclose(risk_weights(rare, hard), risk_weights(hard, rare))
    both = risk_weights(rare, hard, max_weight=None)
    log = normal_scores(rare) + normal_scores(hard)
    slope = np.polyfit(log, np.log(both), 1)
    np.testing.assert_allclose(np.log(both), np.polyval(slope, log), atol=1e-9)  # a power of the product


def test_ranks_need_no_unit_and_withstand_an_outlier():
    rare = normal(300)
    np.testing.assert_allclose(risk_weights(np.exp(5 * rare)), risk_weights(rare))
    far = rare.copy()
    far[far.argmax()] = 1e9
    np.testing.assert_allclose(risk_weights(far), risk_weights(rare))
    by_value = risk_weights(far, scale="value", ess=0.9)  # all that is left are the others, alike
    assert np.ptp(np.delete(by_value, far.argmax())) < 1e-6


def test_values_are_log_weights():
    rare, hard = normal(200), np.exp(normal(200, seed=1))
    weights = risk_weights(rare, hard, scale="value", ess=None, max_weight=None)
    twin = np.sqrt(np.exp(rare) * hard)
    np.testing.assert_allclose(weights, twin / twin.sum(), rtol=1e-12)


def test_noise_lowers_and_a_planted_noisy_group_is_not_amplified():
    rare, noise = normal(1000), normal(1000, seed=1)
    noisy = np.arange(1000) < 50
    rare[noisy] += 2  # wrong labels look rare and hard
    noise[noisy] += 4
    without, with_ = risk_weights(rare, rare), risk_weights(rare, rare, noise)
    assert without[noisy].sum() > 2 * 0.05
    assert with_[noisy].sum() < 0.3 * without[noisy].sum()
    only = risk_weights(aleatoric=noise)
    half = np.argsort(noise)[:500]
    assert np.ptp(only[half]) < 1e-15
    assert only[noise.argmax()] == pytest.approx(0.1 * only[half[0]], rel=0.02)
    np.testing.assert_allclose(risk_weights(rare, aleatoric=np.ones(1000)), risk_weights(rare))


risks = arrays(np.float64, 20, elements=st.integers(0, 6).map(float))


@settings(max_examples=150, deadline=None)
@given(risks, risks, st.integers(0, 19), st.integers(1, 7), st.sampled_from([None, 1.5, 10.0]))
def test_a_noisier_row_never_weighs_more(rare, noise, row, more, max_weight):
    rare = rare + np.linspace(0, 0.5, 20)  # no ties that keep an ess out of reach
    louder = noise.copy()
    louder[row] += more
    before, after = (risk_weights(rare, aleatoric=n, ess=0.8, max_weight=max_weight) for n in (noise, louder))
    assert after[row] <= before[row] * (1 + 1e-9)
    assert after.sum() == pytest.approx(1)
    if max_weight is None:  # then it falls against each of the others too
        others = np.arange(20) != row
        assert (after[row] / after[others] <= before[row] / before[others] * (1 + 1e-9)).all()
    else:
        assert after.max() * 20 <= max_weight * (1 + 1e-9)


def test_percentiles_give_equal_values_the_middle():
    np.testing.assert_allclose(percentiles(np.array([3.0, 1.0, 3.0, 9.0])), [0.5, 0.125, 0.5, 0.875])


def test_the_labs_rule_is_a_no_op_at_100_dimensions_and_ours_is_not():
    codes = normal(2000, 100)
    codes[:100, :5] += 3.0  # 5 % are rare
    errors = np.abs(normal(2000, seed=1)) + 1
    lab = np.exp(capsa_rule(codes, errors))
    # Half of it is uniform, to the last digits: what is left is the reconstruction error alone.
    np.testing.assert_allclose(lab - 0.5 * (errors + 1e-7) / (errors + 1e-7).sum(), 0.5 / 2000, rtol=1e-9)
    from equipoise.density import HistogramDensity

    ours = risk_weights(-HistogramDensity(5, 1e-3).fit(codes).log_prob(codes).numpy())
    assert lab[:100].sum() < 1.1 * 0.05
    assert ours[:100].sum() > 2 * 0.05


def test_tensors_and_order():
    rare, noise = normal(100), normal(100, seed=1)
    weights = risk_weights(rare, aleatoric=noise)
    np.testing.assert_allclose(
        risk_weights(torch.tensor(rare, requires_grad=True), aleatoric=noise.tolist()), weights
    )
    order = np.random.default_rng(2).permutation(100)
    np.testing.assert_allclose(risk_weights(rare[order], aleatoric=noise[order]), weights[order])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "at least one risk; got none"),
        ({"representation": [1.0, 2.0], "epistemic": [1.0]}, "got 2 of representation, 1 of epistemic"),
        ({"aleatoric": [1.0, np.nan]}, "aleatoric risk, shape .*1 of them NaN"),
        ({"epistemic": [[1.0]]}, r"got shape \(1, 1\)"),
        ({"representation": []}, "n ≥ 1"),
        ({"epistemic": [0.0, 1.0], "scale": "value"}, "must be above 0; got 0. Use scale 'rank'"),
        ({"epistemic": [0.0, 1.0], "scale": "log"}, "got 'log'"),
        ({"aleatoric": [0.0, 1.0], "noisy": 1.0}, "got noisy 1.0"),
        ({"aleatoric": [0.0, 1.0], "floor": -0.1}, "floor -0.1"),
    ],
)
def test_errors_say_what_to_do(arguments, message):
    with pytest.raises(InputError, match=message):
        risk_weights(**arguments)


def test_ties_that_keep_the_strength_out_of_reach_are_told():
    with pytest.raises(DegenerateWeightsError, match="ties"):
        risk_weights([0.0] * 5 + [1.0] * 95)
