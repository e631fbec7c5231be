"""Batches: balance, weights, processes, resuming, and a DataLoader."""

import itertools
import json

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from equipoise.errors import InputError
from equipoise.resample import AdaptiveSampler

LABELS = np.array([1, 0] * 40 + [1] * 20)
POSITIVES = np.flatnonzero(LABELS == 1)


def weights(seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(POSITIVES.size, 0.3))


def test_half_of_a_batch_is_positive_and_no_row_comes_twice():
    sampler = AdaptiveSampler(LABELS, batch_size=16, steps=50)
    sampler.renew({1: weights()})
    for batch in sampler:
        assert len(batch) == 16 == len(set(batch))
        assert LABELS[batch].sum() == 8
        assert all(type(row) is int for row in batch)


def test_length_of_an_epoch():
    assert len(AdaptiveSampler(LABELS, batch_size=16)) == 100 // 16
    assert len(AdaptiveSampler([1, 0], batch_size=2)) == 1
    assert len(list(AdaptiveSampler(LABELS, batch_size=4, steps=7))) == 7
    odd = next(iter(AdaptiveSampler(LABELS, batch_size=5)))
    assert LABELS[odd].sum() == 2


@pytest.mark.slow
def test_positives_follow_the_weights_and_negatives_are_uniform():
    p = weights()
    sampler = AdaptiveSampler(LABELS, batch_size=2, steps=20_000)
    sampler.renew({1: p * 17.0})
    counts = np.bincount(np.concatenate(list(sampler)), minlength=LABELS.size)
    expected = np.zeros(LABELS.size)
    expected[POSITIVES] = 20_000 * p
    expected[LABELS == 0] = 20_000 / (LABELS == 0).sum()
    seen = expected > 5
    chi_square = ((counts - expected)[seen] ** 2 / expected[seen]).sum()
    assert abs(chi_square - seen.sum()) < 6 * np.sqrt(2 * seen.sum())
    np.testing.assert_allclose(sampler.weights[1], p)


def test_negatives_follow_weights_of_their_own_and_the_positives_stay_uniform():
    q = np.random.default_rng(3).dirichlet(np.full(40, 0.5))
    sampler = AdaptiveSampler(LABELS, batch_size=2, steps=20_000)
    sampler.renew({0: q * 3.0})
    counts = np.bincount(np.concatenate(list(sampler)), minlength=LABELS.size)
    expected = np.full(LABELS.size, 20_000 / POSITIVES.size)
    expected[LABELS == 0] = 20_000 * q
    seen = expected > 5
    chi_square = ((counts - expected)[seen] ** 2 / expected[seen]).sum()
    assert abs(chi_square - seen.sum()) < 6 * np.sqrt(2 * seen.sum())
    np.testing.assert_allclose(sampler.weights[0], q)
    with pytest.raises(InputError, match="each of 40 negatives"):
        sampler.renew({1: weights(), 0: np.ones(39)})
    with pytest.raises(InputError, match="1 different negatives; got weights above 0 for 0"):
        sampler.renew({1: weights(), 0: np.zeros(40)})
    np.testing.assert_allclose(sampler.weights[0], q)
    assert 1 not in sampler.weights


def test_weights_of_negatives_do_not_change_which_positives_come():
    plain, weighed = (AdaptiveSampler(LABELS, batch_size=10) for _ in range(2))
    plain.renew({1: weights()})
    weighed.renew({1: weights(), 0: np.arange(40.0) + 1})
    for one, two in zip(plain, weighed, strict=True):
        assert one[:5] == two[:5]


def test_a_batch_has_the_inclusion_rates_of_sequential_draws():
    p = weights(1)
    sampler = AdaptiveSampler(LABELS, batch_size=24, steps=4000)
    sampler.renew({1: p})
    ours = np.bincount(np.concatenate(list(sampler)), minlength=LABELS.size)[POSITIVES] / 4000
    generator = np.random.default_rng(0)
    draws = [generator.choice(p.size, 12, replace=False, p=p) for _ in range(4000)]
    theirs = np.bincount(np.concatenate(draws), minlength=p.size) / 4000
    assert np.abs(ours - theirs).max() < 6 * np.sqrt(2 * 0.25 / 4000)


def test_uniform_until_renewed_and_again_after_none():
    sampler = AdaptiveSampler(LABELS, batch_size=2, steps=3000)
    assert not sampler.weights
    sampler.renew({1: weights()})
    sampler.renew(None)
    counts = np.bincount(np.concatenate(list(sampler)), minlength=LABELS.size)[POSITIVES]
    assert counts.min() > 20
    assert counts.max() < 100


