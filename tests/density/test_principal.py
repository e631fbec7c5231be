"""Mergeable moments and principal axes, against NumPy."""

from functools import reduce
from itertools import permutations

import numpy as np
import pytest
import torch

from equipoise.density import Moments, moments
from equipoise.density.principal import chunk_moments, principal_axes
from equipoise.errors import InputError


def test_merged_moments_are_those_of_the_whole():
    rows = torch.randn(100, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1e6
    merged = chunk_moments(rows[:13]).merge(chunk_moments(rows[13:]))
    assert merged.rows == 100
    np.testing.assert_allclose(merged.mean, rows.numpy().mean(0))
    np.testing.assert_allclose(merged.scatter / 99, np.cov(rows.numpy().T), rtol=1e-6)


def test_axes_carry_the_variance_in_order():
    scales = torch.tensor([0.1, 5.0, 1.0], dtype=torch.float64)
    rows = torch.randn(2000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * scales
    axes = principal_axes(chunk_moments(rows), components=2)
    assert axes.shape == (3, 2)
    assert axes.abs().argmax(0).tolist() == [1, 2]
    assert torch.allclose(axes.T @ axes, torch.eye(2, dtype=torch.float64))
    assert principal_axes(chunk_moments(rows), components=9).shape == (3, 3)
    flat = torch.cat([rows, torch.ones(2000, 2, dtype=torch.float64)], 1)
    assert principal_axes(chunk_moments(flat), components=9).shape == (5, 3)
    assert principal_axes(chunk_moments(torch.ones(4, 2, dtype=torch.float64)), components=9).shape == (2, 1)


def test_moments_of_shards_in_any_order_and_of_none():
    rows = torch.randn(90, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 5 - 2
    whole = moments(rows)
    shards = [chunk_moments(rows[place]) for place in (slice(0, 7), slice(7, 7), slice(7, 60), slice(60, 90))]
    for some in permutations(shards):
        found = reduce(Moments.merge, some)
        assert found.rows == 90
        torch.testing.assert_close(found.mean, whole.mean)
        torch.testing.assert_close(found.scatter, whole.scatter)
    assert shards[1].merge(shards[1]).rows == 0
    with pytest.raises(InputError, match="got 3 and 2 numbers a row"):
        whole.merge(moments(rows[:, :2]))
    with pytest.raises(InputError, match="no rows"):
        moments(rows[:0])
