"""What resampling costs and finds: sampling weights, draws, scaling, and planted groups.

Run `OMP_NUM_THREADS=1 python benchmarks/weights.py` (some minutes) or `--quick` (seconds, up to 10^5 rows): one
thread, because NumPy's loop has one. Prints Markdown; without `--quick` it writes benchmarks/results/weights.json
as well. Processor time is what to compare where the machine was busy with other work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from equipoise.files import write_json
from equipoise.resample import AdaptiveSampler, effective_sample_size, equipoise_rule, sampling_weights
from labs.lab import sampling_probabilities

RESULTS = Path(__file__).parent / "results" / "weights.json"
ROWS, DIMENSIONS = 11_000, 100  # the lab's number of faces and of latent units
STREAM_DIMENSIONS = 16
HISTOGRAM = partial(equipoise_rule, density="histogram")
RULES = {
    "lab rule (max)": "max",
    "paper rule (product)": "product",
    "equipoise, histogram": HISTOGRAM,
    "equipoise (default)": "equipoise",
}


def seconds(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median and least wall-clock and least processor time of some repeats, after one to warm up."""
    work()
    walls, processor = [], []
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    return {"median": statistics.median(walls), "least": min(walls), "processor": min(processor)}


def recomputing(repeats: int) -> dict[str, dict[str, float]]:
    codes = np.random.default_rng(0).normal(size=(ROWS, DIMENSIONS)).astype(np.float32)
    found = {"lab's loop in NumPy": seconds(lambda: sampling_probabilities(codes), repeats)}
    for name, rule in RULES.items():
        found[name] = seconds(partial(sampling_weights, codes, rule=rule), repeats)
    return found


