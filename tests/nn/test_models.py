"""What every network of the package keeps to."""

import pytest
import torch
from torch import nn

from equipoise.errors import InputError
from equipoise.nn import DBVAE, Classifier, Decoder, StandardCNN

SMALL = {"width": 4, "image_size": 32, "channels": 3}


def cnn(generator, **options):
    return Classifier(StandardCNN(hidden=16, generator=generator, **{**SMALL, **options}))


def dbvae(generator, **options):
    return DBVAE(latent=5, generator=generator, **{**SMALL, **options})


def dbvae_own_encoder(generator, **options):
    channels = options.get("channels", 3)
    encoder = nn.Sequential(
        nn.Conv2d(channels, 6, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    )
    nn.init.xavier_uniform_(encoder[0].weight, generator=generator)
    nn.init.zeros_(encoder[0].bias)
    return DBVAE(encoder, latent=5, generator=generator, **{**SMALL, **options})


@pytest.fixture(params=[cnn, dbvae, dbvae_own_encoder])
def build(request):
    return request.param


@pytest.fixture
def batch(generator):
    return torch.rand(6, 3, 32, 32, generator=generator), torch.tensor([1, 0, 0, 1, 1, 0])


def test_shapes(build, batch, generator):
    model = build(generator)
    assert model(batch[0]).shape == (6,)
    losses = model.losses(*batch, generator=generator)
    assert losses.total.shape == ()
    assert losses.logits.shape == (6,)
    assert losses.codes is None or losses.codes.shape == (6, 5)
    assert not losses.logits.requires_grad


def test_parts_sum_to_the_total(build, batch, generator):
    losses = build(generator).losses(*batch, generator=generator)
    torch.testing.assert_close(sum(losses.parts.values()), losses.total.detach())
    assert not any(part.requires_grad for part in losses.parts.values())


def test_gradients_reach_every_parameter(build, batch, generator):
    model = build(generator, decoder_output="sigmoid") if build is not cnn else build(generator)
    model.losses(*batch, generator=generator).total.backward()
    dead = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert dead == []


def test_a_few_steps_learn(build, batch, generator):
    model = build(generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    totals = []
    for _ in range(15):
        losses = model.losses(*batch, generator=generator)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        totals.append(losses.total.item())
    assert totals[-1] < 0.9 * totals[0]


def test_evaluation_is_deterministic_and_single_images_count(build, batch, generator):
    model = build(generator)
    model(batch[0])
    model.eval()
    together = model(batch[0])
    assert torch.equal(together, model(batch[0]))
    torch.testing.assert_close(torch.cat([model(image[None]) for image in batch[0]]), together)


def test_state_dict_round_trip(build, batch, generator):
    model = build(generator)
    model.losses(*batch, generator=generator)
    other = build(torch.Generator().manual_seed(9))
    assert not torch.equal(model.eval()(batch[0]), other.eval()(batch[0]))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(batch[0]), other(batch[0]))


def test_starting_weights_follow_the_generator(batch):
    for build in (cnn, dbvae):
        first, again = (build(torch.Generator().manual_seed(2)).eval() for _ in range(2))
        assert torch.equal(first(batch[0]), again(batch[0]))


def test_memory_format_changes_nothing(build, batch, generator):
    model = build(generator).double().eval()
    images = batch[0].double()
    plain = model(images)
    last = model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(images.contiguous(memory_format=torch.channels_last)), plain)


def test_double_precision(build, batch, generator):
    model = build(generator).double()
    losses = model.losses(batch[0].double(), batch[1], generator=generator)
    losses.total.backward()
    assert losses.total.dtype is torch.float64


def test_half_precision_keeps_losses_single(build, batch, generator):
    model = build(generator)
    state = generator.get_state()
    single = model.losses(*batch, generator=generator).total
    generator.set_state(state)
    with torch.autocast("cpu", torch.bfloat16):
        half = model.losses(*batch, generator=generator).total
    assert half.dtype is torch.float32
    torch.testing.assert_close(half, single, rtol=0.02, atol=0.02)


def test_repr_names_the_parts(build, generator):
    assert "Conv2d" in repr(build(generator))


@pytest.mark.parametrize(
    ("image_size", "depth", "channels"), [(16, 1, 1), (16, 2, 3), (48, 3, 1), (64, 5, 4), (32, 4, 3)]
)
def test_sizes(image_size, depth, channels, generator):
    model = DBVAE(
        latent=3, width=2, depth=depth, image_size=image_size, channels=channels, generator=generator
    )
    images = torch.rand(2, channels, image_size, image_size, generator=generator)
    assert model.reconstruct(images).shape == images.shape
    assert model.encode(images).mean.shape == (2, 3)


@pytest.mark.parametrize("network", [StandardCNN, DBVAE, lambda **options: Decoder(4, **options)])
def test_impossible_sizes_are_refused(network):
    with pytest.raises(
        InputError, match=r"image_size must be a multiple of 2\^depth = 16; got 70. Choose 64"
    ):
        network(image_size=70)
    with pytest.raises(InputError, match="depth must be 1 or larger; got 0"):
        network(depth=0)
    with pytest.raises(InputError, match="width must be 1 or larger; got -2"):
        network(width=-2)
