"""Speed, side by side in one run: the lab in TensorFlow, the lab in plain PyTorch, and equipoise.

    python benchmarks/speed.py --data DATA            # table on the screen, benchmarks/results/speed.jsonl
    python benchmarks/speed.py --compile --data DATA  # torch.compile too (needs a C++ compiler)
    python benchmarks/speed.py --quick                # under 90 s, little data, fewer and shorter blocks

Every contestant is a process of its own with the same number of threads, TensorFlow's in an environment of its own
(--labs-python). They take turns in short blocks, so that whatever else the machine does meets all of them alike; each
one's time is its median block, and a ratio is the median over rounds of the two blocks' ratio.

A step is all that a training loop does a batch: drawing half positives by weight and half negatives, gathering
uint8 pictures, scaling, forward, losses, backward, optimiser. *Weights* are recomputed for 11,000 pictures. *Memory*
is the peak of a fresh process that holds 22,000 pictures, trains at batch 32 and recomputes weights. *Time to B1*
(needs --data) is the training time of the shortest schedule of our default recipe whose worst race is, in the mean
over seeds, missed no more often at 1 % false positives than by the lab's DB-VAE at its end, next to the DB-VAE's
own, timed in turn. The schedule is picked by the test files' figures: it answers how long it takes, and is no
measurement of quality (that is B1).

A run is complete when every contestant has its line; then it is not measured again, unless --again asks for it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from labs import PYTHON, LabMissingError, lab_run, program_command, program_environment
from labs.lab import LATENT, LEARNING_RATE, made_up, peak_bytes, serve
from lines import Lines

HERE = Path(__file__).resolve().parent
TENSORFLOW, PLAIN, OURS = "TensorFlow lab", "plain PyTorch transcription", "equipoise"
FRAMEWORKS = {TENSORFLOW: "tensorflow", PLAIN: "torch"}
ROWS = 11_000  # the lab's number of faces
SCHEDULES = (1, 2, 3, 4, 6)  # epochs


# --- equipoise as a contestant: the steps of its training loop, in the process of `--serve` ---


class Ours:
    """Measures equipoise, when it is asked to; answers as `labs.lab.LabContestant` does."""

    def __init__(self, rows: int) -> None:
        from equipoise.data import ImageTable

        labels = np.repeat([1, 0], rows)
        self.table = ImageTable.from_arrays(made_up(2 * rows, 0), labels)
        self.programs: dict[tuple[Any, ...], Callable[[int, int], float]] = {}

    def steps(
        self, model: str, batch: int, count: int, precision: str = "float32", compiled: bool = False
    ) -> dict[str, float]:
        """As the labs': drawing, gathering, scaling, training."""
        key = model, precision, compiled
        if key not in self.programs:
            self.programs[key] = self._program(*key)
        start = time.perf_counter()
        loss = self.programs[key](batch, count)
        return {"seconds": time.perf_counter() - start, "loss": loss}

    def _program(self, model: str, precision: str, compiled: bool) -> Callable[[int, int], float]:
        import torch

        from equipoise import nn
        from equipoise.resample import AdaptiveSampler

        torch.manual_seed(0)
        network = nn.DBVAE(latent=LATENT) if model == "dbvae" else nn.Classifier(nn.StandardCNN(1))
        network.to(memory_format=torch.channels_last)
        if compiled:
            for part in network.children():
                part.compile()
        optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
        generator = torch.Generator().manual_seed(0)
        table, labels = self.table, self.table.labels

        def steps(batch: int, count: int) -> float:
            sampler = AdaptiveSampler(labels, batch_size=batch, steps=count)
            if model == "dbvae":
                sampler.renew({1: np.ones(len(table.positives))})
            for drawn in sampler:
                rows = np.asarray(drawn)
                images = nn.pixels(torch.from_numpy(table.batch(rows)))
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                    losses = network.losses(images, torch.from_numpy(labels[rows]), generator=generator)
                losses.total.backward()
                optimizer.step()
                optimizer.zero_grad()
                last = float(losses.total)
            return last

        return steps

    def weigh(self) -> dict[str, float]:
        """Seconds of one encoder pass and of each rule on the same codes; "appearance" reads the pictures."""
        import torch

        from equipoise.nn import DBVAE
        from equipoise.resample import sampling_weights, temper
        from equipoise.train.appearance import appearance_rarity
        from equipoise.train.rarity import CHUNK, latent_codes

        positives, found = self.table.positives, {}
        start = time.perf_counter()
        codes, _ = latent_codes(
            DBVAE(latent=LATENT), self.table, positives, device=torch.device("cpu"), errors=False
        )
        found["encoder"] = time.perf_counter() - start
        # Untrained codes are all but constant in some units, which makes the rules' work too easy.
        codes = np.random.default_rng(0).normal(size=codes.shape).astype(np.float32)
        as_it_is = {"ess": None, "max_weight": None}
        for rule, how in (("max", as_it_is), ("equipoise", {})):
            start = time.perf_counter()
            sampling_weights(codes, rule=rule, **how)
            found[rule] = time.perf_counter() - start
        start = time.perf_counter()
        starts = range(0, len(positives), CHUNK)
        rarity = appearance_rarity(lambda: (self.table.batch(positives[s : s + CHUNK]) for s in starts))
        temper(rarity.numpy(), ess=0.5, max_weight=10.0)
        found["appearance"] = time.perf_counter() - start
        return found