def drawing(sizes: list[int]) -> dict[str, dict[str, float]]:
    found = {}
    for size in sizes:
        rng = np.random.default_rng(0)
        weights = rng.lognormal(size=size)
        weights /= weights.sum()
        labels = np.repeat([1, 0], size)
        sampler = AdaptiveSampler(labels, batch_size=32, steps=1000)
        start = time.perf_counter()
        sampler.renew({1: weights})
        renew = time.perf_counter() - start
        batch = seconds(lambda sampler=sampler: list(sampler), 5)["median"] / len(sampler)
        draws = max(2, min(200, 2_000_000 // size))
        start = time.perf_counter()
        for _ in range(draws):  # the lab draws so
            rng.choice(size, 16, replace=False, p=weights)
            rng.choice(size, 16, replace=False)
        lab = (time.perf_counter() - start) / draws
        found[str(size)] = {"renew_s": renew, "batch_us": batch * 1e6, "lab_batch_us": lab * 1e6}
    return found


def stream(rows: int, chunk: int = 65_536) -> Iterator[np.ndarray]:
    """Codes of `rows` images, made as they are read: 5 % lie away from the rest."""
    for start in range(0, rows, chunk):
        rng = np.random.default_rng([0, start])
        codes = rng.standard_normal((min(chunk, rows - start), STREAM_DIMENSIONS), dtype=np.float32)
        codes[rng.random(len(codes)) < 0.05, :3] += 3.0
        yield codes


def memory(entry: str) -> int:
    """VmRSS (now) or VmHWM (peak) of this process in KiB; ru_maxrss would include the parent's peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(entry + ":"))


def scaling_once(rows: int, rule: str) -> dict[str, float]:
    """In a process of its own, so that its peak memory is that of this size."""
    sampling_weights(np.random.default_rng(0).normal(size=(2000, STREAM_DIMENSIONS)))
    before = memory("VmRSS")
    start = time.perf_counter()
    for _ in stream(rows):
        pass
    making = time.perf_counter() - start
    start, busy = time.perf_counter(), time.process_time()
    weights = sampling_weights(partial(stream, rows), rule=RULES[rule])
    wall, processor = time.perf_counter() - start, time.process_time() - busy
    peak = memory("VmHWM") - before
    return {
        "wall_s": wall,
        "making_codes_once_s": making,
        "processor_s": processor,
        "us_per_row": processor / rows * 1e6,
        "peak_mb": peak / 1024,
        "peak_bytes_per_row": peak * 1024 / rows,
        "ess": effective_sample_size(weights),
    }


def scaling(sizes: list[int], rules: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for rule in rules:
        found[rule] = {}
        for rows in sizes:
            command = [sys.executable, __file__, "--one", str(rows), rule]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[rule][str(rows)] = json.loads(output)
    return found


def planted(kind: str, seed: int, rows: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Codes of which 5 % are a group apart from the bulk."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(rows, DIMENSIONS))
    group = np.arange(rows) < rows // 20
    if kind == "6 σ in one unit":
        codes[group, 0] += 6.0
    elif kind == "3 σ in three units":
        codes[group, :3] += 3.0
    elif kind == "0.8 σ in every unit":
        codes[group] += 0.8
    elif kind == "20 units active, 3 σ in three":
        codes[:, 20:] *= 0.05
        codes[group, :3] += 3.0
    elif kind == "a tight cluster":
        codes[group] *= 0.4
        codes[group, :3] += 4.0
    else:  # "one of seven modes"
        modes = rng.normal(size=(7, DIMENSIONS)) * 0.57
        codes = codes * 0.5 + modes[np.where(group, 6, rng.integers(0, 6, rows))]
    return codes, group


KINDS = [
    "6 σ in one unit",
    "3 σ in three units",
    "0.8 σ in every unit",
    "20 units active, 3 σ in three",
    "a tight cluster",
    "one of seven modes",
]


def finding(seeds: int) -> dict[str, dict[str, float]]:
    """A group's share of the draws over its natural share at ESS 0.5, mean over seeds."""
    found: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        shares: dict[str, list[float]] = {name: [] for name in RULES}
        for seed in range(seeds):
            codes, group = planted(kind, seed)
            for name, rule in RULES.items():
                weights = sampling_weights(codes, rule=rule, ess=0.5)
                shares[name].append(float(weights[group].sum() / group.mean()))
        found[kind] = {name: statistics.fmean(values) for name, values in shares.items()}
    return found


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing written")
    parser.add_argument("--one", nargs=2, metavar=("ROWS", "RULE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(scaling_once(int(arguments.one[0]), arguments.one[1])))
        return
    quick = arguments.quick
    sizes = [10**4, 10**5] if quick else [10**4, 10**5, 10**6, 10**7]

    print(f"torch {torch.__version__}, NumPy {np.__version__}, {torch.get_num_threads()} threads\n")
    weights = recomputing(3 if quick else 15)
    lab = weights["lab's loop in NumPy"]["processor"]
    print(f"**Recomputing weights**, {ROWS:,} × {DIMENSIONS} codes, without the encoder\n")
    cells = [
        [
            name,
            f"{t['median']:.3f}",
            f"{t['least']:.3f}",
            f"{t['processor']:.3f}",
            f"{t['processor'] / lab:.1f}×",
        ]
        for name, t in weights.items()
    ]
    print(table(["rule", "median s", "least s", "processor s", "of the lab's"], cells), flush=True)

    draws = drawing(sizes)
    print("\n**Drawing a batch of 32**, N positives and N negatives\n")
    cells = [
        [f"{int(n):,}", f"{d['batch_us']:.0f}", f"{d['lab_batch_us']:,.0f}", f"{d['renew_s']:.3f}"]
        for n, d in draws.items()
    ]
    print(table(["N", "µs a batch", "µs as the lab draws", "renewing, s"], cells), flush=True)

    streamed = scaling(sizes, ["lab rule (max)", "equipoise, histogram", "equipoise (default)"])
    print(f"\n**Weights from a stream**, {STREAM_DIMENSIONS} dimensions, codes made anew in every pass\n")
    cells = [
        [
            rule,
            f"{int(n):,}",
            f"{d['wall_s']:.2f}",
            f"{d['processor_s']:.2f}",
            f"{d['us_per_row']:.1f}",
            f"{d['peak_mb']:.0f}",
        ]
        for rule, by_size in streamed.items()
        for n, d in by_size.items()
    ]
    print(
        table(["rule", "N", "s", "processor s", "processor µs a row", "peak memory above start, MB"], cells),
        flush=True,
    )

    found = finding(1 if quick else 5)
    print(
        "\n**Enrichment of a planted group of 5 %** at ESS 0.5, 6,000 × 100 codes (1 = no help, 5.4 = all)\n"
    )
    cells = [[kind, *(f"{value:.2f}" for value in shares.values())] for kind, shares in found.items()]
    print(table(["group", *RULES], cells))

    if not quick:
        record = {
            "command": "OMP_NUM_THREADS=1 python benchmarks/weights.py",
            "versions": {"torch": torch.__version__, "numpy": np.__version__},
            "threads": torch.get_num_threads(),
            "recomputing_s": weights,
            "drawing": draws,
            "streaming": streamed,
            "enrichment_at_ess_0.5": found,
        }
        write_json(RESULTS, record)


if __name__ == "__main__":
    main()
