import numpy as np
import torch

from equipoise.pictures.appearance import light, structure


def test_structure_does_not_see_light_and_light_does(rng):
    images = torch.from_numpy(rng.integers(60, 190, (10, 32, 32, 3), np.uint8))
    darker = (images // 2).to(torch.uint8)
    assert torch.allclose(structure(images), structure(darker), atol=0.1)
    assert bool((light(darker) < 0.6 * light(images)).all())
    assert torch.allclose(structure(images).mean(1), torch.zeros(10), atol=1e-5)


def test_light_is_the_percentile():
    images = np.zeros((1, 64, 64, 1), np.uint8)
    images[0, ::2, ::2, 0] = np.arange(32)[:, None] * 8
    np.testing.assert_allclose(
        light(torch.from_numpy(images))[0, 1] * 255, np.percentile(images[0, ::2, ::2], 95), atol=8
    )
