"""What risk costs: time of scoring beside the bare model, the queue's share of a training step, memory of 10⁷ scores.

    python benchmarks/risk_overhead.py
    python benchmarks/risk_overhead.py --quick

Times: the bare model and every wrapped one take turns in short blocks in one process, so that whatever else the
machine does meets all of them alike; a ratio is the median over rounds of the two blocks' ratio. Memory: scores of
vectors from a tiny model are written to Parquet, each size in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from equipoise.nn import StandardCNN
from equipoise.risk import (
    MVE,
    VAE,
    Dropout,
    Ensemble,
    Histogram,
    HistogramVAE,
    LastLayer,
    Neighbours,
    Wrapped,
    write_risks,
)

BATCH = 256
SIZES = (100_000, 1_000_000, 10_000_000)
GOALS = {"Histogram": 1.15, "HistogramVAE": 1.15}
QUEUE_GOAL = 0.02


def standard_cnn() -> nn.Module:
    """The labs' network."""
    return StandardCNN(2, generator=torch.Generator().manual_seed(0))


def resnet() -> nn.Module:
    """ResNet-18 as the package transformers builds it; nothing is downloaded."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        num_labels=2,
    )
    return ResNetForImageClassification(config)


MODELS = {
    "standard CNN, width 12": (standard_cnn, None, BATCH),
    "ResNet-18 (transformers)": (resnet, "logits", 32),
}


def methods(network: Callable[[], nn.Module]) -> dict:
    """Every method."""
    return {
        "Histogram": Histogram(),
        "HistogramVAE": HistogramVAE(),
        "HistogramVAE, epistemic=True": HistogramVAE(epistemic=True),
        "VAE": VAE(),
        "MVE": MVE(),
        "Neighbours": Neighbours(),
        "LastLayer": LastLayer(),
        "Ensemble, 5 members": Ensemble(5, make=network),
        "Dropout, 20 passes": Dropout(20),
    }


def batches(size: int, count: int = 4) -> list[tuple[Tensor, Tensor]]:
    """Random pictures and labels."""
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand(size, 3, 64, 64, generator=generator), torch.arange(size) % 2) for _ in range(count)]


def seconds(action: Callable[[], object], times: int) -> float:
    """Of one action, the mean of a block."""
    start = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - start) / times


def scoring(name: str, rounds: int, options) -> list[dict]:
    """wrapped(x, return_risk=True) over model(x)."""
    build, output, size = MODELS[name]
    data = batches(size)
    torch.manual_seed(0)
    network = build().eval()
    wrapped = {
        label: method(network, output=output).fit([*data, *data]) for label, method in methods(build).items()
    }
    for model in wrapped.values():
        model.eval()
        for method in model.methods.values():
            if isinstance(method, HistogramVAE):
                method.kl.fill_(
                    1.0
                )  # a few steps on random pictures make no unit active; here all are counted
    images = data[0][0]
    bare: list[float] = []
    ours: dict[str, list[float]] = {label: [] for label in wrapped}
    with torch.no_grad():
        for turn in range(rounds + 1):
            now = seconds(lambda: network(images), options.times)
            for label, model in wrapped.items():
                slow = label.startswith(("Dropout", "Ensemble"))
                if slow and turn > 2:
                    continue
                # the bare model again beside each: minutes later the machine may be another
                if not slow:
                    now = seconds(lambda: network(images), options.times)
                took = seconds(
                    lambda model=model: model(images, return_risk=True), 1 if slow else options.times
                )
                if turn:  # the first round warms up
                    ours[label].append(took / now)
                    bare.append(now)
    return [
        {
            "model": name,
            "batch": size,
            "method": label,
            "bare_ms": 1000 * statistics.median(bare),
            "ratio": statistics.median(ratios),
            "low": float(np.quantile(ratios, 0.25)),
            "high": float(np.quantile(ratios, 0.75)),
            "goal": GOALS.get(label),
        }
        for label, ratios in ours.items()
    ]


def queue_share(name: str, rounds: int) -> list[dict]:
    """Time to put a batch's features into the queue over the time of a training step of the bare model."""
    build, output, size = MODELS[name]
    data = batches(size)
    torch.manual_seed(0)
    network = build().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

    def logits(images: Tensor) -> Tensor:
        returned = network(images)
        return returned if output is None else getattr(returned, output)

    def step() -> None:
        images, labels = data[0]
        optimizer.zero_grad()
        cross_entropy(logits(images), labels).backward()
        optimizer.step()

    out = []
    for label, method in (("Histogram", Histogram()), ("HistogramVAE", HistogramVAE())):
        wrapped: Wrapped = method(network, output=output, example=data[0][0])
        inner = next(iter(wrapped.methods.values()))
        with torch.no_grad():
            _, seen = wrapped._see((data[0][0],), {})
            shares = []
            for turn in range(rounds + 1):
                with torch.enable_grad():
                    whole = seconds(step, 1)
                part = seconds(lambda inner=inner, seen=seen: inner.observe(seen), 20)
                if turn:
                    shares.append(part / whole)
        out.append(
            {
                "model": name,
                "batch": size,
                "method": label,
                "step_ms": 1000 * whole,
                "share": statistics.median(shares),
                "goal": QUEUE_GOAL,
            }
        )
    return out


