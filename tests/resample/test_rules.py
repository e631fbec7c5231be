"""Resampling rules: one contract for all, loops written from the published formulas, planted groups."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equipoise.errors import InputError
from equipoise.resample import (
    capsa_rule,
    cluster_rule,
    effective_sample_size,
    equipoise_rule,
    max_rule,
    mixture_rule,
    neighbours_rule,
    product_rule,
    sampling_weights,
)


def capsa_with_norms(latents, **settings):
    return capsa_rule(latents, np.linalg.norm(np.asarray(latents), axis=1), queue=10**9, **settings)


RULES = {
    "max": max_rule,
    "product": product_rule,
    "capsa": capsa_with_norms,
    "equipoise": equipoise_rule,
    "equipoise, histogram": partial(equipoise_rule, density="histogram"),
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# The contract


@every_rule
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (400, 1), (400, 30)])
def test_log_weights_are_normalised(rule, shape):
    log_weights = rule(normal(*shape).astype(np.float32))
    assert log_weights.shape == shape[:1]
    assert log_weights.dtype == np.float64
    assert np.isfinite(log_weights).all()
    assert np.exp(log_weights).sum() == pytest.approx(1.0)


@every_rule
def test_order_of_rows_changes_nothing_but_the_order(rule):
    codes = normal(1500, 12)
    order = np.random.default_rng(1).permutation(1500)
    np.testing.assert_allclose(rule(codes[order]), rule(codes)[order], atol=1e-5)


@every_rule
def test_copies_of_a_row_weigh_the_same(rule):
    codes = normal(300, 5)
    codes[200:] = codes[0]
    log_weights = rule(codes)
    assert np.isfinite(log_weights).all()
    np.testing.assert_allclose(log_weights[200:], log_weights[0], atol=1e-6)


@every_rule
def test_constant_codes_are_uniform(rule):
    np.testing.assert_allclose(rule(np.full((50, 3), 2.5)), -np.log(50))


@every_rule
def test_a_constant_dimension_changes_no_ratio_beyond_its_uniform_share(rule):
    codes = normal(300, 4)
    with_constant = np.concatenate([codes, np.full((300, 1), 7.0)], 1)
    assert np.isfinite(rule(with_constant)).all()
    if rule not in (max_rule, capsa_with_norms):  # a maximum with 1/N, a sum with a floor: not a ratio
        np.testing.assert_allclose(rule(with_constant), rule(codes), atol=1e-6)


@every_rule
def test_chunks_tensors_and_arrays_agree(rule, monkeypatch):
    codes = normal(700, 6)
    whole = rule(codes)
    if rule is not capsa_with_norms:
        np.testing.assert_allclose(
            rule(lambda: (codes[i : i + 97] for i in range(0, 700, 97))), whole, atol=1e-6
        )
    np.testing.assert_allclose(rule(torch.from_numpy(codes)), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("rule", "passes"), [("max", 3), ("product", 3), ("equipoise", 2), ("equipoise, histogram", 2)]
)
def test_codes_are_streamed_in_few_passes(rule, passes):
    alive = most = calls = 0

    class Part(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= self.base is None

    def parts():
        nonlocal alive, most, calls
        calls += 1
        for seed in range(10):
            part = np.ndarray.__new__(Part, (50, 3))
            part[:] = normal(50, 3, seed=seed)
            alive += 1
            most = max(most, alive)
            yield part
            del part

    assert RULES[rule](parts).shape == (500,)
    assert calls == passes
    assert most <= 2


@every_rule
def test_rows_far_out_weigh_more(rule):
    codes = normal(2000, 4)
    codes[:40] += 4.0
    weights = np.exp(rule(codes))
    assert weights[:40].mean() > 1.2 * weights[40:].mean()


@every_rule
@pytest.mark.parametrize("codes", [np.full((5, 2), np.nan), np.zeros((0, 2)), np.zeros(5)])
def test_bad_codes_are_refused(rule, codes):
    if rule is capsa_with_norms:
        rule = partial(capsa_rule, reconstruction_errors=np.zeros(len(codes)))
    with pytest.raises(InputError):
        rule(codes)


# Naive twins


def lab_histogram(column, bins):
    density, edges = np.histogram(column, density=True, bins=bins)
    edges[0], edges[-1] = -float("inf"), float("inf")
    return density, np.digitize(column, edges) - 1


def lab_max(mu, bins, smoothing):
    training_sample_p = np.zeros(mu.shape[0])
    for i in range(mu.shape[1]):
        density, row_bins = lab_histogram(mu[:, i], bins)
        smoothed = density + smoothing
        smoothed = smoothed / np.sum(smoothed)
        p = 1.0 / smoothed[row_bins]
        training_sample_p = np.maximum(p / np.sum(p), training_sample_p)
    return training_sample_p / np.sum(training_sample_p)


def paper_product(mu, bins, smoothing):
    weights = np.ones(mu.shape[0])
    for i in range(mu.shape[1]):
        counts, _ = np.histogram(mu[:, i], bins=bins)
        weights *= 1.0 / (counts[lab_histogram(mu[:, i], bins)[1]] / len(mu) + smoothing)
    return weights / weights.sum()


def lab_capsa(mu, errors, bins, queue, floor=1e-7):
    density = np.ones(len(mu))
    for i in range(mu.shape[1]):
        counts, edges = np.histogram(mu[-queue:, i], bins=bins)
        edges[0], edges[-1] = -np.inf, np.inf
        density *= counts[np.digitize(mu[:, i], edges) - 1] / counts.sum()
    bias, epistemic = 1 / (density + floor), errors + floor
    return (bias / bias.sum() + epistemic / epistemic.sum()) / 2


@pytest.mark.parametrize("bins", [2, 10])
@pytest.mark.parametrize("smoothing", [0.0, 1e-3, 0.5])
@pytest.mark.parametrize("dimensions", [1, 8])
def test_published_rules_equal_loops_written_from_their_formulas(bins, smoothing, dimensions):
    codes = normal(500, dimensions) ** 3
    np.testing.assert_allclose(
        np.exp(max_rule(codes, bins=bins, smoothing=smoothing)), lab_max(codes, bins, smoothing), rtol=1e-9
    )
    np.testing.assert_allclose(
        np.exp(product_rule(codes, bins=bins, smoothing=smoothing)),
        paper_product(codes, bins, smoothing),
        rtol=1e-9,
    )


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (23, 2), elements=st.integers(-3, 3).map(float)))
def test_max_rule_equals_the_lab_on_codes_with_ties(codes):
    np.testing.assert_allclose(np.exp(max_rule(codes)), lab_max(codes, 10, 1e-3), rtol=1e-9)


@pytest.mark.parametrize("queue", [50, 200, 10_000])
def test_capsa_rule_equals_a_loop_written_from_its_formula(queue):
    codes, errors = normal(300, 3), np.abs(normal(300, seed=1))
    np.testing.assert_allclose(
        np.exp(capsa_rule(codes, errors, queue=queue)), lab_capsa(codes, errors, 5, queue), rtol=1e-9
    )


# What is known of each rule


def planted(kind, *, rows=4000, dimensions=100, seed=0):
    """5 % of the rows lie away from the bulk."""
    codes = normal(rows, dimensions, seed=seed)
    group = np.arange(rows) < rows // 20
    if kind == "in three units":
        codes[group, :3] += 3.0
    elif kind == "a little in every unit":
        codes[group] += 0.8
    elif kind == "tight":
        codes[group] *= 0.4
        codes[group, :3] += 4.0
    elif kind == "few units active":
        codes[:, 20:] *= 0.05
        codes[group, :3] += 3.0
    return codes, group


KINDS = ["in three units", "a little in every unit", "tight", "few units active"]


def enrichment(weights, group):
    return weights[group].sum() / group.mean()


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_gives_a_planted_group_twice_its_share(kind):
    codes, group = planted(kind)
    weights = sampling_weights(codes, ess=0.5)
    assert effective_sample_size(weights) == pytest.approx(0.5, rel=1e-5)
    assert enrichment(weights, group) > 2.0


def test_the_weakness_of_the_published_rules():
    codes, group = planted("in three units")
    as_published = np.exp(max_rule(codes))
    assert enrichment(as_published, group) < 1.3  # nearly uniform
    product = np.exp(product_rule(codes))
    assert effective_sample_size(product) * len(codes) < 20  # a handful of images
    # Tempered to the same effective sample size, both stay behind the default.
    ours = enrichment(sampling_weights(codes), group)
    for rule in ("max", "product"):
        assert enrichment(sampling_weights(codes, rule=rule), group) < 0.7 * ours


def test_active_units_help_the_histogram():
    codes, group = planted("few units active")
    histogram = sampling_weights(codes, rule=partial(equipoise_rule, density="histogram"))
    assert enrichment(histogram, group) > 1.3 * enrichment(sampling_weights(codes, rule="product"), group)


def test_capsa_rule_is_uniform_at_many_dimensions():
    codes = normal(1000, 100)
    weights = np.exp(capsa_rule(codes, np.ones(1000)))
    assert weights.max() / weights.min() < 1.001


def test_smoothing_moves_towards_uniform():
    codes = normal(1000, 5)
    for rule in (max_rule, product_rule, partial(equipoise_rule, density="histogram")):
        sizes = [effective_sample_size(np.exp(rule(codes, smoothing=a))) for a in (0.0, 0.1, 100.0)]
        assert sizes == sorted(sizes)
        assert sizes[-1] > 0.99


def test_errors_say_what_to_do():
    codes = normal(10, 2)
    for wrong, message in [
        ({"density": "flow"}, "got 'flow'"),
        ({"scale": 1.0}, "share in"),
        ({"components": 0}, "components"),
        ({"density": "histogram", "bins": 0}, "bins"),
    ]:
        with pytest.raises(InputError, match=message):
            equipoise_rule(codes, **wrong)
    for rule in (max_rule, product_rule):
        with pytest.raises(InputError, match="smoothing"):
            rule(codes, smoothing=-1.0)
    with pytest.raises(InputError, match="queue"):
        capsa_rule(codes, np.zeros(10), queue=0)
    for errors in (np.zeros(9), np.full(10, -1.0), np.full(10, np.nan)):
        with pytest.raises(InputError, match="reconstruction error"):
            capsa_rule(codes, errors)


# Rules that compare rows or cluster them: for embeddings


EMBEDDED = {
    "neighbours": neighbours_rule,
    "mixture": partial(mixture_rule, clusters=4),
    "clusters": partial(cluster_rule, clusters=4),
    "clusters, k-means": partial(cluster_rule, clusters=4, kind="k-means"),
}


@pytest.mark.parametrize("rule", EMBEDDED.values(), ids=EMBEDDED.keys())
def test_rules_for_embeddings_find_a_group_that_stands_apart(rule):
    chance = np.random.default_rng(2)
    codes = chance.normal(size=(1000, 8)).astype(np.float32)
    group = np.arange(1000) < 40
    codes[group] += 6.0
    log_weights = rule(codes)
    assert log_weights.shape == (1000,)
    assert np.exp(log_weights).sum() == pytest.approx(1.0)
    parts = [codes[:300], codes[300:]]
    np.testing.assert_allclose(rule(parts), log_weights, atol=1e-8)
    assert enrichment(sampling_weights(codes, rule=rule), group) > 2.0


def test_every_cluster_is_drawn_equally_often():
    chance = np.random.default_rng(0)
    which = np.repeat([0, 1, 2], [800, 150, 50])
    codes = chance.normal(size=(1000, 3)) + 20.0 * np.eye(3)[which]
    for kind in ("gaussian", "k-means"):
        weights = np.exp(cluster_rule(codes, clusters=3, kind=kind))
        np.testing.assert_allclose(np.bincount(which, weights), 1 / 3, atol=1e-6)
        np.testing.assert_allclose(weights[which == 2] * 50, 1 / 3, atol=1e-6)


def test_the_twentieth_of_all_rows_is_looked_for_in_a_sample_too():
    codes = normal(3000, 4)
    whole, sampled = (neighbours_rule(codes, reference=rows) for rows in (3000, 1000))
    assert np.corrcoef(whole, sampled)[0, 1] > 0.95


def test_rules_by_name_take_what_they_need():
    codes = normal(600, 6)
    for name, rule in (
        ("neighbours", neighbours_rule),
        ("histogram", partial(equipoise_rule, density="histogram", bins=7, smoothing=0.1)),
        ("mixture", partial(mixture_rule, clusters=3, seed=5)),
        ("clusters", partial(cluster_rule, clusters=3, seed=5)),
    ):
        given = {"bins": 7, "smoothing": 0.1, "clusters": 3, "seed": 5, "ess": 0.8}
        np.testing.assert_array_equal(
            sampling_weights(codes, rule=name, **given), sampling_weights(codes, rule=rule, ess=0.8)
        )
