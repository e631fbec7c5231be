"""Batches of more than two classes: shares, turns, weights a class, classes of few rows, processes, resuming."""

import itertools

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.resample import AdaptiveSampler, inclusion_probabilities


def labels_of(*counts, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


def shares(labels, batches):
    return np.array([np.bincount(labels[batch], minlength=labels.max() + 1) for batch in batches])


@pytest.mark.parametrize(("classes", "batch"), [(3, 12), (3, 11), (5, 64), (7, 4), (10, 2), (4, 6)])
def test_every_class_has_the_same_share_exactly_over_few_batches(classes, batch):
    labels = labels_of(*range(20, 20 + classes))
    whole = classes // np.gcd(classes, batch)
    found = shares(labels, AdaptiveSampler(labels, batch_size=batch, steps=4 * whole))
    assert (found.sum(1) == batch).all()
    assert np.ptp(found, axis=1).max() <= 1  # no class has more than one row more than another
    assert (found.reshape(4, whole, classes).sum(1) == whole * batch / classes).all()


def test_a_batch_smaller_than_the_classes_has_others_together_each_time_round():
    labels = labels_of(*[9] * 12)
    found = shares(labels, AdaptiveSampler(labels, batch_size=4, steps=6, seed=1))
    assert found.max() == 1
    assert (found[:3].sum(0) == 1).all()
    assert (found[3:].sum(0) == 1).all()
    assert not np.array_equal(found[:3], found[3:])


def test_classes_come_in_descending_order_as_positives_before_negatives():
    labels = labels_of(30, 30, 30)
    for batch in AdaptiveSampler(labels, batch_size=8, steps=5):
        assert (np.diff(labels[batch]) <= 0).all()
        assert len(set(batch)) == 8


def test_rows_of_a_class_follow_its_weights_and_those_of_others_stay_uniform():
    labels = labels_of(30, 40, 50)
    p = np.random.default_rng(3).dirichlet(np.full(40, 0.5))
    sampler = AdaptiveSampler(labels, batch_size=3, steps=5_000)
    sampler.renew({1: 5 * p})
    counts = np.bincount(np.concatenate(list(sampler)), minlength=120)
    for class_id, expected in ((0, np.full(30, 1 / 30)), (1, p), (2, np.full(50, 1 / 50))):
        found, wanted = counts[sampler.rows[class_id]], 5_000 * expected
        seen = wanted > 5
        chi_square = ((found - wanted)[seen] ** 2 / wanted[seen]).sum()
        assert abs(chi_square - seen.sum()) < 6 * np.sqrt(2 * seen.sum())
    assert list(sampler.weights) == [1]
    assert sampler.draws[1].counts.sum() == sampler.draws[1].batches == 5_000


@pytest.mark.parametrize("weighted", [False, True])
def test_a_class_with_fewer_rows_than_its_share_has_each_as_often_as_it_takes(weighted):
    labels = labels_of(2, 1, 40)
    sampler = AdaptiveSampler(labels, batch_size=15, steps=6)
    if weighted:
        sampler.renew({0: [1.0, 3.0], 1: [2.0], 2: np.arange(40.0)})
    for batch in sampler:
        counts = np.bincount(batch, minlength=43)
        assert sorted(counts[sampler.rows[0]]) == [2, 3]
        assert counts[sampler.rows[1]].tolist() == [5]
        assert counts[sampler.rows[2]].max() == 1
    if weighted:
        assert sampler.draws[0].counts.sum() == 30
        assert sampler.draws[1].counts.tolist() == [30]


def test_rows_without_weight_are_not_repeated():
    sampler = AdaptiveSampler(labels_of(5, 5, 5), batch_size=9, steps=4)
    sampler.renew({2: [0, 1, 0, 0, 0]})
    for batch in sampler:
        assert batch[:3] == [int(sampler.rows[2][1])] * 3


@pytest.mark.parametrize(("batch", "replicas"), [(12, 4), (4, 2), (64, 2)])
def test_the_shares_of_all_processes_are_the_batch_of_one(batch, replicas):
    labels = labels_of(3, 40, 50, 60, 70)
    made = [
        AdaptiveSampler(labels, batch_size=batch, seed=3, rank=rank, replicas=count)
        for count in (1, replicas)
        for rank in range(count)
    ]
    for sampler in made:
        sampler.renew({4: np.arange(70.0) + 1})
    for whole, *parts in zip(*made, strict=True):
        assert sorted(itertools.chain(*parts)) == sorted(whole)
        assert {len(part) for part in parts} == {batch // replicas}


@pytest.mark.parametrize("taken", [0, 3, 10, 17])
def test_resuming_continues_exactly(taken):
    labels, weights = labels_of(4, 30, 40, 50), {0: np.ones(4), 3: np.arange(50.0)}
    first, second, whole = (AdaptiveSampler(labels, batch_size=10) for _ in range(3))
    first.renew(weights)
    whole.renew(weights)
    expected = list(itertools.islice(itertools.chain(whole, whole), 20))
    done = list(itertools.islice(itertools.chain(first, first), taken))
    second.load_state_dict(first.state_dict())
    assert done + list(itertools.islice(itertools.chain(second, second, second), 20 - taken)) == expected
    for class_id, drawn in whole.draws.items():
        assert (drawn.counts == second.draws[class_id].counts).all()
        assert drawn.batches == second.draws[class_id].batches


def test_states_of_other_classes_are_refused():
    state = AdaptiveSampler(labels_of(20, 20), batch_size=4).state_dict()
    other = AdaptiveSampler(labels_of(10, 15, 15), batch_size=4)
    with pytest.raises(InputError, match="classes 3; got classes 2"):
        other.load_state_dict(state)
    with pytest.raises(InputError, match=r"without .*drawn"):
        other.load_state_dict({name: v for name, v in other.state_dict().items() if name != "drawn"})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "mapping from class ids.*got list"),
        ({3: np.ones(9)}, r"classes 0…2; got some of \[3\]"),
        ({1: np.ones(8)}, "each of 9 class 1 rows"),
        ({2: np.zeros(9)}, "1 different class 2 rows; got weights above 0 for 0"),
    ],
)
def test_bad_weights_are_refused_and_the_old_ones_stay(weights, message):
    sampler = AdaptiveSampler(labels_of(9, 9, 9), batch_size=6)
    sampler.renew({0: np.arange(9.0)})
    with pytest.raises(InputError, match=message):
        sampler.renew(weights)
    assert list(sampler.weights) == [0]