def test_seeds_and_epochs_differ_and_repeat():
    def batches(seed):
        sampler = AdaptiveSampler(LABELS, batch_size=8, seed=seed)
        return list(sampler), list(sampler)

    assert batches(0) == batches(0) != batches(1)
    first, second = batches(0)
    assert first != second


def test_ranks_share_one_batch_without_overlap():
    whole = AdaptiveSampler(LABELS, batch_size=24, seed=3)
    ranks = [AdaptiveSampler(LABELS, batch_size=24, seed=3, rank=r, replicas=4) for r in range(4)]
    for sampler in (whole, *ranks):
        sampler.renew({1: weights()})
    for batch, *shares in zip(whole, *ranks, strict=True):
        assert sorted(itertools.chain(*shares)) == sorted(batch)
        assert all(LABELS[share].sum() == 3 and len(share) == 6 for share in shares)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("taken", [0, 3, 10, 14])
def test_resuming_continues_exactly(taken, both):
    given = {1: weights()} | ({0: np.random.default_rng(7).dirichlet(np.full(40, 0.5))} if both else {})
    reference = AdaptiveSampler(LABELS, batch_size=10)
    reference.renew(given)
    expected = list(itertools.islice(itertools.chain(reference, reference), 20))
    first = AdaptiveSampler(LABELS, batch_size=10)
    first.renew(given)
    done = list(itertools.islice(itertools.chain(first, first), taken))
    state = first.state_dict()
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in state.items()}
    saved = json.loads(json.dumps(plain))
    second = AdaptiveSampler(LABELS, batch_size=10)
    second.load_state_dict(saved)
    rest = list(itertools.islice(itertools.chain(second, second, second), 20 - taken))
    assert done + rest == expected


def test_resuming_counts_what_was_trained_when_workers_draw_ahead():
    sampler = AdaptiveSampler(LABELS, batch_size=10)
    ahead = list(itertools.islice(sampler, 6))
    other = AdaptiveSampler(LABELS, batch_size=10)
    other.load_state_dict(sampler.state_dict(step=4))
    assert next(iter(other)) == ahead[4]


def test_what_is_drawn_by_weights_is_counted_over_ranks_renewals_and_resuming():
    whole = AdaptiveSampler(LABELS, batch_size=24, seed=3)
    rank = AdaptiveSampler(LABELS, batch_size=24, seed=3, rank=1, replicas=2)
    expected = np.zeros(60, np.int64)
    for sampler in (whole, rank):
        list(sampler)  # uniform: not counted
        assert not sampler.draws
    for seed in (0, 1):
        for sampler in (whole, rank):
            sampler.renew({1: weights(seed)})
        for batch, _ in zip(whole, rank, strict=True):
            expected += np.isin(POSITIVES, batch)
    assert (whole.draws[1].counts == expected).all()
    assert (rank.draws[1].counts == expected).all()
    assert (whole.draws[1].batch, whole.draws[1].batches) == (12, 8)
    assert 0 not in whole.draws
    again = AdaptiveSampler(LABELS, batch_size=24, seed=3)
    again.load_state_dict(whole.state_dict())
    for sampler in (again, whole):
        list(sampler)
    assert (again.draws[1].counts == whole.draws[1].counts).all()
    assert again.draws[1].batches == 12


def test_what_was_drawn_ahead_is_not_counted():
    sampler = AdaptiveSampler(LABELS, batch_size=10)
    sampler.renew({1: weights(), 0: np.ones(40)})
    ahead = list(itertools.islice(sampler, 6))
    state = sampler.state_dict(step=4)
    expected = sum(np.isin(np.arange(100), batch).astype(int) for batch in ahead[:4])
    assert (state["drawn"] == expected).all()
    assert state["drawn_batches"].tolist() == [4, 4]
    assert {class_id: one.batches for class_id, one in sampler.draws.items()} == {0: 6, 1: 6}


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("counts", [False, True])
def test_states_of_versions_that_knew_two_classes_are_read(both, counts):
    p, q = weights(), np.random.default_rng(7).dirichlet(np.full(40, 0.5))
    first = AdaptiveSampler(LABELS, batch_size=10)
    first.renew({1: p} | ({0: q} if both else {}))
    list(itertools.islice(first, 6))
    new = first.state_dict()
    old = {name: new[name] for name in ("seed", "batch_size", "steps", "rows", "epoch", "step")}
    old |= {"weights": first.weights[1], "negative_weights": first.weights.get(0)}
    if counts:
        old |= {"drawn_positives": new["drawn"][POSITIVES], "drawn_negatives": new["drawn"][LABELS == 0]}
    second = AdaptiveSampler(LABELS, batch_size=10)
    second.load_state_dict(old)
    assert second.draws[1].batches == (6 if counts else 0)
    assert (0 in second.draws) == both
    assert list(first) == list(second)


