"""Training and evaluation mode of networks, module by module, put back after a pass whatever happened in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torch import nn

__all__ = ["evaluating", "modes_kept", "weights_fixed"]


@contextmanager
def modes_kept(*networks: nn.Module) -> Iterator[None]:
    """Afterwards, after an exception too, every module is in the mode that it is in now.

    Modules that were made inside get the mode of the network that they are in. A module that does more than set a flag
    when its mode changes (a layer that merges its weights for evaluation) is told through its own `train`.
    """
    modes = {module: module.training for network in networks for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            if type(module).train is not nn.Module.train and module.training != mode:
                with suppress(NotImplementedError):  # exported programs have one mode
                    module.train(mode)
        for network in networks:
            for module in network.modules():
                module.training = modes.get(module, modes[network])
        for module, mode in modes.items():  # one that was taken out of its network inside, too
            module.training = mode


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and then every module's own mode again, as `modes_kept`."""
    with modes_kept(*networks):
        for network in networks:
            with suppress(NotImplementedError):
                network.eval()
            for module in network.modules():  # whatever their own `train` made of it
                module.training = False
        yield


@contextmanager
def weights_fixed(network: nn.Module) -> Iterator[None]:
    """No gradient of the weights inside, and then what was asked of each before."""
    asked = {parameter: parameter.requires_grad for parameter in network.parameters()}
    for parameter in asked:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, wanted in asked.items():
            parameter.requires_grad_(wanted)
