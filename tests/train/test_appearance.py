import numpy as np
import pytest
import torch

from equipoise.density import ranks
from equipoise.errors import InputError
from equipoise.train.appearance import appearance_rarity


def pictures(count=400, *, dark=20, size=32, seed=0):
    """Bright ovals on grey, the first few of them dark on grey of the same kind."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(-1, 1, size)
    inside = (grid[:, None] / 0.8) ** 2 + (grid[None] / 0.6) ** 2 < 1
    ink = np.where(np.arange(count) < dark, 60, 190)[:, None, None] + rng.normal(0, 12, (count, 1, 1))
    field = rng.uniform(90, 220, (count, 1, 1))
    images = np.where(inside, ink, field) + rng.normal(0, 6, (count, size, size))
    return np.repeat(images.clip(0, 255).astype(np.uint8)[..., None], 3, 3)


def rarity(images, **options):
    return appearance_rarity(
        lambda: (images[i : i + 64] for i in range(0, len(images), 64)), **options
    ).numpy()


def test_the_few_that_look_different_are_the_rarest():
    scores = rarity(pictures())
    assert scores.shape == (400,)
    assert scores.min() > 0
    assert scores.max() < 1
    assert (scores[:20] > 0.75).mean() > 0.8


def test_neither_order_nor_cut_nor_mirroring_counts():
    images = pictures()
    scores = rarity(images)
    order = np.random.default_rng(1).permutation(len(images))
    np.testing.assert_allclose(rarity(images[order]), scores[order], atol=0.003)
    assert np.corrcoef(rarity(images[:, :, ::-1].copy()), scores)[0, 1] > 0.98


def test_ranks_share_ties():
    assert ranks(torch.tensor([3.0, 1.0, 3.0, 0.0], dtype=torch.float64)).tolist() == [
        0.75,
        0.375,
        0.75,
        0.125,
    ]


def test_flat_and_grey_pictures_have_a_rank_too():
    images = np.zeros((80, 16, 16, 1), np.uint8)
    images[40:] = np.random.default_rng(0).integers(0, 255, (40, 16, 16, 1))
    assert np.isfinite(rarity(images)).all()


def test_too_few_to_call_one_rare():
    with pytest.raises(InputError, match="at least 60 images of a class; got 30"):
        rarity(pictures(30))
    with pytest.raises(InputError, match="at least 60 images of a class; got 0"):
        appearance_rarity(lambda: iter(()))
