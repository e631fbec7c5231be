import pytest
import torch

from equipoise.errors import InputError
from equipoise.nn.small_gan import SmallDiscriminator, SmallGenerator


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (32, 3), (64, 3)])
def test_shapes_range_and_gradients(size, channels):
    network = SmallGenerator(8, width=4, image_size=size, channels=channels, generator=seeded())
    judge = SmallDiscriminator(width=4, image_size=size, channels=channels, generator=seeded())
    images = network(torch.randn(8, 8, generator=seeded()))
    assert images.shape == (8, channels, size, size)
    assert 0 <= images.min() < images.max() <= 1
    scores = judge(images)
    assert scores.shape == (8,)
    scores.sum().backward()
    for part in (network, judge):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_the_default_generator_fits_into_eight_megabytes():
    state = SmallGenerator().state_dict()
    assert sum(value.numel() * value.element_size() for value in state.values()) < 8e6


def test_weights_come_from_the_generator_given():
    first, again, other = (SmallGenerator(8, width=4, generator=seeded(s)).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["dense.weight"], other["dense.weight"])


def test_the_discriminator_sees_that_all_images_are_one():
    judge = SmallDiscriminator(width=4, image_size=16, channels=1, generator=seeded())
    with torch.no_grad():
        judge.score.weight.zero_()
        judge.score.weight[0, -1] = 1
    varied = torch.rand(16, 1, 16, 16, generator=seeded())
    alone = varied[:1].expand(16, -1, -1, -1)
    with torch.no_grad():
        assert judge(alone).abs().max() < 2e-4
        assert judge(varied).min() > 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 48}, "image_size must be 16, 32, 64 or 128; got 48"),
        ({"channels": 2}, "channels must be 1 or 3; got 2"),
        ({"width": 0}, "width must be 1 or larger; got 0"),
        ({"latent": 0}, "latent must be 1 or larger; got 0"),
    ],
)
def test_sizes_that_are_not_possible(arguments, message):
    with pytest.raises(InputError, match=message):
        SmallGenerator(**arguments)
