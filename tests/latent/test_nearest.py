import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, minimize

from equipoise.errors import InputError
from equipoise.latent import nearest


@pytest.fixture
def system():
    rng = np.random.default_rng(0)
    return rng.normal(size=(50, 12)), rng.normal(size=(3, 12)) * [[1], [5], [0.2]], rng.normal(size=3)


def test_the_equations_hold_and_the_move_is_the_least_squares_one(system):
    z, weights, offsets = system
    targets = np.random.default_rng(1).normal(size=(50, 3))
    moved = nearest(z, weights, offsets, targets)
    np.testing.assert_allclose(moved @ weights.T + offsets, targets, atol=1e-10)
    for row in range(50):  # numpy's least squares gives the shortest solution
        step = np.linalg.lstsq(weights, targets[row] - offsets - weights @ z[row], rcond=None)[0]
        np.testing.assert_allclose(moved[row], z[row] + step, atol=1e-10)


def test_no_other_point_that_meets_the_equations_is_nearer(system):
    z, weights, offsets = system
    targets = np.array([0.0, 1.0, -2.0])
    moved = nearest(z, weights, offsets, targets)
    distance = np.linalg.norm(moved - z, axis=1)
    free = np.linalg.svd(weights)[2][3:]  # directions that no equation sees
    rng = np.random.default_rng(2)
    for size in (1e-3, 0.1, 3.0):
        other = moved + size * rng.normal(size=(50, 9)) @ free
        np.testing.assert_allclose(other @ weights.T + offsets, np.tile(targets, (50, 1)), atol=1e-8)
        assert (np.linalg.norm(other - z, axis=1) > distance).all()
    found = minimize(
        lambda x: ((x - z[0]) ** 2).sum(),
        np.zeros(12),
        jac=lambda x: 2 * (x - z[0]),
        method="SLSQP",
        constraints=LinearConstraint(weights, targets - offsets, targets - offsets),
        options={"ftol": 1e-12},
    )
    np.testing.assert_allclose(found.x, moved[0], atol=1e-5)


def test_latents_that_meet_the_equations_stay(system):
    z, weights, offsets = system
    np.testing.assert_allclose(nearest(z, weights, offsets, z @ weights.T + offsets), z, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 7, 50, 1000])
def test_the_size_of_a_block_changes_nothing(system, rows):
    z, weights, offsets = system
    targets = np.arange(150.0).reshape(50, 3)
    np.testing.assert_allclose(
        nearest(z, weights, offsets, targets, rows=rows), nearest(z, weights, offsets, targets), atol=1e-12
    )


def test_the_length_of_a_row_changes_nothing(system):
    z, weights, offsets = system
    scale = np.array([1e-6, 1.0, 1e6])
    targets = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(
        nearest(z, weights * scale[:, None], offsets * scale, targets * scale),
        nearest(z, weights, offsets, targets),
        atol=1e-10,
    )


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=lambda d: str(d)[6:]
)
def test_form_and_type_are_kept_and_only_the_answer_is_rounded(system, dtype):
    z, weights, offsets = system
    latents = torch.tensor(z).to(dtype).requires_grad_()
    moved = nearest(latents, torch.tensor(weights), torch.tensor(offsets), torch.zeros(3))
    assert moved.dtype == dtype
    assert not moved.requires_grad
    exact = nearest(latents.detach().double().numpy(), weights, offsets, [0, 0, 0])
    assert isinstance(exact, np.ndarray)
    torch.testing.assert_close(moved, torch.tensor(exact).to(dtype))
    if dtype in (torch.float32, torch.float16):
        single = nearest(latents.detach().numpy(), weights, offsets, [0, 0, 0])
        assert single.dtype == latents.detach().numpy().dtype
        torch.testing.assert_close(torch.tensor(single), moved)


def test_what_came_in_is_left_as_it_was(system):
    z, weights, offsets = system
    for latents in (z.copy(), torch.tensor(z)):
        before = latents + 0
        nearest(latents, weights, offsets, [9, 9, 9])
        assert (latents == before).all()
    locked = z.copy()
    locked.flags.writeable = False
    nearest(locked, weights, offsets, [9, 9, 9])


