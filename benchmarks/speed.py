"""Training speed of the DB-VAE, side by side in one process: a plain transcription of the lab, and equipoise.

A step is a whole training step: uint8 batch → float, forward, losses, backward, optimiser. Contestants take turns
in short blocks, so that whatever else the machine does meets all of them alike; each one's time is its median
block, and a ratio is the median over rounds of the two blocks' ratio.

    python benchmarks/speed.py                  # table on the screen, benchmarks/results/speed.json
    python benchmarks/speed.py --quick
    python benchmarks/speed.py --compile        # torch.compile too (needs a C++ compiler)
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from equipoise import nn as networks
from equipoise.files import write_json

Step = Callable[[Tensor, Tensor], Tensor]
"""Trains on a batch (uint8 images N×H×W×C, labels) and returns the loss."""

BASELINE = "plain transcription of the lab"


# --- the lab, written down as one would ---


class PlainEncoder(nn.Module):
    """Four convolutions with hand-made 'same' padding, ReLU, batch norm; dense 512; dense outputs."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        plan = [(3, 12, 5), (12, 24, 5), (24, 48, 3), (48, 72, 3)]
        self.convolutions = nn.ModuleList([nn.Conv2d(i, o, k, stride=2) for i, o, k in plan])
        self.norms = nn.ModuleList([nn.BatchNorm2d(o, eps=1e-3, momentum=0.01) for _, o, _ in plan])
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(1152, 512), nn.ReLU(), nn.Linear(512, outputs))

    def forward(self, images: Tensor) -> Tensor:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            padding = (1, 2, 1, 2) if convolution.kernel_size[0] == 5 else (0, 1, 0, 1)
            images = norm(functional.relu(convolution(functional.pad(images, padding))))
        return self.dense(images)


class PlainDecoder(nn.Module):
    """Dense; four transposed convolutions cut to twice the size; ReLU everywhere."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        plan = [(72, 48, 3, 0), (48, 24, 3, 0), (24, 12, 5, 1), (12, 3, 5, 1)]
        self.dense = nn.Linear(latent, 1152)
        self.convolutions = nn.ModuleList(
            [nn.ConvTranspose2d(i, o, k, stride=2, padding=p) for i, o, k, p in plan]
        )

    def forward(self, codes: Tensor) -> Tensor:
        images = functional.relu(self.dense(codes)).view(-1, 72, 4, 4)
        for convolution in self.convolutions:
            size = 2 * images.shape[-1]
            images = functional.relu(convolution(images)[..., :size, :size])
        return images


class PlainDBVAE(nn.Module):
    """Every image is decoded, the loss of the negatives multiplied by 0."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.encoder, self.decoder = PlainEncoder(2 * latent + 1), PlainDecoder(latent)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        raw = self.encoder(images)
        logit, mean, log_variance = raw[:, 0], raw[:, 1 : self.latent + 1], raw[:, self.latent + 1 :]
        codes = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        reconstruction = (images - self.decoder(codes)).abs().mean((1, 2, 3))
        kl = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(1)
        classification = functional.binary_cross_entropy_with_logits(logit, labels, reduction="none")
        return (classification + labels * (5e-4 * kl + reconstruction)).mean()


