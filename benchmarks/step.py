"""Where a training step of the DB-VAE spends its time, and how far it is from what the machine could do.

    python benchmarks/step.py --threads 2

Ways of taking the same step take turns in one process: as it is, its networks compiled (what `compile` does), and all
of it compiled as one graph, which needs to know beforehand how many pictures of a batch are decoded. Beside them stands
the time of its convolutions alone, forward and backward, each with its own pictures in the layout that it likes best:
what is left of the step if all else cost nothing. Two large matrices say what the processor multiplies.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from equipoise.files import write_json
from equipoise.nn import DBVAE, pixels
from equipoise.nn.losses import db_vae_loss, kl_divergence, reconstruction_loss
from equipoise.nn.same import SameConvTranspose2d, TurnedConv2d

LATENT = 100
WAYS = ("as it is", "networks compiled", "one graph")
Step = Callable[[], Any]


def made() -> DBVAE:
    """The lab's."""
    torch.manual_seed(0)
    return DBVAE(latent=LATENT).to(memory_format=torch.channels_last)


def whole(model: DBVAE) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Its losses without a shape that depends on labels: as many pictures are decoded as there is noise for."""

    def losses(images: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
        logit, mean, log_variance = (part.float() for part in model.encode(images))
        rows = torch.nonzero_static(labels, size=len(noise)).squeeze(1)
        mu, lam = mean[rows], log_variance[rows]
        error = reconstruction_loss(
            images[rows], model.decode(mu + torch.exp(0.5 * lam) * noise), model.reconstruction
        )
        return db_vae_loss(logit, labels, model.kl_weight * kl_divergence(mu, lam) + error)

    return losses


def step(way: str, batch: int, half: bool) -> Step:
    """A step on pictures in memory, half of them positives."""
    model, chance = made(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, fused=True)
    stored = torch.randint(0, 256, (batch, 64, 64, 3), dtype=torch.uint8, generator=chance)
    labels = (torch.arange(batch) < batch // 2).long()
    if way == "networks compiled":
        for part in model.children():
            part.compile()
    one = torch.compile(whole(model), fullgraph=True, dynamic=False) if way == "one graph" else None

    def take() -> None:
        images = pixels(stored)
        noise = torch.randn(batch // 2, LATENT, generator=chance) if one else None
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = one(images, labels, noise) if one else model.losses(images, labels, generator=chance).total
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return take


def convolutions(batch: int, half: bool) -> Step:
    """All convolutions of a step by themselves, forward and backward."""
    kept: list[tuple[nn.Module, Tensor]] = []
    model = made()
    kinds = (TurnedConv2d, SameConvTranspose2d)
    hooks = [
        part.register_forward_pre_hook(lambda module, given: kept.append((module, given[0].detach())))
        for part in model.modules()
        if isinstance(part, kinds)
    ]
    images = torch.rand(batch, 3, 64, 64)
    model.losses(images, (torch.arange(batch) < batch // 2).long())
    for hook in hooks:
        hook.remove()
    dtype = torch.bfloat16 if half else torch.float32
    ready = [
        (module.to(dtype), seen.to(dtype, memory_format=torch.channels_last).requires_grad_())
        for module, seen in kept
    ]
    outs = [torch.ones_like(module(seen)) for module, seen in ready]

    def take() -> None:
        for (module, seen), ones in zip(ready, outs, strict=True):
            module(seen).backward(ones)

    return take


def gflops(dtype: torch.dtype) -> float:
    """Of a product of two large matrices, in 10⁹ operations a second."""
    one, other = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
    one @ other
    began = time.perf_counter()
    for _ in range(5):
        one @ other
    return 5 * 2 * 2048**3 / (time.perf_counter() - began) / 1e9


def measured(batch: int, half: bool, rounds: int, seconds: float) -> dict[str, float]:
    """Milliseconds of each way, the median over rounds of turns."""
    takes = {way: step(way, batch, half) for way in WAYS} | {"convolutions alone": convolutions(batch, half)}
    counts = {}
    for way, take in takes.items():
        for _ in range(4):
            take()
        began = time.perf_counter()
        take()
        counts[way] = max(1, round(seconds / (time.perf_counter() - began)))
    found: dict[str, list[float]] = {way: [] for way in takes}
    for _ in range(rounds):
        for way, take in takes.items():
            began = time.perf_counter()
            for _ in range(counts[way]):
                take()
            found[way].append(1000 * (time.perf_counter() - began) / counts[way])
    return {way: statistics.median(values) for way, values in found.items()}


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.7, help="of a turn")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/step.json"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with FlopCounterMode(display=False) as counter:
        made().losses(torch.rand(32, 3, 64, 64), torch.arange(32) % 2).total.backward()
    found: dict[str, Any] = {
        "threads": asked.threads,
        "gflop_at_32": counter.get_total_flops() / 1e9,
        "gflops": {"float32": gflops(torch.float32), "bfloat16": gflops(torch.bfloat16)},
        "ms": {
            f"{name}, batch {batch}": measured(batch, half, asked.rounds, asked.seconds)
            for name, half in (("float32", False), ("bfloat16", True))
            for batch in (32, 128)
        },
    }
    write_json(asked.out, found)
    print(f"{found['gflop_at_32']:.2f} GFLOP a step of 32; multiplied a second: {found['gflops']}")
    for name, ways in found["ms"].items():
        print(name, {way: round(value, 1) for way, value in ways.items()})


if __name__ == "__main__":
    main()