def test_weights_renewed_later_change_no_other_chance():
    plain, renewed = (AdaptiveSampler(LABELS, batch_size=10) for _ in range(2))
    one, two = iter(plain), iter(renewed)
    assert next(one) == next(two)
    renewed.renew({1: weights()})
    assert next(one) != next(two)
    renewed.renew(None)
    assert next(one) == next(two)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_takes_it(workers):
    images = torch.arange(100.0)[:, None]
    sampler = AdaptiveSampler(LABELS, batch_size=10)
    loader = DataLoader(images, batch_sampler=sampler, num_workers=workers)
    expected = list(AdaptiveSampler(LABELS, batch_size=10))
    assert len(loader) == 10
    assert [batch[:, 0].long().tolist() for batch in loader] == expected


def test_torch_labels_and_weights():
    sampler = AdaptiveSampler(torch.from_numpy(LABELS), batch_size=8)
    sampler.renew({1: torch.from_numpy(weights())})
    np.testing.assert_allclose(sampler.weights[1], weights())


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        ([0, 1, -2], {}, r"with \[-2\]"),
        ([0, 1, 1.5], {}, r"with \[1.5\]"),
        (["a", "b"], {}, r"class ids 0…K−1"),
        ([0, 1, 3], {}, "3 of 4 classes, and no row of class 2"),
        ([0, 1, 10**12], {}, "no row of class 2"),
        ([0, 1, 2] * 4, {"batch_size": 9, "replicas": 2}, "A batch must divide among 2 processes"),
        ([[0, 1]], {}, r"shape \(1, 2\)"),
        ([0, 0, 0], {}, "1 different positives; got 0"),
        ([1, 1, 1], {}, "1 different negatives; got 0"),
        ([0, 1] * 3, {"batch_size": 8}, "4 different positives; got 3"),
        ([0, 1], {"batch_size": 1}, "at least 2"),
        ([0, 1], {"steps": 0}, "steps must be"),
        ([0, 1], {"seed": -1}, "seed"),
        ([0, 1], {"rank": 2, "replicas": 2}, "rank 2 of 2"),
        ([0, 1] * 4, {"batch_size": 6, "replicas": 2}, "multiple of 4"),
    ],
)
def test_bad_settings_are_refused(labels, settings, message):
    with pytest.raises(InputError, match=message):
        AdaptiveSampler(labels, **{"batch_size": 2, **settings})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.ones(59), "each of 60 positives"),
        (np.ones((60, 1)), r"shape \(60, 1\)"),
        (np.where(np.arange(60) == 7, -1.0, 1.0), "-1.0 for positive 7"),
        (np.where(np.arange(60) == 8, np.nan, 1.0), "nan for positive 8"),
        (np.zeros(60), "got weights above 0 for 0"),
        (np.arange(60) < 3, "got weights above 0 for 3"),
    ],
)
def test_bad_weights_are_refused_and_the_old_ones_stay(wrong, message):
    sampler = AdaptiveSampler(LABELS, batch_size=16)
    sampler.renew({1: weights()})
    with pytest.raises(InputError, match=message):
        sampler.renew({1: wrong})
    np.testing.assert_allclose(sampler.weights[1], weights())


def test_a_foreign_state_is_refused():
    sampler = AdaptiveSampler(LABELS, batch_size=16)
    for other in (
        AdaptiveSampler(LABELS, batch_size=8, steps=6),
        AdaptiveSampler(LABELS, batch_size=16, seed=1),
        AdaptiveSampler([0, 1] * 50, batch_size=16, steps=5),
        AdaptiveSampler([0, 1] * 60, batch_size=16, steps=6),
    ):
        with pytest.raises(InputError, match="Expected the state of a sampler"):
            sampler.load_state_dict(other.state_dict())
    with pytest.raises(InputError, match="epoch"):
        sampler.load_state_dict({"seed": 0})
