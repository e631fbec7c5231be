"""Histograms: NumPy's own bins, exact merging, open edges."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equipoise.density import HistogramDensity, bin_rows, histogram_bins, log_probabilities
from equipoise.errors import InputError, NotFittedError

FINITE = st.floats(-1e12, 1e12, allow_subnormal=False)
CODES = arrays(np.float64, st.tuples(st.integers(2, 40), st.integers(1, 3)), elements=FINITE)


def numpy_log_prob(codes, column, bins, smoothing):
    """The lab's histogram of one dimension, and the log-probability of each of its rows."""
    density, edges = np.histogram(codes[:, column], density=True, bins=bins)
    edges[0], edges[-1] = -np.inf, np.inf
    smoothed = density + smoothing
    smoothed /= smoothed.sum()
    return np.log(smoothed[np.digitize(codes[:, column], edges) - 1])


@pytest.mark.parametrize("smoothing", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("bins", [1, 5, 10])
def test_functions_equal_numpy(bins, smoothing):
    codes = np.random.default_rng(1).normal(size=(300, 4)) * [1.0, 1e-6, 1e6, 3.0]
    codes[:, 3] = codes[:, 3].round()  # codes on edges
    table = histogram_bins(codes, bins=bins)
    by_bin = log_probabilities(table, smoothing=smoothing)
    rows = by_bin.T.gather(0, bin_rows(torch.from_numpy(codes), table.edges))
    for column in range(4):
        counts, edges = np.histogram(codes[:, column], bins=bins)
        assert table.counts[column].tolist() == counts.tolist()
        assert table.edges[column].tolist() == edges.tolist()
        np.testing.assert_allclose(
            rows[:, column], numpy_log_prob(codes, column, bins, smoothing), rtol=1e-12
        )


def test_the_class_agrees_with_the_functions_up_to_its_cells():
    codes = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0))
    exact = log_probabilities(histogram_bins(codes, bins=10), smoothing=1e-3)
    table = HistogramDensity(10, 1e-3).fit(codes).table()
    near = log_probabilities(table, smoothing=1e-3)
    width = histogram_bins(codes).edges.diff(dim=1)[:, :1]
    assert ((table.edges - histogram_bins(codes).edges).abs() <= width * 10 / 4096).all()
    assert ((exact - near).abs() < 0.02)[:, 2:-2].all()
    assert table.counts.sum(1).tolist() == [20_000] * 5


@settings(max_examples=60, deadline=None)
@given(CODES, st.data())
def test_parts_merged_equal_the_whole_exactly(codes, data):
    cut = data.draw(st.integers(1, len(codes) - 1))
    whole = HistogramDensity(7, 0.01).fit(codes)
    merged = HistogramDensity(7, 0.01).fit(codes[:cut]).merge(HistogramDensity(7, 0.01).fit(codes[cut:]))
    backwards = HistogramDensity(7, 0.01).fit(codes[cut:]).merge(HistogramDensity(7, 0.01).fit(codes[:cut]))
    streamed = HistogramDensity(7, 0.01)
    for row in np.random.default_rng(0).permutation(len(codes)):
        streamed.update(codes[row : row + 1])
    for other in (merged, backwards, streamed):
        for name, buffer in whole.state_dict().items():
            assert torch.equal(buffer, other.state_dict()[name]), name
        assert torch.equal(whole.log_prob(codes), other.log_prob(codes))


@settings(max_examples=60, deadline=None)
@given(CODES)
def test_every_row_is_counted_and_finite(codes):
    histogram = HistogramDensity(5).fit(codes)
    table = histogram.table()
    assert (table.counts.sum(1) == len(codes)).all()
    assert (table.edges.diff(dim=1) > 0).all()
    assert torch.isfinite(histogram.log_prob(codes)).all()


def test_order_of_rows_changes_nothing_but_the_order():
    codes = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    histogram = HistogramDensity().fit(codes)
    assert torch.equal(
        HistogramDensity().fit(codes[order]).log_prob(codes[order]), histogram.log_prob(codes)[order]
    )


def test_rare_codes_score_lower():
    codes = torch.cat([torch.randn(950, 2), torch.randn(50, 2) + 5.0])
    log_prob = HistogramDensity(smoothing=1e-3).fit(codes).log_prob(codes)
    assert log_prob[950:].mean() < log_prob[:950].mean() - 1.0


def test_outside_the_range_the_outer_bins_are_open():
    histogram = HistogramDensity(4).fit(torch.tensor([[0.0], [0.1], [0.9], [1.0]]))
    near = histogram.log_prob(torch.tensor([[0.0], [1.0]]))
    assert torch.equal(histogram.log_prob(np.array([[-1e300], [1e300]])), near)
    assert histogram.log_prob(torch.tensor([[0.5]])).item() == -np.inf
    assert np.isfinite(
        HistogramDensity(4, 0.1).fit(torch.tensor([[0.0], [1.0]])).log_prob(torch.tensor([[0.5]])).item()
    )


def test_a_constant_dimension_counts_as_uniform():
    codes = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    codes[:, 1] = 3.0
    per_dimension = HistogramDensity(10).fit(codes).log_prob_per_dimension(codes)
    assert torch.allclose(per_dimension[:, 1], -torch.tensor(10.0, dtype=torch.float64).log())
    assert HistogramDensity(10).fit(codes).variances()[1] == 0.0
    table = histogram_bins(codes)
    assert table.flat.tolist() == [False, True]
    assert torch.allclose(log_probabilities(table)[1].exp(), torch.full((10,), 0.1, dtype=torch.float64))


def test_log_prob_is_the_sum_over_the_dimensions_asked_for():
    codes = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    histogram = HistogramDensity(smoothing=0.1).fit(codes)
    per_dimension = histogram.log_prob_per_dimension(codes)
    some = torch.tensor([True, False, False, True])
    assert torch.allclose(histogram(codes), per_dimension.sum(1))
    assert torch.allclose(histogram.log_prob(codes, dimensions=some), per_dimension[:, [0, 3]].sum(1))


def test_variances():
    codes = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.1, 30.0])
    assert torch.allclose(
        HistogramDensity().fit(codes).variances(), codes.double().var(0, correction=0), rtol=1e-3
    )


def test_state_dict_restores_and_learning_goes_on():
    codes = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    first = HistogramDensity().fit(codes[:60])
    second = HistogramDensity()
    second.load_state_dict(first.state_dict())
    assert torch.equal(
        second.update(codes[60:]).log_prob(codes), HistogramDensity().fit(codes).log_prob(codes)
    )
    assert torch.nn.Sequential(second).half()[0].low.dtype == torch.float64
    assert "rows=100" in repr(second)


def test_errors_say_what_to_do():
    codes = torch.randn(10, 3)
    with pytest.raises(NotFittedError, match="Call fit first"):
        HistogramDensity().log_prob(codes)
    with pytest.raises(NotFittedError, match="Call fit first"):
        HistogramDensity().variances()
    with pytest.raises(InputError, match="got 2"):
        HistogramDensity().fit(codes).log_prob(codes[:, :2])
    with pytest.raises(InputError, match="got 2"):
        HistogramDensity().fit(codes).update(codes[:, :2])
    with pytest.raises(InputError, match="same settings"):
        HistogramDensity(5).merge(HistogramDensity(6))
    with pytest.raises(InputError, match="bins must be"):
        HistogramDensity(0)
    with pytest.raises(InputError, match="smoothing must be"):
        HistogramDensity(5, float("nan"))
