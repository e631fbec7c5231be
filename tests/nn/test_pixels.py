import torch

from equipoise.nn import pixels


def test_pixels_are_divided_by_255_and_channels_last(generator):
    stored = torch.randint(0, 256, (2, 8, 6, 3), dtype=torch.uint8, generator=generator)
    images = pixels(stored)
    assert images.shape == (2, 3, 8, 6)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, stored.permute(0, 3, 1, 2).float() / 255)
    assert pixels(stored, dtype=torch.float64).dtype is torch.float64
    assert stored.dtype is torch.uint8


def test_one_scale_for_every_caller():
    """Regression: latents computed on 0–255 pixels of a model trained on 0–1."""
    stored = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1)
    assert pixels(stored).flatten().tolist() == [0.0, 1.0]
