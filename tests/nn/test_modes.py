import pytest
import torch
from torch import nn

from equipoise.nn import evaluating, modes_kept


class Merged(nn.Linear):
    """A layer that does more than set a flag when its mode changes, as low-rank adapters do."""

    merged = False

    def train(self, mode=True):
        self.merged = not mode
        return super().train(mode)


class Untouchable(nn.Sequential):
    """Keeps its norm in evaluation mode, whatever is asked."""

    def train(self, mode=True):
        super().train(mode)
        self[0].eval()
        return self


def mixed():
    network = nn.Sequential(nn.BatchNorm1d(2), Merged(2, 2), nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2)))
    network.train()
    network[0].eval()
    network[2].eval()
    network[2][1].train()
    return network


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("make", [mixed, lambda: Untouchable(*mixed()), lambda: mixed().eval(), nn.Identity])
def test_every_module_has_its_own_mode_again(make, fails):
    network = make()
    before = {name: module.training for name, module in network.named_modules()}
    merged = [module.merged for module in network.modules() if isinstance(module, Merged)]
    try:
        with evaluating(network):
            assert not any(module.training for module in network.modules())
            if fails:
                raise RuntimeError("on purpose")
    except RuntimeError:
        assert fails
    assert {name: module.training for name, module in network.named_modules()} == before
    assert merged == [module.merged for module in network.modules() if isinstance(module, Merged)]


def test_exported_programs_have_one_mode():
    program = torch.export.export(mixed().eval(), (torch.ones(3, 2),)).module()
    with evaluating(program):
        assert program(torch.ones(3, 2)).shape == (3, 2)


def test_modules_that_come_and_go():
    network = mixed()
    gone = network[2]
    with modes_kept(network):
        network.add_module("new", nn.Linear(2, 2).eval())
        network[2] = nn.Identity()
        gone.train()
    assert network.new.training
    assert not gone.training


def test_several_networks_and_one_within_another():
    outer = mixed()
    with evaluating(outer, outer[2], nn.ReLU()):
        assert torch.equal(outer(torch.ones(3, 2)), outer(torch.ones(3, 2)))
    assert [module.training for module in outer.modules()] == [
        *(True, False, True, False, False, True),
    ]
