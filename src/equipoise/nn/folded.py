"""Batch normalisation folded into the convolutions before it: the same numbers to rounding in less time."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._pytree import tree_leaves

from equipoise.nn.modes import evaluating

__all__ = ["folded", "near"]

NEAR = 1e-3  # of the largest number of an output: what folding may change, far above what rounding does
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def folded(network: nn.Module, example: Any) -> nn.Module:
    """A copy that gives the same in evaluation mode, with each batch normalisation folded into its convolution.

    Which belong together is seen in one run, not guessed from names: a convolution of plain weights that runs once and
    whose result goes into a normalisation that runs once. A copy whose numbers for the example differ by more than
    rounding (a result that is used elsewhere too) is thrown away.

    Args:
        network: Left as it is. Modules keep their names; a normalisation becomes an identity.
        example: What it takes.

    Returns:
        The copy, or the network itself where nothing can be folded.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        >>> folded(network.eval(), torch.rand(2, 3, 8, 8))[1]
        Identity()
    """
    with evaluating(network), torch.no_grad():
        pairs = _pairs(network, example)
        if not pairs:
            return network
        changed = copy.deepcopy(network)
        for convolution, norm in pairs:
            plain = changed.get_submodule(convolution)
            fused = fuse_conv_bn_eval(plain, changed.get_submodule(norm))  # type: ignore[type-var, arg-type]
            plain.weight, plain.bias = fused.weight, fused.bias
            parent, _, name = norm.rpartition(".")
            setattr(changed.get_submodule(parent), name, nn.Identity())
        return changed if near(network(example), changed(example)) else network


def _pairs(network: nn.Module, example: Any) -> list[tuple[str, str]]:
    """Names of convolutions and of the normalisations behind them."""
    names: dict[nn.Module, str] = {}
    twice: set[nn.Module] = set()
    for name, module in network.named_modules(remove_duplicate=False):
        twice |= {module} & names.keys()
        names[module] = name
    made: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensor too, so that its number is not given again
    ran: dict[nn.Module, int] = {}
    found: dict[nn.Module, nn.Module] = {}

    def after(module: nn.Module, _: Any, result: Tensor) -> None:
        ran[module] = ran.get(module, 0) + 1
        made[id(result)] = module, result

    def before(module: nn.Module, given: tuple[Any, ...]) -> None:
        ran[module] = ran.get(module, 0) + 1
        if given and id(given[0]) in made:
            found[module] = made[id(given[0])][0]

    hooks = []
    for module in names:
        if type(module) in CONVOLUTIONS and _plain(module):
            hooks.append(module.register_forward_hook(after))
        elif type(module) in NORMS and _plain(module) and module.running_mean is not None:
            hooks.append(module.register_forward_pre_hook(before))
    try:
        network(example)
    finally:
        for hook in hooks:
            hook.remove()
    return [
        (names[convolution], names[norm])
        for norm, convolution in found.items()
        if ran[norm] == ran[convolution] == 1 and not {norm, convolution} & twice
    ]


def _plain(module: nn.Module) -> bool:
    """Whether nothing but its own forward decides what it gives."""
    hooks = (module._forward_hooks, module._forward_pre_hooks)
    return not any(hooks) and not hasattr(module, "parametrizations") and "forward" not in vars(module)


def near(one: Any, other: Any) -> bool:
    """Whether all tensors of two outputs are alike but for rounding."""
    pairs = list(zip(_tensors(one), _tensors(other), strict=True))
    return bool(pairs) and all(
        bool(torch.isfinite(b).all()) and float((a - b).abs().max()) <= NEAR * float(a.abs().max()) + 1e-12
        for a, b in pairs
        if a.is_floating_point() and a.numel()
    )


def _tensors(found: Any) -> list[Tensor]:
    return [value for value in tree_leaves(found) if isinstance(value, Tensor)]
