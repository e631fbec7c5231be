import numpy as np
import pytest
import torch

from equipoise.errors import InputError
from equipoise.latent import (
    Hyperplane,
    all_sides,
    complement,
    complement_by_side,
    mirror,
    nearest,
    onto,
)


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    make = lambda name: Hyperplane(rng.normal(size=20) + 0.5, rng.normal(), name)  # noqa: E731
    return rng.normal(size=(300, 20)), make("target"), make("protected"), make("second"), make("other")


def test_the_published_closed_form(scene):
    z, t, g, *_ = scene
    rho = g.weight @ t.weight
    assert abs(rho) > 0.1
    step = (g.distances(z) / (1 - rho**2))[:, None] * (g.weight - rho * t.weight)
    np.testing.assert_allclose(complement(z, g, keep=t), z - 2 * step, atol=1e-10, rtol=0)
    np.testing.assert_allclose(onto(z, g, keep=t), z - step, atol=1e-10, rtol=0)
    np.testing.assert_allclose(mirror(z, g), z - 2 * g.distances(z)[:, None] * g.weight, atol=1e-10, rtol=0)


def test_the_target_stays_the_protected_changes_sign_and_twice_is_nothing(scene):
    z, t, g, *_ = scene
    moved = complement(z, g, keep=t)
    np.testing.assert_allclose(t.distances(moved), t.distances(z), atol=1e-10)
    np.testing.assert_allclose(g.distances(moved), -g.distances(z), atol=1e-10)
    np.testing.assert_allclose(complement(moved, g, keep=t), z, atol=1e-10)
    between = onto(z, g, keep=t)
    np.testing.assert_allclose(between, (z + moved) / 2, atol=1e-10)
    np.testing.assert_allclose(g.distances(between), 0, atol=1e-10)
    np.testing.assert_allclose(t.distances(between), t.distances(z), atol=1e-10)


def test_the_mirror_moves_the_target_by_what_its_docstring_says(scene):
    z, t, g, *_ = scene
    change = t.distances(mirror(z, g)) - t.distances(z)
    np.testing.assert_allclose(change, -2 * g.distances(z) * (g.weight @ t.weight), atol=1e-10)
    np.testing.assert_allclose(mirror(z, g), complement(z, g, keep=()), atol=1e-12)


def test_pairs_have_the_same_scores_on_both_sides_and_no_correlation(scene):
    z, t, g, *_ = scene
    assert abs(np.corrcoef(t.distances(z), g.distances(z))[0, 1]) > 0.1
    pairs = np.concatenate([z, complement(z, g, keep=t)])
    scores, sides = t.distances(pairs), g.distances(pairs)
    np.testing.assert_allclose(np.sort(scores[sides > 0]), np.sort(scores[sides < 0]), atol=1e-10)
    assert abs(np.corrcoef(scores, sides)[0, 1]) < 1e-10


def test_several_protected_attributes_at_once(scene):
    z, t, g, second, _ = scene
    both = complement(z, [g, second], keep=t)
    np.testing.assert_allclose(t.distances(both), t.distances(z), atol=1e-10)
    for plane in (g, second):
        np.testing.assert_allclose(plane.distances(both), -plane.distances(z), atol=1e-10)
    one = complement(z, g, keep=[t, second])
    np.testing.assert_allclose(second.distances(one), second.distances(z), atol=1e-10)
    # Each crossing undoes itself whatever the order, so the two one after another are both at once.
    np.testing.assert_allclose(complement(one, second, keep=[t, g]), both, atol=1e-10)


def test_all_sides_make_protected_attributes_uncorrelated_with_one_another(scene):
    z, t, g, second, _ = scene
    every = all_sides(z, [g, second], keep=t)
    assert every.shape == (4, 300, 20)
    np.testing.assert_array_equal(every[0], z)
    np.testing.assert_allclose(every[3], complement(z, [g, second], keep=t), atol=1e-12)
    flat = every.reshape(-1, 20)
    assert abs(np.corrcoef(g.distances(z), second.distances(z))[0, 1]) > 0.1
    found = np.corrcoef([plane.distances(flat) for plane in (t, g, second)])
    np.testing.assert_allclose(found, np.eye(3), atol=1e-10)
    assert torch.equal(all_sides(torch.tensor(z), [g, second], keep=t)[0], torch.tensor(z))