def fit_once(files: list[Path], epochs: int, seed: int, threads: int) -> dict[str, Any]:
    """Train our default recipe with a shorter schedule; seconds of the whole call and the worst race's misses."""
    import torch

    from equipoise.data import ImageTable, read
    from equipoise.fairness.rates import threshold_at_fpr
    from equipoise.train import Engine, fit, predict, recipe

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as cache:
        tables = [read(path, label=i % 2 == 0, cache=Path(cache)) for i, path in enumerate(files)]
        chosen = recipe("equipoise")
        chosen = replace(chosen, debiased=replace(chosen.debiased, epochs=epochs))
        load, start = os.getloadavg()[0], time.perf_counter()
        done = fit(
            ImageTable.concat(tables[:2]), chosen, seed=seed, engine=Engine(device="cpu", progress=False)
        )
        seconds = time.perf_counter() - start
        positives, negatives = (predict(done.model, table, device="cpu") for table in tables[2:])
        threshold = threshold_at_fpr(negatives, 0.01)
        return {
            "worst_miss": worst_miss(positives, threshold, tables[2].column("race")),
            "seconds": seconds,
            "steps": done.steps,
            "peak_rss_bytes": peak_bytes(),
            "threads": threads,
            "load_before": load,
        }


def worst_miss(scores: np.ndarray, threshold: float, races: list[str]) -> float:
    """Largest share of a race that is missed, in percent. Race is what annotators saw; it only measures."""
    names = np.asarray(races)
    return max(100 * float((scores[names == name] < threshold).mean()) for name in np.unique(names))


# --- contestants as processes ---


class Peer:
    """A contestant's process, which does one measurement at a time and sleeps while the others work."""

    def __init__(self, method: str, options: argparse.Namespace) -> None:
        self.method = method
        rows = ["--rows", str(options.rows)]
        if method == OURS:
            command = [sys.executable, str(HERE / "speed.py"), "--serve", *rows]
            command += ["--threads", str(options.threads)]
        else:
            start = program_command(FRAMEWORKS[method], options.labs_python, options.threads)
            command = [*start, "serve", *rows]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=program_environment(options.threads),
        )
        self._answer()

    def ask(self, what: str, **arguments: Any) -> dict[str, float]:
        """One measurement.

        Raises:
            RuntimeError: if it failed.
        """
        self.process.stdin.write(json.dumps({"do": what} | arguments) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise RuntimeError(f"{self.method}, {what} {arguments}: {answer['error']}")
        return answer

    def _answer(self) -> dict[str, Any]:
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.method}: its process ended with {self.process.wait()}.")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


