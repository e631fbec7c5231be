"""Mergeable moments and principal axes, against NumPy."""

import numpy as np
import torch

from equipoise.density.principal import chunk_moments, principal_axes


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
