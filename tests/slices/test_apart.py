"""What stands apart is told from what is cut off, and clusters are found."""

from __future__ import annotations

import numpy as np

from equipoise.slices.apart import GAP, gap, parts
from equipoise.slices.k_means import k_means, nearest


def blobs(*centres, each=80):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(each, 4)) + centre for centre in centres]).astype(np.float32)


def test_a_group_with_a_gap_stands_apart_and_the_tail_of_a_cloud_does_not():
    points = blobs(0, 0, 0, 5)
    finding = np.arange(len(points)) % 2 == 0
    group = np.arange(len(points)) >= 240
    assert gap(points, group, finding) > 6
    tail = points[:, 0] > np.quantile(points[~group, 0], 0.9)
    assert gap(points[~group], tail[~group], finding[~group]) < GAP


def test_two_groups_come_apart_and_one_stays_whole():
    points = blobs(0, 5)
    finding = np.arange(len(points)) % 2 == 0
    first = np.arange(len(points)) < 80
    found = parts(points, np.ones(len(points), bool), finding, np.random.default_rng(0))
    assert sorted((part == first).mean() for part in found) == [0.0, 1.0]
    assert len(parts(points, first, finding, np.random.default_rng(0))) == 1


def test_clusters_are_found_and_fewer_rows_than_clusters_are_no_error():
    points = blobs(0, 8, 16)
    ids = nearest(points, k_means(points, 3, np.random.default_rng(0)))
    assert [len(set(ids[i : i + 80].tolist())) for i in (0, 80, 160)] == [1, 1, 1]
    assert len(set(ids.tolist())) == 3
    assert len(k_means(np.ones((5, 2), np.float32), 4, np.random.default_rng(0))) == 1
