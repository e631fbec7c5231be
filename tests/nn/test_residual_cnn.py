import pytest
import torch
from torch.nn import functional

from equipoise.errors import InputError
from equipoise.nn import DBVAE, Classifier, ResidualCNN


def network(outputs=1, **settings):
    generator = torch.Generator().manual_seed(0)
    return ResidualCNN(outputs, width=4, depth=3, image_size=16, generator=generator, **settings)


def pictures(count=6):
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_a_block_is_two_convolutions_beside_a_short_cut():
    block, maps = network().eval().blocks[0], torch.rand(2, 4, 8, 8)

    def norm(i, values):
        n = block.norms[i]
        return functional.batch_norm(values, n.running_mean, n.running_var, n.weight, n.bias, eps=n.eps)

    inner = torch.relu(norm(0, functional.conv2d(maps, block.first.weight, stride=2, padding=1)))
    beside = (
        maps[:, :, ::2, ::2] + maps[:, :, 1::2, ::2] + maps[:, :, ::2, 1::2] + maps[:, :, 1::2, 1::2]
    ) / 4
    expected = torch.relu(
        norm(1, functional.conv2d(inner, block.second.weight, padding=1))
        + norm(2, functional.conv2d(beside, block.short.weight))
    )
    torch.testing.assert_close(block(maps), expected)


def test_features_are_means_over_places_and_logits_linear_in_them():
    net, images = network(2).eval(), pictures()
    features = net.features(images)
    assert features.shape == (6, net.feature_count) == (6, 16)
    torch.testing.assert_close(features, net.blocks(net.stem(images)).mean((2, 3)))
    torch.testing.assert_close(net(images), features @ net.output.weight.T + net.output.bias)
    assert network(None)(images).shape == (6, 16)


def test_the_generator_gives_the_weights():
    first, second = network(), network()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ResidualCNN(image_size=30), "multiple of 2"),
        (lambda: ResidualCNN(0), "outputs must be 1 or larger; got 0"),
        (lambda: network()(torch.zeros(1, 3, 8, 8)), r"shape \(batch, 3, 16, 16\)"),
    ],
)
def test_what_cannot_be(make, words):
    with pytest.raises(InputError, match=words):
        make()


def both_kinds():
    dbvae = DBVAE(network(None), latent=3, width=4, depth=3, image_size=16, mirror=True)
    return [Classifier(network(), mirror=True), dbvae]


@pytest.mark.parametrize("model", both_kinds(), ids=["classifier", "DB-VAE"])
def test_in_use_a_picture_and_its_mirror_image_get_one_logit(model):
    images = pictures()
    model.eval()
    torch.testing.assert_close(model(images), model(images.flip(3)))
    once = model.encode if isinstance(model, DBVAE) else model.network
    ways = [
        once(seen)[0] if isinstance(model, DBVAE) else once(seen)[:, 0] for seen in (images, images.flip(3))
    ]
    torch.testing.assert_close(model(images), (ways[0] + ways[1]) / 2)
    assert not torch.allclose(ways[0], ways[1])
    model.train()
    assert not torch.allclose(model(images), model(images.flip(3)))
