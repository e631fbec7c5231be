"""Slices found on a sample: assigned and counted shard by shard they are what they are on all images."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

from equipoise.fairness import ClassCounts, evaluate_classes, evaluate_counts
from equipoise.slices import find


@pytest.fixture(scope="module")
def found(planted):
    sample = planted(1200)
    found = find(sample.features, sample.labels, sample.logits)
    assert len(found.slices) >= 2
    return found


@pytest.fixture(scope="module")
def others(planted):
    return planted(1500, seed=9)


def parts(edges, n):
    return [slice(a, b) for a, b in zip((0, *edges), (*edges, n), strict=True)]


@pytest.mark.parametrize("edges", [(750,), (0,), (10, 11, 900)])
def test_shards_are_assigned_and_counted_as_all_at_once(found, others, edges):
    n, names = len(others.labels), ("a", "b")
    called = (others.logits > 0).astype(int).reshape(n)
    ids = found.assign(others.features, others.labels)
    assert len(np.unique(ids)) > 2
    whole = evaluate_classes(called, others.labels, found.groups(ids), classes=names)
    own, counts = [], []
    for rows in parts(edges, n):
        own.append(found.assign(others.features[rows], others.labels[rows]))
        groups = found.groups(own[-1])
        counts.append(ClassCounts.of(called[rows], others.labels[rows], groups, classes=names))
    assert np.array_equal(np.concatenate(own), ids)
    for some in (counts, counts[::-1]):
        assert evaluate_counts(reduce(ClassCounts.merge, some)) == whole
    for place, one in enumerate(found.slices):
        inside = whole.groups["slice"][one.name]
        assert inside.n == (ids == place).sum()
        assert inside.accuracy.value == np.mean((called == others.labels)[ids == place])
        assert (
            inside.accuracy.value < whole.accuracy.value
        )  # it fails there on images that no part was found on
    assert whole.worst_group["slice"]["group"] in [one.name for one in found.slices]
    assert "(missing)" in whole.not_compared["slice"]


def test_the_groups_of_the_sample_are_its_column(found):
    groups = found.groups()
    assert [None if i in groups.unknown else groups.names[i] for i in groups.ids] == found.column()
    assert found.groups(np.array([-1])).names == groups.names
