"""All forms of latents give the same rows; bad ones are named."""

import numpy as np
import pytest
import torch

from equipoise.density import chunks
from equipoise.density.chunks import joined
from equipoise.errors import InputError


@pytest.fixture
def codes(tmp_path):
    codes = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.save(tmp_path / "codes.npy", codes)
    return codes, np.load(tmp_path / "codes.npy", mmap_mode="r")


@pytest.mark.parametrize("form", ["array", "memmap", "tensor", "half", "list", "function", "strided"])
def test_every_form_gives_the_same_rows(codes, form):
    array, memmap = codes
    expected = torch.from_numpy(array).double()
    given = {
        "array": array,
        "memmap": memmap,
        "tensor": torch.from_numpy(array).requires_grad_(),
        "half": torch.from_numpy(array).half(),
        "list": [array[:20], torch.from_numpy(array[20:])],
        "function": lambda: (array[i : i + 7] for i in range(0, 50, 7)),
        "strided": np.asfortranarray(array),
    }[form]
    parts = list(chunks(given, rows=8))
    rows = torch.cat(parts)
    assert rows.dtype == torch.float64
    assert max(len(part) for part in parts) <= 8
    assert torch.allclose(rows, expected, atol=1e-2 if form == "half" else 0.0)
    assert not rows.requires_grad


def test_small_parts_are_joined():
    parts = [np.full((3, 2), float(i)) for i in range(10)]
    sizes = [len(chunk) for chunk in chunks(parts, rows=8)]
    assert sum(sizes) == 30
    assert sizes[:-1] == [6] * len(sizes[:-1])


def test_a_chunk_never_shares_memory():
    codes = np.ones((4, 2))
    next(chunks(codes)).zero_()
    assert codes.all()


@pytest.mark.parametrize("shape", [(), (2,)])
@pytest.mark.parametrize("sizes", [[3], [3, 0, 5], [50_000, 40_000, 100_000]])
def test_joined_is_one_after_another(shape, sizes):
    parts = [torch.randn(size, *shape, dtype=torch.float64) for size in sizes]
    whole = joined(iter(parts))
    assert torch.equal(whole, torch.cat(parts))
    assert whole.dtype == torch.float64
    assert whole.untyped_storage().nbytes() == whole.nbytes  # a saved tensor takes its storage along
    assert not len(joined([]))


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((0, 3)), "no rows"),
        (np.zeros((3, 0)), "at least 1"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], "got 3 and then 4"),
        ([np.zeros((2, 1)), np.array([[0.0], [np.nan]])], "row 3"),
        (np.array([["a"]]), "numbers"),
        ((part for part in [np.zeros((2, 3))]), "pass a function"),
        ("codes.npy", "got str"),
    ],
)
def test_bad_latents_are_refused(latents, message):
    with pytest.raises(InputError, match=message):
        list(chunks(latents))