@contextmanager
def peers(
    methods: list[str], options: argparse.Namespace
) -> Iterator[tuple[dict[str, Peer], dict[str, str]]]:
    """The processes that could be started, and why the others could not."""
    started: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    try:
        for method in methods:
            try:
                started[method] = Peer(method, options)
            except LabMissingError as error:
                missing[method] = str(error)
                print(f"{method} is left out: {error}", flush=True)
        yield started, missing
    finally:
        for peer in started.values():
            peer.close()


# --- measuring ---


@dataclass
class Row:
    """A row of the table of steps: who, what, and its blocks in seconds a step."""

    method: str
    model: str
    batch: int
    precision: str = "float32"
    compiled: bool = False
    blocks: list[float] = field(default_factory=list)
    failed: str | None = None

    @property
    def setting(self) -> dict[str, Any]:
        return {
            "kind": "steps",
            "model": self.model,
            "batch": self.batch,
            "precision": self.precision,
            "compiled": self.compiled,
        }

    def measure(self, peer: Peer, images: int, least: int) -> float:
        """Seconds a step of one block."""
        count = max(least, images // self.batch)
        asked = {"model": self.model, "batch": self.batch, "count": count}
        if self.method == OURS:
            asked |= {"precision": self.precision, "compiled": self.compiled}
        answer = peer.ask("steps", **asked)
        if not np.isfinite(answer["loss"]):
            raise RuntimeError(f"{self.method}: the loss is not finite, so its speed means nothing.")
        return answer["seconds"] / count


def plan(batch_sizes: list[int], *, compiled: bool) -> list[Row]:
    """Who does what. Add a row here."""
    rows = []
    for method in (TENSORFLOW, PLAIN):
        rows.append(Row(method, "cnn", 32))
        rows += [Row(method, "dbvae", size) for size in batch_sizes]
    for graph in (False, True) if compiled else (False,):
        for precision in ("float32", "bfloat16"):
            rows.append(Row(OURS, "cnn", 32, precision, graph))
            rows += [Row(OURS, "dbvae", size, precision, graph) for size in batch_sizes]
    return rows


def run_steps(rows: list[Row], started: dict[str, Peer], options: argparse.Namespace) -> None:
    """Fill in the blocks: in each round every row trains on about as many images."""
    for turn in range(options.rounds + 1):
        for row in rows:
            if row.failed or row.method not in started:
                continue
            try:
                seconds = row.measure(started[row.method], options.images, 3)
            except RuntimeError as error:
                row.failed = str(error)
                continue
            if turn:  # the first round warms up
                row.blocks.append(seconds)


def step_numbers(row: Row, rows: list[Row]) -> dict[str, Any]:
    """Of one row, with its ratios to the lab in images a second: at batch 32, and at the lab's best batch.

    Raises:
        RuntimeError: if it failed.
    """
    if row.failed:
        raise RuntimeError(row.failed)
    steps_per_s = 1 / statistics.median(row.blocks)
    same = [
        other
        for other in rows
        if other.method == TENSORFLOW and other.model == row.model and other.blocks and not other.failed
    ]
    found: dict[str, Any] = {
        "steps_per_s": steps_per_s,
        "images_per_s": steps_per_s * row.batch,
        "best_block_steps_per_s": 1 / min(row.blocks),
        "seconds_per_step": row.blocks,
    }
    for name, lab in (
        ("to_lab_32", next((other for other in same if other.batch == 32), None)),
        ("to_lab_best", min(same, key=lambda o: statistics.median(o.blocks) / o.batch, default=None)),
    ):
        if lab is not None:
            pairs = zip(lab.blocks, row.blocks, strict=True)
            found[name] = quartiles([t / o * row.batch / lab.batch for t, o in pairs])
    return found


def quartiles(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, median, high = np.percentile(values, [25, 50, 75]).tolist()
    return {"median": median, "low": low, "high": high}


def run_weights(started: dict[str, Peer], repeats: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each part, in turns."""
    found: dict[str, dict[str, list[float]]] = {method: {} for method in started}
    for turn in range(repeats + 1):
        for method, peer in started.items():
            for part, seconds in peer.ask("weigh").items():
                if turn:
                    found[method].setdefault(part, []).append(seconds)
    return found


def run_memory(method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Peak of a fresh process, in bytes."""
    peer = Peer(method, options)
    try:
        how = {"precision": "bfloat16"} if method == OURS else {}
        peer.ask("steps", model="dbvae", batch=32, count=60, **how)
        peer.ask("weigh")
        return {"peak_rss_bytes": int(peer.ask("peak")["bytes"])}
    finally:
        peer.close()


# --- a run as lines; the seed of a line is the number of the run ---


def side_by_side(lines: Lines, options: argparse.Namespace) -> None:
    """Steps, weights and memory of all contestants, one line each; nothing if a complete run is there."""
    methods = [TENSORFLOW, PLAIN, OURS]
    rows = plan(options.batch_sizes, compiled=options.compile)
    common = {"threads": options.threads, "quick": options.quick}
    wanted = [(row.method, row.setting | common) for row in rows]
    wanted += [(method, {"kind": kind} | common) for method in methods for kind in ("weights", "memory")]
    present = lines.read(failed=True)
    number = 1 + max((line["seed"] for line in present if line["setting"].get("kind") != "b1"), default=-1)
    if not options.again and complete(present, wanted, number - 1, options.labs_python.exists()):
        print("Speed: complete, nothing measured; --again measures anew.", flush=True)
        return
    with peers(methods, options) as (started, missing):
        run_steps(rows, started, options)
        weighed = run_weights(started, 1 if options.quick else 5)

    def write(method: str, setting: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
        if method in missing:
            measure = lambda: {"left_out": missing[method]}  # noqa: E731
        load = {"load": os.getloadavg()[0], "rows": options.rows}
        lines.run(method, number, lambda: measure() | load, setting=setting | common)

    for row in rows:
        write(row.method, row.setting, partial(step_numbers, row, rows))
    for method in methods:
        write(
            method,
            {"kind": "weights"},
            lambda method=method: {part: statistics.median(s) for part, s in weighed[method].items()},
        )
        write(method, {"kind": "memory"}, partial(run_memory, method, options))


def complete(
    present: list[dict[str, Any]], wanted: list[tuple[str, dict[str, Any]]], number: int, labs: bool
) -> bool:
    """Whether the last run has a line for all that is wanted, none failed, none left out that is there now."""
    found = {
        (line["method"], json.dumps(line["setting"], sort_keys=True))
        for line in present
        if line["seed"] == number
        and "error" not in line
        and not (labs and "left_out" in line.get("numbers", {}))
    }
    return all((method, json.dumps(setting, sort_keys=True)) in found for method, setting in wanted)


def time_to_b1(lines: Lines, options: argparse.Namespace) -> None:
    """The lab's DB-VAE to its end; ours in growing schedules until it is as good; both timed in turn.

    Our recipe's own schedule is timed with them.
    """
    if not options.labs_python.exists():
        print("Time to B1 is left out: it needs the TensorFlow lab.", flush=True)
        return
    from b1 import draw

    files = [*draw(options.data, options.work, 0)]
    files += [options.data / name / "test.parquet" for name in ("fairface64", "tinyimagenet64")]
    threads = {"threads": options.threads}
    lab_lines, seeds = [], range(options.seeds)
    for seed in seeds:
        setting = {"kind": "b1", "epochs": 6} | threads
        lab_lines.append(
            lines.run(TENSORFLOW, seed, partial(lab_once, files, seed, options), setting=setting)
        )
    if None in lab_lines:
        print("Time to B1 is left out: the lab has to be trained with every seed first.", flush=True)
        return
    target = statistics.fmean(line["numbers"]["worst_miss"] for line in lab_lines)
    for epochs in SCHEDULES:
        setting = {"kind": "b1", "epochs": epochs} | threads
        ours = [
            lines.run(OURS, seed, partial(fit_apart, files, epochs, seed, options), setting=setting)
            for seed in seeds
        ]
        if None in ours:
            continue
        reached = statistics.fmean(line["numbers"]["worst_miss"] for line in ours)
        print(
            f"B1: {epochs} epochs miss {reached:.2f} % of the worst race; the lab {target:.2f} %", flush=True
        )
        if reached <= target:
            break
    else:
        print("Time to B1: no schedule is as good as the lab; nothing is timed.", flush=True)
        return
    for seed in range(options.timed):
        for method, measure in (
            (
                TENSORFLOW,
                partial(lab_once, files, seed, options, work=options.work / f"timed-{options.threads}"),
            ),
            (OURS, partial(fit_apart, files, epochs, seed, options)),
            (OURS, partial(fit_apart, files, own_passes(files), seed, options)),
        ):
            passes = 6 if method == TENSORFLOW else measure.args[1]
            lines.run(method, seed, measure, setting={"kind": "b1 timed", "epochs": passes} | threads)


def own_passes(files: list[Path]) -> int:
    """Passes that our recipe makes over the training pictures by itself."""
    import pyarrow.parquet as pq

    from equipoise.train import recipe
    from equipoise.train.recipe import epochs_of

    chosen = recipe("equipoise").debiased
    return epochs_of(chosen, sum(pq.read_metadata(path).num_rows for path in files[:2]) // chosen.batch_size)


def lab_once(
    files: list[Path], seed: int, options: argparse.Namespace, work: Path | None = None
) -> dict[str, Any]:
    """The lab's DB-VAE; `work` other than the common one where it must be timed now."""
    from equipoise.data import read
    from equipoise.fairness.rates import threshold_at_fpr

    found = lab_run(
        "dbvae",
        "tensorflow",
        *files,
        seed=seed,
        work=work or options.labs_work,
        python=options.labs_python,
        threads=options.threads,
    )
    with tempfile.TemporaryDirectory() as cache:
        races = read(files[2], label=1, cache=Path(cache)).column("race")
    # Twice as precise, so that large logits do not all become 1.
    positives, negatives = (
        1 / (1 + np.exp(-found.pop(f"{name}_scores").astype(float))) for name in ("positive", "negative")
    )
    return {"worst_miss": worst_miss(positives, threshold_at_fpr(negatives, 0.01), races)} | found


def fit_apart(files: list[Path], epochs: int, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """`fit_once` in a process of its own, as the lab has one."""
    asked = json.dumps([[str(path) for path in files], epochs, seed, options.threads])
    done = subprocess.run(
        [sys.executable, str(HERE / "speed.py"), "--fit", asked],
        env=program_environment(options.threads),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError("\n".join(done.stderr.strip().splitlines()[-3:]))
    return json.loads(done.stdout.splitlines()[-1])


# --- telling ---


def table(lines: list[dict[str, Any]]) -> str:
    """The newest run of each part as Markdown."""
    lines = [line for line in lines if line["case"] == "speed" and "error" not in line]
    apart = [line for line in lines if line["setting"]["kind"] in ("steps", "weights", "memory")]
    newest = [line for line in apart if line["seed"] == max(other["seed"] for other in apart)]
    parts = [overview(newest), by_batch(newest), b1_table([line for line in lines if line not in apart])]
    return "\n\n".join(part for part in parts if part)


def overview(lines: list[dict[str, Any]]) -> str:
    """One row a contestant, a precision and a way to run."""
    if not lines:
        return ""
    steps = [line for line in lines if line["setting"]["kind"] == "steps"]
    other = {
        (line["setting"]["kind"], line["method"]): line["numbers"] for line in lines if line not in steps
    }
    machine = lines[0]["machine"]
    rounds = len(next((n for line in steps if (n := line["numbers"].get("seconds_per_step"))), ()))
    out = [
        f"{machine['processor']}, {lines[0]['setting']['threads']} threads; `{lines[0]['command']}`. Median, and in "
        f"brackets quartiles, over {rounds} rounds of turns; × against the TensorFlow lab in the same run.",
        "",
        "| | CNN, steps/s at 32 | × | DB-VAE, steps/s at 32 | × | DB-VAE, images/s at best batch | × lab's best "
        "| peak memory, MiB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, group in grouped(steps).items():
        if "left_out" in group[0]["numbers"]:
            out.append(f"| {name} | not measured: no environment for it | | | | | | |")
            continue
        at_32 = {
            line["setting"]["model"]: line["numbers"] for line in group if line["setting"]["batch"] == 32
        }
        vae = [line for line in group if line["setting"]["model"] == "dbvae"]
        best = max(vae, key=lambda line: line["numbers"]["images_per_s"])
        memory = other.get(("memory", group[0]["method"]), {}).get("peak_rss_bytes")
        # Memory was measured once a method: in the precision that our recipe takes, not compiled.
        told = memory is not None and (name == group[0]["method"] or name == f"{OURS}, bfloat16")
        out.append(
            f"| {name} | {speed_of(at_32.get('cnn'))} | {times(at_32.get('cnn'), 'to_lab_32')} "
            f"| {speed_of(at_32.get('dbvae'))} | {times(at_32.get('dbvae'), 'to_lab_32')} "
            f"| {best['numbers']['images_per_s']:,.0f} ({best['setting']['batch']}) "
            f"| {times(best['numbers'], 'to_lab_best')} | {f'{memory / 2**20:.0f}' if told else '–'} |"
        )
    return "\n".join([*out, "", *weights_table(other, lines[0]["numbers"].get("rows", ROWS))])


def grouped(steps: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Lines of steps by the name of a row."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in steps:
        setting, name = line["setting"], line["method"]
        if name == OURS:
            name += f", {setting['precision']}" + (", compiled" if setting["compiled"] else "")
        found.setdefault(name, []).append(line)
    return found


def speed_of(numbers: dict[str, Any] | None) -> str:
    return "–" if numbers is None else f"{numbers['steps_per_s']:.1f}"


def times(numbers: dict[str, Any] | None, name: str) -> str:
    """A ratio with its quartiles."""
    ratio = (numbers or {}).get(name)
    return "–" if ratio is None else f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def weights_table(other: dict[tuple[str, str], dict[str, Any]], rows: int) -> list[str]:
    """Seconds to recompute weights: the labs have to encode all pictures first, ours need not."""
    weighed = {method: numbers for (kind, method), numbers in other.items() if kind == "weights"}
    lab = weighed.get(TENSORFLOW, {})
    whole = lab["encoder"] + lab["rule"] if "rule" in lab else None
    out = [
        f"Seconds to recompute weights for {rows:,} pictures. The labs encode all pictures, then weigh them; ours uses "
        "codes that training left (`max`, `equipoise`), or looks at the pictures, once (`appearance`, the default).",
        "",
        "| | encoder pass, s | rule, s | × the lab's whole recomputation | × the lab's rule alone |",
        "|---|---:|---:|---:|---:|",
    ]
    for method, numbers in weighed.items():
        if "left_out" in numbers:
            out.append(f"| {method} | not measured: no environment for it | | | |")
            continue
        for rule in [part for part in numbers if part not in ("encoder", "load", "rows")]:
            mine = method == OURS
            encoder = "not needed" if mine else f"{numbers['encoder']:.2f}"
            seconds = numbers[rule] + (0 if mine else numbers["encoder"])
            ratios = "| – | – |"
            if whole is not None:
                ratios = f"| {whole / seconds:.1f} | {lab['rule'] / numbers[rule]:.2f} |"
            out.append(
                f"| {method}{f', `{rule}`' if mine else ''} | {encoder} | {numbers[rule]:.4f} {ratios}"
            )
    return out


def by_batch(lines: list[dict[str, Any]]) -> str:
    """DB-VAE, images a second by batch size."""
    rows = [
        line
        for line in lines
        if line["setting"]["kind"] == "steps" and line["setting"]["model"] == "dbvae"
        if "left_out" not in line["numbers"]
    ]
    if not rows:
        return ""
    sizes = sorted({line["setting"]["batch"] for line in rows})
    out = ["| DB-VAE, images/s at batch | " + " | ".join(map(str, sizes)) + " |"]
    out.append("|---|" + "---:|" * len(sizes))
    for name, group in grouped(rows).items():
        speeds = {line["setting"]["batch"]: f"{line['numbers']['images_per_s']:,.0f}" for line in group}
        out.append(f"| {name} | " + " | ".join(speeds.get(size, "–") for size in sizes) + " |")
    return "\n".join(out)


def b1_table(lines: list[dict[str, Any]]) -> str:
    """Misses of each schedule, and the seconds of those that were timed in turn."""
    if not lines:
        return ""
    out = [
        "Time to the lab DB-VAE's final B1: misses of the worst race at 1 % false positives in percent, mean "
        "[smallest, largest] over seeds; seconds of training, median of the runs timed in turn.",
        "",
        "| | epochs | steps | seeds | worst race missed, % | seconds | lab's time over ours |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    timed: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for line in lines:
        if line["setting"]["kind"] == "b1 timed":
            timed.setdefault((line["method"], line["setting"]["epochs"]), []).append(line)
    lab = {line["seed"]: line["numbers"]["seconds"] for line in timed.get((TENSORFLOW, 6), [])}
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for line in lines:
        if line["setting"]["kind"] == "b1":
            groups.setdefault((line["method"], line["setting"]["epochs"]), []).append(line["numbers"])
    for one, runs in timed.items():  # our own schedule is timed alone
        groups.setdefault(one, [run["numbers"] for run in runs])
    for (method, epochs), numbers in groups.items():
        missed = [n["worst_miss"] for n in numbers]
        runs = timed.get((method, epochs), [])
        ratios = [lab[r["seed"]] / r["numbers"]["seconds"] for r in runs if r["seed"] in lab]
        seconds = statistics.median(r["numbers"]["seconds"] for r in runs) if runs else None
        out.append(
            f"| {method} | {epochs} | {numbers[0]['steps']:,} | {len(numbers)} "
            f"| {statistics.fmean(missed):.2f} [{min(missed):.2f}, {max(missed):.2f}] "
            f"| {'–' if seconds is None else f'{seconds:.1f}'} "
            f"| {f'{statistics.median(ratios):.1f}' if ratios else '–'} |"
        )
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument(
        "--data", type=Path, help="folder with fairface64 and tinyimagenet64, for the time to B1"
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 64, 128, 256, 512], metavar="N")
    parser.add_argument("--rounds", type=int, default=10, help="blocks of each row (default: %(default)s)")
    parser.add_argument("--images", type=int, default=1600, help="images a block (default: %(default)s)")
    parser.add_argument(
        "--rows", type=int, default=ROWS, help="pictures of each class (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", cores)))
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    parser.add_argument("--seeds", type=int, default=5, help="training seeds of the time to B1")
    parser.add_argument("--timed", type=int, default=3, help="of them timed in turn with the lab")
    parser.add_argument("--labs-python", type=Path, default=PYTHON, help="Python that has TensorFlow")
    parser.add_argument(
        "--labs-work", type=Path, default=Path("runs/labs"), help="where the labs' runs are kept"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/speed"), help="folder for the other runs")
    parser.add_argument("--lines", type=Path, default=HERE / "results" / "speed.jsonl")
    parser.add_argument("--again", action="store_true", help="measure anew what is there")
    parser.add_argument("--quick", action="store_true", help="batch 32 and 256, few short blocks, no B1")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        import torch

        torch.set_num_threads(options.threads)
        return serve(Ours(options.rows))
    if options.fit:
        paths, epochs, seed, threads = json.loads(options.fit)
        return print(json.dumps(fit_once([Path(path) for path in paths], epochs, seed, threads)))
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # what the lines say of the machine
    command = "python benchmarks/speed.py" + (" --quick" if options.quick else "")
    command += (" --compile" if options.compile else "") + (" --data DATA" if options.data else "")
    if options.quick:
        options.batch_sizes, options.rounds, options.images, options.rows = [32, 256], 2, 256, 2000
    lines = Lines(options.lines, "speed", f"{command} --threads {options.threads}")
    side_by_side(lines, options)
    if options.data is not None and not options.quick:
        time_to_b1(lines, options)
    print(table(lines.read()))
    return None


if __name__ == "__main__":
    main()
