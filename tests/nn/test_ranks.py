"""Two processes with halves of a batch, against one with the whole."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from equipoise.nn import DBVAE, RankGenerator, RankNorm, gathered, normal, reparameterise


def lists(*tensors):
    """As plain numbers, which travel without shared memory."""
    return [tensor.detach().double().tolist() for tensor in tensors]


class Own(nn.BatchNorm2d):
    """As libraries write theirs: the function is called by keywords, and something follows."""

    def forward(self, images):
        statistics = {"running_mean": self.running_mean, "running_var": self.running_var}
        options = {"training": self.training, "momentum": self.momentum, "eps": self.eps}
        return nn.functional.batch_norm(
            images, weight=self.weight, bias=self.bias, **statistics, **options
        ).tanh()


LAYERS = {
    "2d": (lambda: nn.BatchNorm2d(3, momentum=0.3), (8, 3, 4, 4)),
    "vectors": (lambda: nn.BatchNorm1d(3), (8, 3)),
    "3d": (lambda: nn.BatchNorm3d(3), (8, 3, 2, 2, 2)),
    "no weights": (lambda: nn.BatchNorm2d(3, affine=False), (8, 3, 4, 4)),
    "no statistics": (lambda: nn.BatchNorm2d(3, track_running_stats=False), (8, 3, 4, 4)),
    "a library's own": (lambda: Own(3), (8, 3, 4, 4)),
}


def _trained(layer, images, rank=None):
    """Output, gradients of images and weights, and statistics after a step."""
    own = images.clone() if rank is None else images[rank::2].clone()
    own.requires_grad_()
    out = layer(own)
    (out * own.detach().cos()).sum().backward()
    weights = [parameter.grad for parameter in layer.parameters()]
    if rank is not None:
        for gradient in weights:
            dist.all_reduce(gradient)
    return lists(out, own.grad, *weights, *layer.buffers())


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAYERS)
def test_batch_norm_of_two_halves_is_that_of_the_whole(by_two, kind):
    make, shape = LAYERS[kind]
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 50
    whole = _trained(make(), images)

    def work(rank):
        with RankNorm():
            return _trained(make(), images, rank)

    for rank, half in enumerate(by_two(work)):
        for place, (one, other) in enumerate(zip(half, whole, strict=True)):
            wanted = torch.tensor(other)[rank::2] if place < 2 else torch.tensor(other)
            torch.testing.assert_close(torch.tensor(one), wanted, rtol=1e-4, atol=2e-4)


def test_processes_with_different_numbers_of_images_and_one_without_any(by_two):
    images = torch.randn((6, 2, 3, 3), generator=torch.Generator().manual_seed(0))
    layer = nn.BatchNorm2d(2)
    whole = layer(images)

    def work(rank):
        own = nn.BatchNorm2d(2)
        with RankNorm():
            uneven = own(images[:5] if rank == 0 else images[5:])
            alone = nn.BatchNorm2d(2)(images if rank == 0 else images[:0])
        return lists(uneven, alone, own.running_var)

    first, second = by_two(work)
    torch.testing.assert_close(torch.tensor(first[0] + second[0]), whole.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.tensor(first[1]), whole.detach(), rtol=1e-4, atol=1e-5)
    assert second[1] == []
    torch.testing.assert_close(torch.tensor(first[2]), layer.running_var, rtol=1e-4, atol=1e-5)


def test_batch_norm_outside_and_in_evaluation_asks_no_other_process():
    layer, images = nn.BatchNorm2d(3), torch.randn(4, 3, 2, 2)
    layer.eval()
    with RankNorm():  # there is no group: what asked for it would fail
        inside = layer(images)
    assert torch.equal(inside, layer(images))


def test_half_precision_comes_back_as_it_came(by_two):
    images = torch.randn((4, 3, 4, 4), generator=torch.Generator().manual_seed(0)).bfloat16()

    def work(rank):
        own = images[rank::2].clone().requires_grad_()
        layer = nn.BatchNorm2d(3)
        with RankNorm():
            out = layer(own)
            out.float().square().sum().backward()
        return [str(out.dtype), str(own.grad.dtype), *lists(out)]

    found = by_two(work)
    assert [half[:2] for half in found] == [["torch.bfloat16", "torch.bfloat16"]] * 2
    wanted = nn.BatchNorm2d(3)(images.float())
    torch.testing.assert_close(torch.tensor(found[1][2]), wanted[1::2].detach(), rtol=0.02, atol=0.02)


def test_values_of_processes_by_rank(by_two):
    for found in by_two(lambda rank: gathered(torch.tensor([rank, 10 * rank])).tolist()):
        assert found == [[0, 0], [1, 10]]


def rank_generator(rank, labels, replicas=2):
    found = RankGenerator("cpu", rank, replicas)
    found.whole.manual_seed(5)
    found.manual_seed(100 + rank)
    found.labels = labels
    return found


def test_an_image_gets_the_same_noise_whichever_process_has_it():
    labels = torch.tensor([2, 2, 1, 0, 2, 0, 1, 1])
    options = {"device": torch.device("cpu"), "dtype": torch.float32}
    whole = normal((8, 3), torch.Generator().manual_seed(5), **options)
    of_two = normal((5, 3), torch.Generator().manual_seed(5), **options)
    seen = []
    for rank in range(2):
        assert torch.equal(normal((4, 3), rank_generator(rank, labels), **options), whole[rank::2])
        own = labels[rank::2]
        chosen = {"chosen": lambda told: told != 2}
        seen.append(normal((int((own != 2).sum()), 3), rank_generator(rank, labels), **options, **chosen))
    assert [len(part) for part in seen] == [2, 3]
    places = [int((labels[:place] != 2).sum()) for place in range(8) if labels[place] != 2 and place % 2 == 0]
    assert torch.equal(seen[0], of_two[places])


def test_what_is_not_drawn_for_the_batch_comes_from_the_process_itself():
    labels, options = torch.zeros(8), {"device": torch.device("cpu"), "dtype": torch.float32}
    first, second = (normal((3, 2), rank_generator(rank, labels), **options) for rank in range(2))
    assert torch.equal(first, torch.randn((3, 2), generator=torch.Generator().manual_seed(100)))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_db_vae_learns_the_same_from_two_halves(outputs):
    labels = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0] if outputs == 1 else [2, 2, 1, 0, 2, 0, 1, 1])
    model = DBVAE(
        outputs=outputs,
        vae_classes=None if outputs == 1 else (0, 1),
        latent=4,
        width=2,
        depth=1,
        image_size=8,
        generator=torch.Generator().manual_seed(0),
    ).eval()
    images = torch.rand((8, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    whole = model.losses(images, labels, generator=torch.Generator().manual_seed(5))
    halves = [
        model.losses(images[rank::2], labels[rank::2], generator=rank_generator(rank, labels))
        for rank in range(2)
    ]
    mean = sum(float(half.total.detach()) for half in halves) / 2
    assert abs(mean - float(whole.total.detach())) < 1e-6


def test_reparameterised_codes_of_one_process_are_as_ever():
    mean, spread = torch.zeros(3, 2), torch.zeros(3, 2)
    drawn = torch.randn((3, 2), generator=torch.Generator().manual_seed(7))
    assert torch.equal(reparameterise(mean, spread, generator=torch.Generator().manual_seed(7)), drawn)