def write_once(rows: int) -> dict:
    """Score `rows` vectors and write them; the peak of this process."""
    from equipoise.run.account import peak_rss_bytes

    size = 8192

    def parts(count: int, seed: int):
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, count, size):
            yield torch.randn(min(size, count - start), 8, generator=generator)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    wrapped = Histogram(queue=2 * size)(model).fit(list(parts(2 * size, 1))).calibrate(list(parts(size, 2)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        write_risks(wrapped, parts(size, 3), path, percentiles=True)  # loads what is loaded once
        before = peak_rss_bytes()
        start = time.perf_counter()
        written = write_risks(wrapped, parts(rows, 4), path, percentiles=True, ids=range(rows))
        return {
            "rows": written,
            "seconds": time.perf_counter() - start,
            "file_mib": path.stat().st_size / 2**20,
            "before_mib": before / 2**20,
            "peak_mib": peak_rss_bytes() / 2**20,
        }


def markdown(results: dict) -> str:
    """The results as a page."""
    lines = ["# What risk costs", "", f"`{results['command']}`", ""]
    machine = results["machine"]
    lines += [
        f"{machine['cpu']}, {machine['threads']} thread(s), torch {machine['torch']}; the machine was "
        f"{'shared' if machine['load'] > 1.5 * machine['threads'] else 'quiet'} (load {machine['load']:.1f}).",
        "",
        "## Scoring: wrapped(x, return_risk=True) over model(x)",
        "",
        "Median over rounds (quartiles).",
        "",
        "| model | batch | bare, ms | method | times | goal |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["scoring"]:
        goal = (
            "–" if row["goal"] is None else f"≤ {row['goal']} {'✓' if row['ratio'] <= row['goal'] else '✗'}"
        )
        lines.append(
            f"| {row['model']} | {row['batch']} | {row['bare_ms']:.1f} | {row['method']} | {row['ratio']:.3f} "
            f"({row['low']:.3f}–{row['high']:.3f}) | {goal} |"
        )
    lines += [
        "",
        "## The queue's share of a training step",
        "",
        "| model | batch | method | share, % | goal |",
        "|---|---|---|---|---|",
    ]
    for row in results["queue"]:
        lines.append(
            f"| {row['model']} | {row['batch']} | {row['method']} | {100 * row['share']:.2f} "
            f"| ≤ {100 * row['goal']:.0f} {'✓' if row['share'] <= row['goal'] else '✗'} |"
        )
    lines += [
        "",
        "## Scores written to Parquet",
        "",
        "Prediction, risk, percentile, raw score and id of each row; the peak is of the whole process.",
        "",
        "| rows | seconds | file, MiB | peak before, MiB | peak, MiB |",
        "|---|---|---|---|---|",
    ]
    for row in results["writing"]:
        lines.append(
            f"| {row['rows']:,} | {row['seconds']:.1f} | {row['file_mib']:.0f} | {row['before_mib']:.0f} "
            f"| {row['peak_mib']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return names[0] if names else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--times", type=int, default=2, help="passes in a block")
    parser.add_argument("--quick", action="store_true", help="few rounds, 10⁵ rows")
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/risk-overhead"), help="without ending"
    )
    options = parser.parse_args()
    if options.rows:
        print(json.dumps(write_once(options.rows)))
        return
    rounds, sizes = (2, SIZES[:1]) if options.quick else (options.rounds, SIZES)
    results = {
        "command": "python benchmarks/risk_overhead.py" + (" --quick" if options.quick else ""),
        "machine": {
            "cpu": processor(),
            "threads": torch.get_num_threads(),
            "load": os.getloadavg()[0],
            "torch": torch.__version__,
        },
        "rounds": rounds,
        "scoring": [row for name in MODELS for row in scoring(name, rounds, options)],
        "queue": [row for name in MODELS for row in queue_share(name, rounds)],
        "writing": [],
    }
    for rows in sizes:
        done = subprocess.run(
            [sys.executable, __file__, "--rows", str(rows)], check=True, capture_output=True, text=True
        )
        results["writing"].append(json.loads(done.stdout))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
