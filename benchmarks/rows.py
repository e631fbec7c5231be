"""Find and fix against the number of rows: processor seconds and peak memory, with features alone.

    OMP_NUM_THREADS=1 python benchmarks/rows.py --sizes 10000 100000 1000000
    python benchmarks/rows.py --jobs fix --sizes 10000

Features are half precision on the disk, memory-mapped, as `nn.features` leaves them: 1,280 numbers of 40 strong
directions and noise; two classes, a shortcut that holds for 95 % of each, and a plain layer's logits. Each job and size
runs in a process of its own. Processor time is what to compare where the machine was busy with other work.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZES = (10_000, 100_000, 1_000_000)
WIDTH, STRONG, BLOCK = 1280, 40, 5_000
COMMON = 0.95


def planted(path: Path, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Writes features; labels, ground and logits of a model that goes by the ground more than by the object."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(STRONG, WIDTH)).astype(np.float32)
    labels = rng.integers(0, 2, rows)
    ground = np.where(rng.random(rows) < COMMON, labels, 1 - labels)
    kept = np.lib.format.open_memmap(path, "w+", np.float16, (rows, WIDTH))
    logits = np.empty(rows, np.float32)
    for start in range(0, rows, BLOCK):
        here = slice(start, start + BLOCK)
        strong = rng.normal(size=(len(labels[here]), STRONG)).astype(np.float32)
        strong[:, 0] += 2 * labels[here] - 1
        strong[:, 1] += 6 * ground[here] - 3
        kept[here] = strong @ mix + rng.normal(size=(len(strong), WIDTH))
        logits[here] = strong[:, 0] + 0.7 * strong[:, 1]
    kept.flush()
    return labels, ground, logits


def measure(job: str, rows: int) -> dict[str, object]:
    """One job in this process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        labels, ground, logits = planted(path, rows, 0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        features = np.load(path, mmap_mode="r")
        began = time.perf_counter(), time.process_time()
        if job == "find":
            from equipoise.slices import find

            said = f"{len(find(features, labels, logits).slices)} slices"
        else:
            from equipoise.fix import choose

            chosen = choose(features, labels, groups=ground).chosen
            said = f"{chosen.name}: worst group {chosen.worst_group:.3f}"
        wall, processor = time.perf_counter() - began[0], time.process_time() - began[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "job": job,
        "rows": rows,
        "processor_s": processor,
        "wall_s": wall,
        "before_gib": before,
        "peak_gib": peak,
        "found": said,
    }


def table(lines: list[dict[str, object]]) -> str:
    """The results as Markdown."""
    heads = ("job", "rows", "processor s", "seconds", "a million rows, processor s", "peak, GiB", "found")
    shown = [
        "# Find and fix against the number of rows",
        "",
        "`OMP_NUM_THREADS=1 python benchmarks/rows.py`",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    for one in lines:
        each = 1e6 * one["processor_s"] / one["rows"]
        shown.append(
            f"| {one['job']} | {one['rows']:,} | {one['processor_s']:.1f} | {one['wall_s']:.1f} | {each:.0f} "
            f"| {one['peak_gib']:.2f} | {one['found']} |"
        )
    return "\n".join(shown)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", nargs="+", choices=("find", "fix"), default=("find", "fix"))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", nargs=2, metavar=("JOB", "ROWS"), help="measure one in this process")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rows"), help="without ending")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one[0], int(asked.one[1]))))
        return
    lines = []
    for rows in asked.sizes:
        for job in asked.jobs:
            command = [sys.executable, __file__, "--one", job, str(rows)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            lines.append(json.loads(output.splitlines()[-1]))
            print(lines[-1], flush=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.with_suffix(".json").write_text(json.dumps(lines, indent=1) + "\n")
    asked.out.with_suffix(".md").write_text(table(lines) + "\n")
    print(table(lines))


if __name__ == "__main__":
    main()