def test_by_side_keeps_the_score_as_read_on_the_side_where_a_latent_stands(scene):
    z, t0, g, t1, _ = scene
    moved = complement_by_side(z, g, keep=(t0, t1))
    side = g.distances(z) >= 0
    assert 30 < side.sum() < 270
    np.testing.assert_allclose(g.distances(moved), -g.distances(z), atol=1e-10)

    def read(latents):
        return np.where(g.distances(latents) >= 0, t1.distances(latents), t0.distances(latents))

    np.testing.assert_allclose(read(moved), read(z), atol=1e-10)
    np.testing.assert_allclose(read(complement_by_side(moved, g, keep=(t0, t1))), read(z), atol=1e-10)
    assert np.abs(t0.distances(moved) - t0.distances(z)).max() > 0.1  # neither alone
    naive = np.stack(
        [
            nearest(
                z[i : i + 1],
                np.stack([g.weight, (t0 if side[i] else t1).weight]),
                np.array([g.bias, (t0 if side[i] else t1).bias]),
                [-g.distances(z[i : i + 1])[0], (t1 if side[i] else t0).distances(z[i : i + 1])[0]],
            )[0]
            for i in range(40)
        ]
    )
    np.testing.assert_allclose(moved[:40], naive, atol=1e-10)
    # With one and the same hyperplane on both sides it is the plain complement.
    np.testing.assert_allclose(complement_by_side(z, g, keep=(t0, t0)), complement(z, g, keep=t0), atol=1e-10)


@pytest.mark.parametrize("edit", ["complement", "onto", "mirror", "complement_by_side"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_gives_what_numpy_gives(scene, edit, dtype):
    z, t, g, second, _ = scene
    calls = {
        "complement": lambda x: complement(x, g, keep=t),
        "onto": lambda x: onto(x, g, keep=t),
        "mirror": lambda x: mirror(x, g),
        "complement_by_side": lambda x: complement_by_side(x, g, keep=(t, second)),
    }
    exact = calls[edit](z)
    array = calls[edit](z.astype(dtype))
    tensor = calls[edit](torch.tensor(z.astype(dtype)))
    assert array.dtype == dtype
    assert tensor.dtype == torch.tensor(array).dtype
    np.testing.assert_allclose(array, tensor.numpy(), atol=1e-6 if dtype == np.float32 else 1e-12)
    np.testing.assert_allclose(array, exact, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_errors(scene):
    z, t, g, second, _ = scene
    twin = Hyperplane(-g.weight, 3.0, "twin")
    with pytest.raises(InputError, match="those of protected, twin are nearly parallel"):
        complement(z, g, keep=[t, twin])
    with pytest.raises(InputError, match="those of protected, twin are nearly parallel"):
        complement_by_side(z, g, keep=(twin, twin))
    with pytest.raises(InputError, match="same number of dimensions"):
        complement(z, g, keep=Hyperplane(np.ones(3), 0.0))
    with pytest.raises(InputError, match="must have 20 dimensions, as fitted; got 19"):
        complement(z[:, 1:], g, keep=t)
    with pytest.raises(InputError, match="side 0 and of side 1; got 1"):
        complement_by_side(z, g, keep=(t,))
    with pytest.raises(InputError, match="at least one protected hyperplane"):
        all_sides(z, [], keep=t)
    with pytest.raises(InputError, match="same number of dimensions"):
        mirror(z, [])
    broken = z.copy()
    broken[7, 3] = np.nan
    for call in (
        lambda: complement(broken, g, keep=t),
        lambda: complement_by_side(broken, g, keep=(t, second)),
    ):
        with pytest.raises(InputError, match="row 7"):
            call()
