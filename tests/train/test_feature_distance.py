import numpy as np
import pytest
import torch

from equipoise.errors import InputError
from equipoise.train.feature_distance import frechet_distance, kernel_distance


def drawn(count, *, seed, shift=0.0, scale=1.0):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)) * scale + shift


def test_kernel_distance_equals_a_loop():
    x, y = drawn(7, seed=0), drawn(5, seed=1, shift=0.4)

    def k(a, b):
        return (float(a.double() @ b.double()) / 6 + 1) ** 3

    within = [
        np.mean([k(v[i], v[j]) for i in range(len(v)) for j in range(len(v)) if i != j]) for v in (x, y)
    ]
    between = np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(sum(within) - 2 * between)


def test_kernel_distance_is_unbiased():
    values = [kernel_distance(drawn(20, seed=2 * s), drawn(20, seed=2 * s + 1)) for s in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 200**0.5
    assert min(values) < 0


def test_frechet_distance_of_normal_distributions():
    real, generated = drawn(20_000, seed=0), drawn(20_000, seed=1, shift=1.0, scale=2.0)
    # Six dimensions: squared shift 1 and (2 − 1)² each.
    assert frechet_distance(real, generated) == pytest.approx(12, rel=0.03)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_equals_the_matrix_root():
    x, y = drawn(30, seed=0), drawn(25, seed=1, scale=1.5)
    a, b = np.cov(x.double().numpy().T), np.cov(y.double().numpy().T)
    root = np.sqrt(np.linalg.eigvals(a @ b).real).sum()
    shift = ((x.double().mean(0) - y.double().mean(0)) ** 2).sum()
    assert frechet_distance(x, y) == pytest.approx(float(shift) + np.trace(a + b) - 2 * root)


def test_farther_is_larger():
    real = drawn(200, seed=0)
    for distance in (kernel_distance, frechet_distance):
        assert distance(real, drawn(200, seed=1)) < distance(real, drawn(200, seed=1, shift=0.5))


@pytest.mark.parametrize("generated", [torch.zeros(1, 6), torch.full((3, 6), torch.nan), torch.zeros(3)])
def test_what_has_no_distance(generated):
    with pytest.raises(InputError, match="finite features of at least two generated images"):
        kernel_distance(drawn(4, seed=0), generated)
