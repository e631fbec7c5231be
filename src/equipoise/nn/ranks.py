"""Processes that share a batch: what an image gets by chance does not depend on which of them has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["RankGenerator", "gathered", "normal"]


def gathered(values: Tensor) -> Tensor:
    """Values of one shape from each process of the default group, by rank, shape (processes, …)."""
    each = [torch.empty_like(values) for _ in range(dist.get_world_size())]
    dist.all_gather(each, values.contiguous())
    return torch.stack(each)


class RankGenerator(torch.Generator):
    """A process's own chance, and beside it that of the whole batch, of which each process takes its images' part.

    Image i of process r is image i · `replicas` + r of the batch, as `resample.AdaptiveSampler` shares it.

    Args:
        device: Where numbers are drawn.
        rank: This process, 0…replicas−1.
        replicas: Processes.

    Attributes:
        whole: Must be seeded alike in all processes, and nothing else be drawn from it.
        labels: Class ids of the whole batch, shape (n,).
    """

    def __new__(cls, device: torch.device | str, rank: int, replicas: int) -> RankGenerator:
        return super().__new__(cls, device)  # type: ignore[call-arg]

    def __init__(self, device: torch.device | str, rank: int, replicas: int) -> None:
        self.rank, self.replicas = rank, replicas
        self.whole = torch.Generator(device)
        self.labels = torch.empty(0, dtype=torch.int64)

    def places(self, chosen: Callable[[Tensor], Tensor]) -> tuple[int, Tensor]:
        """How many images of the whole batch have labels that `chosen` says yes to, and which of them are ours."""
        yes = chosen(self.labels)
        mine = torch.zeros_like(yes)
        mine[self.rank :: self.replicas] = True
        return int(yes.sum()), (yes.cumsum(0) - 1)[yes & mine]


def normal(
    shape: Sequence[int],
    generator: torch.Generator | None,
    *,
    device: torch.device,
    dtype: torch.dtype,
    chosen: Callable[[Tensor], Tensor] = lambda labels: torch.ones_like(labels, dtype=torch.bool),
) -> Tensor:
    """Draws of N(0, 1) for images, shape (n, …), on `device`.

    Args:
        shape: The first number is that of the images.
        generator: On any device; None takes torch's own. Of a `RankGenerator` one process and several draw the same
            for an image.
        device: Where they are needed.
        dtype: Of what type.
        chosen: Labels of a batch → which images these are; all by default.
    """
    options: Any = {"device": device if generator is None else generator.device, "dtype": dtype}
    if isinstance(generator, RankGenerator):
        total, mine = generator.places(chosen)
        if len(mine) == shape[0]:  # else it is drawn for something other than the batch's images
            drawn = torch.randn((total, *shape[1:]), generator=generator.whole, **options)
            return drawn[mine.to(drawn.device)].to(device)
    return torch.randn(tuple(shape), generator=generator, **options).to(device)
