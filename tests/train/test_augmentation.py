import pytest
import torch

from equipoise.nn import pixels
from equipoise.train.augmentation import augmented
from equipoise.train.recipe import AUGMENTATIONS


def batch(count=64, side=16, channels=3):
    return torch.randint(0, 256, (count, side, side, channels), dtype=torch.uint8, generator=seeded(1))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nothing_asked_is_plain_scaling():
    images = batch()
    assert torch.equal(augmented(images, (), generator=seeded()), pixels(images))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_changes_the_batch_keeps_the_range_and_follows_the_seed(name):
    images = batch()
    out = augmented(images, (name,), generator=seeded())
    assert out.shape == (64, 3, 16, 16)
    assert out.min() >= 0
    assert out.max() <= 1
    assert not torch.equal(out, pixels(images))
    assert torch.equal(out, augmented(images, (name,), generator=seeded()))
    assert not torch.equal(out, augmented(images, (name,), generator=seeded(2)))


def test_flip_mirrors_about_half_and_leaves_the_rest():
    images = batch(400)
    out, plain = augmented(images, ("flip",), generator=seeded()), pixels(images)
    same = (out == plain).all(dim=(1, 2, 3))
    mirrored = (out == plain.flip(3)).all(dim=(1, 2, 3))
    assert bool((same | mirrored).all())
    assert 140 < int(mirrored.sum()) < 260


def test_shift_moves_whole_pixels():
    ramp = torch.arange(32, dtype=torch.uint8)[None, None, :, None].expand(50, 32, 32, 1).contiguous()
    out = augmented(ramp, ("shift",), generator=seeded()) * 255
    inner = out[:, 0, :, 8:24]
    assert torch.allclose(inner.diff(dim=2), torch.ones_like(inner.diff(dim=2)), atol=1e-3)
    assert len({round(float(v)) for v in out[:, 0, 16, 16]}) > 2


def test_light_keeps_the_order_of_grey_values_and_black_black():
    ramp = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(20, 16, 16, 1).contiguous()
    out = augmented(ramp, ("light",), generator=seeded()).reshape(20, 256)
    assert bool((out.diff(dim=1) >= 0).all())
    assert bool((out[:, 0] == 0).all())


def test_colour_moves_channels_apart_and_light_does_not():
    grey = torch.full((30, 8, 8, 3), 120, dtype=torch.uint8)
    light = augmented(grey, ("light",), generator=seeded())
    colour = augmented(grey, ("colour",), generator=seeded())
    assert torch.allclose(light[:, 0], light[:, 1])
    assert not torch.allclose(colour[:, 0], colour[:, 1], atol=0.02)


def test_erase_leaves_some_images_whole():
    images = torch.zeros((200, 16, 16, 3), dtype=torch.uint8)
    out = augmented(images, ("erase",), generator=seeded())
    touched = (out > 0).any(dim=(1, 2, 3)).float().mean()
    assert 0.3 < touched < 0.6