def plain_step(latent: int) -> Step:
    """Adam as torch makes it by default."""
    model = PlainDBVAE(latent)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)

    def step(images: Tensor, labels: Tensor) -> Tensor:
        floats = images.permute(0, 3, 1, 2).contiguous().float() / 255
        loss = model.loss(floats, labels.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


# --- equipoise ---


def equipoise_step(latent: int, *, bfloat16: bool = False, compiled: bool = False) -> Step:
    """The step of the training loop."""
    model = networks.DBVAE(latent=latent).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, fused=True)
    generator = torch.Generator().manual_seed(0)
    if compiled:
        model.encoder.compile()
        model.decoder.compile()

    def step(images: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            losses = model.losses(networks.pixels(images), labels, generator=generator)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        return losses.total

    return step


# --- measuring ---


@dataclass
class Contestant:
    """A row of the table: what is measured, at which batch size, and its blocks."""

    name: str
    batch_size: int
    precision: str
    build: Callable[[], Step]
    seconds_per_step: list[float] = field(default_factory=list)

    def row(self, baseline: Contestant) -> dict[str, float | int | str]:
        """The numbers, all from interleaved blocks; `ratio` is in images per second."""
        steps_per_s = 1 / statistics.median(self.seconds_per_step)
        pairs = zip(baseline.seconds_per_step, self.seconds_per_step, strict=True)
        scale = self.batch_size / baseline.batch_size
        return {
            "name": self.name,
            "batch_size": self.batch_size,
            "precision": self.precision,
            "steps_per_s": round(steps_per_s, 1),
            "images_per_s": round(steps_per_s * self.batch_size),
            "ratio": round(statistics.median(theirs / ours for theirs, ours in pairs) * scale, 2),
            "best_steps_per_s": round(1 / min(self.seconds_per_step), 1),
        }


def contestants(latent: int, batch_sizes: list[int], *, compiled: bool) -> list[Contestant]:
    """What takes part. Add a row here."""
    rows = [Contestant(BASELINE, 32, "float32", lambda: plain_step(latent))]
    for precision in ("float32", "bfloat16"):
        half = precision == "bfloat16"
        for size in batch_sizes:
            rows.append(
                Contestant(
                    "equipoise", size, precision, lambda half=half: equipoise_step(latent, bfloat16=half)
                )
            )
            if compiled:
                rows.append(
                    Contestant(
                        "equipoise, torch.compile",
                        size,
                        precision,
                        lambda half=half: equipoise_step(latent, bfloat16=half, compiled=True),
                    )
                )
    return rows


def batches(size: int, count: int) -> list[tuple[Tensor, Tensor]]:
    """Smooth random pictures, half of them positives, in a random order."""
    generator = np.random.default_rng(0)
    result = []
    for _ in range(count):
        coarse = torch.from_numpy(generator.random((size, 3, 8, 8), dtype=np.float32))
        smooth = functional.interpolate(coarse, size=(64, 64), mode="bilinear")
        labels = torch.from_numpy(generator.permutation(np.arange(size) % 2))
        result.append(((smooth.permute(0, 2, 3, 1) * 255).to(torch.uint8).contiguous(), labels))
    return result


def measure(rows: list[Contestant], *, rounds: int, images: int, least_steps: int) -> None:
    """Fill in the blocks: in each round every contestant trains on about `images` images."""
    steps = [row.build() for row in rows]
    data = {size: batches(size, 4) for size in {row.batch_size for row in rows}}
    for turn in range(rounds + 1):
        for row, step in zip(rows, steps, strict=True):
            count = max(least_steps, images // row.batch_size)
            start = time.perf_counter()
            for i in range(count):
                loss = step(*data[row.batch_size][i % 4])
            seconds = time.perf_counter() - start
            if not torch.isfinite(loss):
                raise SystemExit(f"{row.name}: the loss is not finite, so its speed means nothing.")
            if turn:  # the first round warms up
                row.seconds_per_step.append(seconds / count)


# --- telling ---


def machine(threads: int) -> dict[str, str | int]:
    """What the numbers depend on; nothing that names the machine."""
    model = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": model,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count() or 0,
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def table(rows: list[dict[str, float | int | str]]) -> str:
    """Markdown."""
    lines = [
        "| training step | batch | precision | steps/s | images/s | × plain (images/s) |",
        "|---|---:|---|---:|---:|---:|",
    ]
    lines += [
        f"| {row['name']} | {row['batch_size']} | {row['precision']} | {row['steps_per_s']} "
        f"| {row['images_per_s']:,} | {row['ratio']:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 64, 128, 256, 512], metavar="N")
    parser.add_argument("--latent", type=int, default=100)
    parser.add_argument(
        "--rounds", type=int, default=12, help="blocks of each contestant (default: %(default)s)"
    )
    parser.add_argument("--images", type=int, default=1600, help="images a block (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    parser.add_argument("--quick", action="store_true", help="batch 32 and 256 only, few and short blocks")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed.json")
    options = parser.parse_args()
    if options.quick:
        options.batch_sizes, options.rounds, options.images = [32, 256], 4, 800
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows = contestants(options.latent, options.batch_sizes, compiled=options.compile)
    measure(rows, rounds=options.rounds, images=options.images, least_steps=3)
    numbers = [row.row(rows[0]) for row in rows]
    print(table(numbers))
    write_json(
        options.out,
        {
            "machine": machine(options.threads),
            "settings": {
                "latent": options.latent,
                "rounds": options.rounds,
                "images_per_block": options.images,
                "image_size": 64,
            },
            "rows": numbers,
            "seconds_per_step": [
                {
                    "name": r.name,
                    "batch_size": r.batch_size,
                    "precision": r.precision,
                    "blocks": r.seconds_per_step,
                }
                for r in rows
            ],
        },
    )


if __name__ == "__main__":
    main()
