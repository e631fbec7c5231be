"""The generator that the repository holds."""

from pathlib import Path

import torch

from equipoise.latent import check_generator
from equipoise.train import load_generator

FOLDER = Path(__file__).parents[1] / "examples" / "faces64"


def test_it_draws_varied_colour_images_of_64_pixels():
    generator = load_generator(FOLDER)
    assert check_generator(generator) == (3, 64, 64)
    images = generator.decode(generator.sample(64, generator=torch.Generator().manual_seed(0)))
    mean = images.mean((0, 1))
    assert images.std(0).mean() > 0.15  # no two alike
    assert (mean.flip(1) - mean).abs().mean() < 0.05  # they face either way
    eyes, nose = mean[14:20, [22, 23, 24, 25, 39, 40, 41, 42]].mean(), mean[14:20, 31:33].mean()
    assert eyes < nose - 0.04


def test_it_is_as_small_as_its_card_says():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 8_000_000
