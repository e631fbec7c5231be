"""Jobs against the number of rows: processor seconds and peak memory, without pictures.

    OMP_NUM_THREADS=1 python benchmarks/rows.py --sizes 10000 100000 1000000
    OMP_NUM_THREADS=1 python benchmarks/rows.py --jobs fairness density output --sizes 100000 1000000 10000000 \\
        --out benchmarks/results/flat
    python benchmarks/rows.py --jobs fix --sizes 10000

`fairness` are the numbers of one model (two classes with thresholds, and by class × group), `density` a histogram of 16
numbers learned and asked, `output` the table that `score` writes. For `find` and `fix` features are half precision on
the disk, memory-mapped, as `nn.features` leaves them: 1,280 numbers of 40 strong directions and noise; two classes, a
shortcut that holds for 95 % of each, and a plain layer's logits. Each job and size runs in a process of its own.
Processor time is what to compare where the machine was busy with other work.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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


class Table:
    """What is written of pictures: labels, paths, a group."""

    class_names = ("no", "yes")

    def __init__(self, rows: int) -> None:
        import pyarrow as pa

        rng = np.random.default_rng(0)
        self.labels = rng.integers(0, 2, rows)
        groups = pa.array(["a", "b", "c", "d"]).take(pa.array(rng.integers(0, 4, rows)))
        paths = pa.array([f"pictures/{number:09}.jpg" for number in range(rows)])
        self.attributes = pa.table({"path": paths, "group": groups})

    def __len__(self) -> int:
        return len(self.labels)


def fairness(rows: int) -> Callable[[], str]:
    """Numbers of one model, four groups."""
    from equipoise.fairness import evaluate, evaluate_classes
    from equipoise.groups import Groups

    rng = np.random.default_rng(0)
    labels, ids = rng.integers(0, 2, rows), rng.integers(0, 4, rows)
    scores = 1 / (1 + np.exp(-rng.normal(2.0 * labels - 1 + 0.2 * ids)))
    groups = Groups(ids, ("a", "b", "c", "d"), "group")

    def work() -> str:
        found = evaluate(scores, labels, groups)
        cells = evaluate_classes(scores >= 0.5, labels, groups, classes=["no", "yes"])
        return f"AUROC {found.auroc.value:.3f}, accuracy {cells.accuracy.value:.3f}"

    return work


def density(rows: int) -> Callable[[], str]:
    """A histogram learned and asked."""
    import torch

    from equipoise.density import HistogramDensity

    codes = torch.from_numpy(np.random.default_rng(0).normal(size=(rows, 16)).astype(np.float32))
    return lambda: f"{float(HistogramDensity().fit(codes).log_prob(codes).mean()):.3f} nats"


def output(rows: int) -> Callable[[], str]:
    """What `score` writes."""
    from equipoise.run.scores import write_scores

    table, rng = Table(rows), np.random.default_rng(0)
    said, nats = rng.random(rows), rng.normal(size=rows)

    def work() -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scores.parquet"
            write_scores(path, table, {"probability": said}, nats, split="test")  # type: ignore[arg-type]
            return f"{path.stat().st_size / rows:.0f} bytes a row"

    return work


FLAT = {"fairness": fairness, "density": density, "output": output}


def measure(job: str, rows: int) -> dict[str, object]:
    """One job in this process."""
    if job in FLAT:
        FLAT[job](1000)()  # what is loaded once does not grow with rows
        work = FLAT[job](rows)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        began = time.perf_counter(), time.process_time()
        said = work()
        return _line(job, rows, began, before, said)
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
        return _line(job, rows, began, before, said)


def _line(job: str, rows: int, began: tuple[float, float], before: float, said: str) -> dict[str, object]:
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
    heads = ("job", "rows", "processor s", "seconds", "µs a row", "peak, GiB", "found")
    jobs = " ".join(dict.fromkeys(str(one["job"]) for one in lines))
    shown = [
        "# Jobs against the number of rows",
        "",
        f"`OMP_NUM_THREADS=1 python benchmarks/rows.py --jobs {jobs}`",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    for one in lines:
        each = 1e6 * one["processor_s"] / one["rows"]
        cells = [f"{one['rows']:,}", f"{one['processor_s']:.1f}", f"{one['wall_s']:.1f}"]
        cells += [
            f"{each:,.0f}" if each >= 10 else f"{each:.2f}",
            f"{one['peak_gib']:.2f}",
            str(one["found"]),
        ]
        shown.append(f"| {one['job']} | {' | '.join(cells)} |")
    return "\n".join(shown)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", nargs="+", choices=("find", "fix", *FLAT), default=("find", "fix"))
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
