"""Codes that are too large, too small, all alike or not finite: right weights or a clear error, never NaN."""

import contextlib

import numpy as np
import pytest
import torch

from equipoise.data import ImageTable
from equipoise.density import HistogramDensity, Mixture, NeighbourDensity, active_units
from equipoise.errors import InputError
from equipoise.resample import capsa_rule, sampling_weights
from equipoise.train.embedding import embedding_vectors

RULES = ("equipoise", "neighbours", "histogram", "mixture", "clusters", "max", "product")
CODES = np.random.default_rng(0).normal(size=(200, 4))


def one_row(value):
    return np.where(np.arange(200)[:, None] == 5, value, CODES)


@pytest.mark.parametrize(
    "rule", sorted({*RULES} - {"mixture", "clusters"})
)  # where these start is in the codes
@pytest.mark.parametrize("power", [-200, -20, 20, 200])
def test_weights_do_not_depend_on_the_unit(rule, power):
    scale = 2.0**power  # smoothing is in the unit of a density
    here, there = (sampling_weights(codes, rule=rule, smoothing=0.0) for codes in (CODES, CODES * scale))
    np.testing.assert_allclose(here, there, rtol=1e-5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("codes", [CODES * 1e300, CODES + 1e300, one_row(1e300), one_row(-1e200)])
def test_huge_codes_give_weights_or_are_refused(rule, codes):
    with contextlib.suppress(InputError):
        weights = sampling_weights(codes, rule=rule, ess=None, max_weight=None)
        assert np.isfinite(weights).all()
        assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_that_is_not_finite_is_named(rule, value):
    with pytest.raises(InputError, match="NaN or infinity in row 5"):
        sampling_weights(one_row(value), rule=rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0.0, 7.0, -1e-300, 1e100])
def test_codes_that_are_all_alike_are_drawn_alike(rule, value):
    np.testing.assert_allclose(sampling_weights(np.full((200, 4), value), rule=rule), 1 / 200)


@pytest.mark.parametrize("density", [NeighbourDensity(5), Mixture(3), HistogramDensity()])
def test_densities_say_what_they_cannot_hold(density):
    codes = np.sign(CODES) * 1.7e308
    with pytest.raises(InputError, match="Latents must"):
        density.fit(codes).log_prob(codes)


def test_histograms_hold_what_they_can():
    far = HistogramDensity(4).fit(CODES * 1e300).log_prob(CODES * 1e300)
    near = HistogramDensity(4).fit(CODES).log_prob(CODES)
    assert bool(far.isfinite().all())
    assert float((far - near).abs().median()) < 0.05  # its streaming grid is a little coarser there
    assert np.isfinite(capsa_rule(CODES * 5e-324, np.ones(200))).all()
    with pytest.raises(InputError, match="variances that a number can hold"):
        active_units(torch.from_numpy(CODES * 1e300))


@pytest.mark.parametrize("value", [1e300, 1e39, -1e39, np.inf, np.nan])
def test_vectors_beyond_single_precision_are_refused_by_image(value):
    table = ImageTable.from_arrays(np.zeros((200, 8, 8, 3)), np.arange(200) % 2)
    with pytest.raises(InputError, match=r"finite.*image 5, as a 32-bit number"):
        embedding_vectors(one_row(value), table, np.arange(200))