@pytest.mark.parametrize(("counts", "batch"), [((30, 40, 50), 11), ((3, 40, 50), 20), ((8,) * 10, 4)])
def test_what_weights_come_to_is_what_is_drawn(counts, batch):
    labels, rng = labels_of(*counts), np.random.default_rng(5)
    weights = {class_id: rng.dirichlet(np.ones(count)) for class_id, count in enumerate(counts)}
    sampler = AdaptiveSampler(labels, batch_size=batch, steps=3000)
    sampler.renew(weights)
    list(sampler)
    for class_id, drawn in sampler.draws.items():
        told = drawn.shares(weights[class_id])
        assert told.sum() == pytest.approx(1)
        assert np.abs(told - drawn.counts / drawn.counts.sum()).max() < 0.03
        assert drawn.batch + drawn.more == pytest.approx(batch / len(counts))


def test_of_two_classes_shares_are_inclusion_probabilities_over_the_batch():
    weights = np.arange(20.0) + 1
    sampler = AdaptiveSampler(labels_of(20, 20), batch_size=16)
    sampler.renew({1: weights})
    found = sampler.draws[1]
    assert (found.batch, found.more, found.most) == (8, 0.0, 8)
    assert (found.shares(weights) == inclusion_probabilities(weights, 8) / 8).all()


def test_a_thousand_classes_in_batches_of_64():
    labels = labels_of(*[3] * 1000)
    sampler = AdaptiveSampler(labels, batch_size=64, steps=125)
    sampler.renew({class_id: [0.0, 1.0, 0.0] for class_id in range(0, 1000, 2)})
    found = shares(labels, list(sampler))
    assert found.max() == 1
    assert (found.sum(0) == 8).all()
    assert sampler.draws[10].counts.tolist() == [0, 8, 0]
    assert sampler.draws[10].batches == 8
    assert (sampler.draws[10].batch, sampler.draws[10].most) == (0, 1)
