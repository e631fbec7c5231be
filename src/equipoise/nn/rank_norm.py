"""Batch norm over the batch of all processes of a training run, as one process with the whole batch has it.

torch's `SyncBatchNorm` does the same on accelerators alone, for layers that are converted to it. This takes the call
that all such layers make, those of other libraries too, so that layers and their state stay as they are.

Source: torch.nn.SyncBatchNorm; means and squares are put together as by Chan, Golub, LeVeque 1979. Differs from it in:
any device, and processes may have different numbers of values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from equipoise.nn.ranks import gathered

__all__ = ["RankNorm"]

SIGNATURE = inspect.signature(functional.batch_norm)


class RankNorm(TorchFunctionMode):
    """Inside, `batch_norm` in training normalises by the values of all processes of the default group.

    Every process must pass through the same layers in the same order.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is not functional.batch_norm:
            return func(*args, **(kwargs or {}))
        given = SIGNATURE.bind(*args, **(kwargs or {}))
        given.apply_defaults()
        return (
            _batch_norm(**given.arguments) if given.arguments["training"] else func(*args, **(kwargs or {}))
        )


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    found: tuple[Tensor, Tensor, Tensor, Tensor] = _Normalised.apply(input, weight, bias, eps)  # type: ignore[no-untyped-call]
    out, mean, variance, count = found
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            unbiased = variance * count / (count - 1).clamp(min=1)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    return out


class _Normalised(torch.autograd.Function):
    """(x − mean)/√(variance + ε) · weight + bias, with mean, variance and number of values over all processes."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        full, dims = _full(images), _all_but_channels(images)
        here = full.numel() // full.shape[1]
        mean = full.sum(dims) / max(here, 1)
        squares = (full - _shaped(mean, full)).square().sum(dims)
        mine = torch.cat([mean, squares, mean.new_tensor([here])]).double()
        means, spreads, counts = gathered(mine).tensor_split([len(mean), 2 * len(mean)], dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (spreads + counts * (means - mean).square()).sum(0) / count
        mean, variance = mean.to(full.dtype), variance.to(full.dtype)
        out = functional.batch_norm(images, mean, variance, weight, bias, False, 0.0, eps)
        ctx.save_for_backward(images, weight, mean, torch.rsqrt(variance + eps), count)
        ctx.mark_non_differentiable(mean, variance, count)
        return out, mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        images, weight, mean, scale, count = ctx.saved_tensors
        slope, dims = _full(gradient), _all_but_channels(images)
        places = (_full(images) - _shaped(mean, images)) * _shaped(scale, images)
        own = torch.stack([slope.sum(dims), (slope * places).sum(dims)])
        both = own.double()
        dist.all_reduce(both)
        level, tilt = (both / count).to(slope.dtype)
        factor = scale if weight is None else scale * _full(weight)
        back = slope - _shaped(level, slope) - places * _shaped(tilt, slope)
        back = (back * _shaped(factor, slope)).to(images.dtype)
        if weight is None:
            return back, None, None, None
        return back, own[1].to(weight.dtype), own[0].to(weight.dtype), None


def _all_but_channels(images: Tensor) -> list[int]:
    return [0, *range(2, images.ndim)]


def _shaped(values: Tensor, images: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (images.ndim - 2))


def _full(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