def test_no_latents_and_one_equation():
    assert nearest(np.empty((0, 4)), np.eye(4)[:2], np.zeros(2), np.zeros(2)).shape == (0, 4)
    np.testing.assert_array_equal(nearest(np.ones((2, 3)), np.eye(3)[0], 0.0, [4.0])[:, 0], [4, 4])


def test_many_latents_take_little_more_than_the_answer():
    import tracemalloc

    z = np.ones((60_000, 64), np.float32)
    tracemalloc.start()
    moved = nearest(z, np.eye(64)[:2], np.zeros(2), [1.0, 2.0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < moved.nbytes + 12 * 2**20


def test_parallel_rows_are_refused_by_name():
    rng = np.random.default_rng(0)
    z, a, b = rng.normal(size=(5, 8)), rng.normal(size=8), rng.normal(size=8)
    for twin in (a, -3 * a, a + 1e-4 * b):
        with pytest.raises(InputError, match=r"those of old, female are nearly parallel \(condition number"):
            nearest(z, np.stack([a, b, twin]), np.zeros(3), np.zeros(3), names=["old", "hat", "female"])
    with pytest.raises(InputError, match="those of row 0, row 1, row 2 are nearly dependent"):
        nearest(z, np.stack([a, b, a - b]), np.zeros(3), np.zeros(3))
    with pytest.raises(InputError, match="nearly dependent"):  # more equations than dimensions
        nearest(z[:, :2], rng.normal(size=(3, 2)), np.zeros(3), np.zeros(3))
    nearest(z, np.stack([a, a + 1e-4 * b]), np.zeros(2), np.zeros(2), condition=1e6)


def test_the_condition_number_is_that_of_the_docstring():
    z, cosine = np.zeros((1, 2)), 0.9
    rows = np.array([[1.0, 0.0], [cosine, np.sqrt(1 - cosine**2)]])
    number = np.sqrt((1 + cosine) / (1 - cosine))
    nearest(z, rows, np.zeros(2), np.zeros(2), condition=number * 1.001)
    with pytest.raises(InputError, match="nearly parallel"):
        nearest(z, rows, np.zeros(2), np.zeros(2), condition=number * 0.999)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latents": [[1.0, 2.0, 3.0]]}, "numpy array or a torch tensor; got list"),
        ({"latents": np.ones((2, 3), int)}, "must be floats; got int64"),
        ({"latents": torch.ones(2, 3, dtype=torch.int32)}, "must be floats; got torch.int32"),
        ({"latents": np.ones(3)}, r"shape \(rows, dimensions\); got \(3,\)"),
        ({"latents": np.ones((2, 4))}, "must have 3 dimensions, as fitted; got 4"),
        ({"latents": np.array([[1.0, 2, 3], [1, np.nan, 3]])}, "NaN or infinity in row 1"),
        ({"latents": torch.tensor([[1.0, torch.inf, -torch.inf]])}, "NaN or infinity in row 0"),
        ({"latents": np.array([[1.0, np.inf, -np.inf]])}, "NaN or infinity in row 0"),
        ({"weights": np.zeros((1, 3))}, "no row all 0"),
        ({"offsets": np.array([np.nan])}, "offsets finite"),
        ({"offsets": np.zeros(2)}, "as many offsets; got shapes"),
        ({"targets": np.zeros(2)}, r"Targets must be finite, of shape \(1,\) or \(2, 1\)"),
        ({"targets": [np.inf]}, "Targets must be finite"),
        ({"rows": 0}, "at least 1 row; got 0"),
    ],
)
def test_errors(change, message):
    arguments = {
        "latents": np.ones((2, 3)),
        "weights": np.ones((1, 3)),
        "offsets": np.zeros(1),
        "targets": np.zeros(1),
    }
    with pytest.raises(InputError, match=message):
        nearest(**{**arguments, **change})


def test_a_large_finite_number_is_no_infinity():
    z = np.full((2, 3), 1e308)
    np.testing.assert_array_equal(nearest(z, np.eye(3)[0], 0.0, [0.0])[:, 1:], z[:, 1:])
