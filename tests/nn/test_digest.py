"""Digests of what a user brings: equal things alone have equal ones."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.nn import architecture_digest, digest_of


class Scaled(nn.Module):
    """A setting that stands in no weight."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, images):
        return images.mean((2, 3)) * self.by


class Held:
    """No network, but it has one."""

    def __init__(self, network, size):
        self.network, self.latent = network, size


def net(seed=0, slope=0.1):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(slope))


def buffered(value, *, persistent):
    module = nn.Identity()
    module.register_buffer("mean", torch.tensor([value]), persistent=persistent)
    return module


def frozen():
    made = net()
    made[0].requires_grad_(False)
    return made


def half():
    return net().half()


def times(by):
    return lambda values: values * by


PAIRS = {
    "weights": (net(0), net(1)),
    "a setting of a layer": (net(slope=0.1), net(slope=0.2)),
    "an attribute": (Scaled(1.0), Scaled(2.0)),
    "a buffer that is saved": (buffered(1.0, persistent=True), buffered(2.0, persistent=True)),
    "a buffer that is not": (buffered(1.0, persistent=False), buffered(2.0, persistent=False)),
    "which weights learn": (net(), frozen()),
    "the type": (net(), half()),
    "the class": (nn.Flatten(), nn.Identity()),
    "what a function closes over": (times(1), times(2)),
    "what a function does": (lambda x: x + 1, lambda x: x + 2),
    "a network in an object": (Held(net(0), 3), Held(net(1), 3)),
    "a number in an object": (Held(net(0), 3), Held(net(0), 4)),
    "an array": (np.zeros(3), np.zeros((3, 1))),
    "a settings' value": ({"steps": 3}, {"steps": 4}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_differs_has_another_digest(name):
    one, other = PAIRS[name]
    assert digest_of(one) != digest_of(other)
    assert digest_of(one) == digest_of(one)


@pytest.mark.parametrize(
    "make", [net, lambda: Scaled(2.0), lambda: times(3), lambda: Held(net(), 3), lambda: nn.LazyLinear(3)]
)
def test_what_is_equal_has_the_same(make):
    assert digest_of(make()) == digest_of(make())


@pytest.mark.slow
def test_a_digest_is_the_same_in_every_process():
    code = (
        "from torch import nn; from equipoise.nn import digest_of; "
        "print(digest_of(nn.Sequential(nn.Flatten(), nn.ReLU())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == digest_of(nn.Sequential(nn.Flatten(), nn.ReLU()))


def test_training_changes_the_digest_and_not_the_architecture():
    before, after = net(0), net(1)
    assert architecture_digest(before) == architecture_digest(after)
    assert architecture_digest(before) != architecture_digest(net(slope=0.5))
    assert architecture_digest(Scaled(1.0)) != architecture_digest(Scaled(2.0))
    assert digest_of(net().train()) == digest_of(net().eval())
