"""What a lab's program does outside its framework: pictures, sampling probabilities, batches, the order of training.

Written from the published description of MIT 6.S191, lab 2 of 2021 (Amini et al., AIES 2019). Needs NumPy, PyArrow
and Pillow, and nothing of equipoise: it runs in the labs' own environment.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np

BATCH, LATENT, LEARNING_RATE, KL_WEIGHT = 32, 100, 5e-4, 5e-4
BINS, SMOOTHING = 10, 0.001
ENCODED_AT_ONCE = 1024


class Program(Protocol):
    """A lab's models in one framework; a new one is untrained."""

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Train on a batch, float32 images (n, 64, 64, 3) in [0, 1], and give the loss."""

    def means(self, images: np.ndarray) -> np.ndarray:
        """Latent means (n, k) of a batch, in evaluation mode."""

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (n,) of a batch, in evaluation mode."""

    def weights(self) -> list[np.ndarray]:
        """Everything that is learnt, batch statistics included."""

    def load(self, weights: list[np.ndarray]) -> None:
        """Take over what `weights` gave."""


Start = Callable[[str, int], Program]
"""Makes a program from "cnn" or "dbvae" and a seed."""


def pictures(*paths: Path) -> np.ndarray:
    """The pictures of Parquet files with a column `image` of encoded bytes, as uint8 (n, 64, 64, 3)."""
    import pyarrow.parquet as pq
    from PIL import Image

    columns = [pq.read_table(path, columns=["image"]).column("image") for path in paths]
    out = np.empty((sum(map(len, columns)), 64, 64, 3), np.uint8)
    for row, cell in enumerate(chain(*columns)):
        with Image.open(io.BytesIO(cell.as_py()["bytes"])) as image:
            out[row] = np.asarray(image.convert("RGB"))
    return out


def rows_of(path: Path) -> int:
    """Rows of a Parquet file."""
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows


def scaled(images: np.ndarray) -> np.ndarray:
    """uint8 to float32 in [0, 1], for training and for encoding alike."""
    return images.astype(np.float32) / 255.0


def sampling_probabilities(
    means: np.ndarray, *, bins: int = BINS, smoothing: float = SMOOTHING
) -> np.ndarray:
    """The max rule: an image is as rare as it is in the latent dimension in which it is rarest."""
    found = np.zeros(len(means))
    for dimension in range(means.shape[1]):
        density, edges = np.histogram(means[:, dimension], density=True, bins=bins)
        edges[0], edges[-1] = -np.inf, np.inf
        bin_of = np.digitize(means[:, dimension], edges)
        density = density + smoothing
        density = density / density.sum()
        rarity = 1.0 / density[bin_of - 1]
        found = np.maximum(found, rarity / rarity.sum())
    return found / found.sum()


def latent_means(program: Program, images: np.ndarray) -> np.ndarray:
    """Means of many images, encoded in large batches."""
    starts = range(0, len(images), ENCODED_AT_ONCE)
    return np.concatenate([program.means(scaled(images[s : s + ENCODED_AT_ONCE])) for s in starts])


class Batches:
    """Half positives, drawn by probability without replacement, half negatives, drawn uniformly.

    Args:
        images: uint8 (n, 64, 64, 3), the positives first.
        positives: How many they are.
        seed: What chance comes from.
    """

    def __init__(self, images: np.ndarray, positives: int, seed: int) -> None:
        self.images = images
        self.labels = np.repeat(np.float32([1, 0]), [positives, len(images) - positives])
        self.positives = np.arange(positives)
        self.negatives = np.arange(positives, len(images))
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, size: int, probabilities: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        faces = self.rng.choice(self.positives, size // 2, replace=False, p=probabilities)
        others = self.rng.choice(self.negatives, size // 2, replace=False)
        rows = np.sort(np.concatenate([faces, others]))
        return scaled(self.images[rows]), self.labels[rows]


def train(program: Program, data: Batches, *, epochs: int, resample: bool, told: str = "") -> dict[str, Any]:
    """The lab's loop; an epoch is as many steps as whole batches fit into the data."""
    losses, weighing, began = [], 0.0, time.perf_counter()
    for epoch in range(epochs):
        probabilities = None
        if resample:
            start = time.perf_counter()
            faces = data.images[data.positives]
            probabilities = sampling_probabilities(latent_means(program, faces))
            weighing += time.perf_counter() - start
        for _ in range(len(data) // BATCH):
            losses.append(program.step(*data.draw(BATCH, probabilities)))
            if not np.isfinite(losses[-1]):
                raise SystemExit(f"Expected finite losses; got {losses[-1]} at step {len(losses)}.")
        print(
            f"{told} epoch {epoch + 1}: loss {np.mean(losses[-100:]):.4f}, {time.perf_counter() - began:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return {
        "seconds": time.perf_counter() - began,
        "weighing_seconds": weighing,
        "steps": len(losses),
        "epochs": epochs,
        "last_loss": float(np.mean(losses[-100:])),
    }


def scores(program: Program, path: Path) -> np.ndarray:
    """Logits of the pictures of a file."""
    images = pictures(path)
    starts = range(0, len(images), ENCODED_AT_ONCE)
    return np.concatenate([program.logits(scaled(images[s : s + ENCODED_AT_ONCE])) for s in starts])


def peak_bytes() -> int:
    """Peak memory of this process; what the kernel counts for rusage would include the parent's peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


# --- measuring: one step, one block, one recomputation ---


class LabContestant:
    """Measures a lab's program, when it is asked to."""

    def __init__(self, start: Start, rows: int) -> None:
        self.start, self.rows = start, rows
        self.programs: dict[str, Program] = {}
        self.data = Batches(made_up(2 * rows, 0), rows, 0)
        self.probabilities = np.full(rows, 1 / rows)

    def program(self, model: str) -> Program:
        if model not in self.programs:
            self.programs[model] = self.start(model, 0)
        return self.programs[model]

    def steps(self, model: str, batch: int, count: int) -> dict[str, float]:
        """Whole steps: drawing, gathering, scaling, training."""
        program = self.program(model)
        probabilities = self.probabilities if model == "dbvae" else None
        start = time.perf_counter()
        for _ in range(count):
            loss = program.step(*self.data.draw(batch, probabilities))
        return {"seconds": time.perf_counter() - start, "loss": loss}

    def weigh(self) -> dict[str, float]:
        """Encode the positives, then weigh them."""
        faces = self.data.images[self.data.positives]
        start = time.perf_counter()
        means = latent_means(self.program("dbvae"), faces)
        middle = time.perf_counter()
        sampling_probabilities(means)
        end = time.perf_counter()
        return {"encoder": middle - start, "rule": end - middle}


def made_up(count: int, seed: int) -> np.ndarray:
    """Smooth random pictures, uint8 (n, 64, 64, 3): a few hundred, repeated."""
    coarse = np.random.default_rng(seed).random((min(count, 512), 9, 9, 3))
    rows = np.linspace(0, 8, 64)
    low, part = np.minimum(rows.astype(int), 7), rows - np.minimum(rows.astype(int), 7)
    tall = coarse[:, low] * (1 - part)[:, None, None] + coarse[:, low + 1] * part[:, None, None]
    wide = tall[:, :, low] * (1 - part)[:, None] + tall[:, :, low + 1] * part[:, None]
    return np.resize((wide * 255).astype(np.uint8), (count, 64, 64, 3))


def serve(contestant: Any) -> None:
    """Answer measurements, one JSON line each: {"do": "steps", …} → {"seconds": …}. Ends with the input."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        what = asked.pop("do")
        try:
            answer = {"bytes": peak_bytes()} if what == "peak" else getattr(contestant, what)(**asked)
        except Exception as error:  # told to who asked; the others go on
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


# --- the command line, the same for every framework ---


def main(start: Start, set_threads: Callable[[int], None], versions: dict[str, str], about: str) -> None:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", 0)) or cores())
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train on two Parquet files, keep what was learnt")
    training.add_argument("--model", choices=["cnn", "dbvae"], required=True)
    training.add_argument("--uniform", action="store_true", help="control: the DB-VAE without resampling")
    training.add_argument("--epochs", type=int, required=True)
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--positives", type=Path, required=True)
    training.add_argument("--negatives", type=Path, required=True)
    training.add_argument("--out", type=Path, required=True, help="folder for train.json and weights.npz")
    scoring = commands.add_parser("score", help="logits of two Parquet files, by what was learnt")
    scoring.add_argument("--run", type=Path, required=True, help="folder of a training")
    scoring.add_argument("--positives", type=Path, required=True)
    scoring.add_argument("--negatives", type=Path, required=True)
    scoring.add_argument("--out", type=Path, required=True, help="npz file")
    measuring = commands.add_parser("speed", help="steps, images, weights a second; memory")
    measuring.add_argument("--rows", type=int, default=11_000)
    measuring.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    measuring.add_argument("--rounds", type=int, default=5)
    serving = commands.add_parser("serve", help="measure what standard input asks for")
    serving.add_argument("--rows", type=int, default=11_000)
    options = parser.parse_args()
    set_threads(options.threads)
    if options.command == "train":
        _train(start, options, versions)
    elif options.command == "score":
        _score(start, options)
    elif options.command == "speed":
        print(json.dumps(_speed(LabContestant(start, options.rows), options) | versions, indent=1))
    else:
        serve(LabContestant(start, options.rows))


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _train(start: Start, options: argparse.Namespace, versions: dict[str, str]) -> None:
    images = pictures(options.positives, options.negatives)
    data = Batches(images, rows_of(options.positives), options.seed)
    program = start(options.model, options.seed)
    load = os.getloadavg()
    resample = options.model == "dbvae" and not options.uniform
    told = f"{options.model}{' uniform' if options.uniform else ''} seed {options.seed}"
    numbers = train(program, data, epochs=options.epochs, resample=resample, told=told)
    record = {
        "model": options.model,
        "resample": resample,
        "seed": options.seed,
        **numbers,
        "peak_rss_bytes": peak_bytes(),
        "threads": options.threads,
        "load_before": load,
        "load_after": os.getloadavg(),
        "versions": versions,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    keep_arrays(options.out / "weights.npz", {f"{i:03d}": array for i, array in enumerate(program.weights())})
    keep_text(options.out / "train.json", json.dumps(record, indent=1) + "\n")


def _score(start: Start, options: argparse.Namespace) -> None:
    record = json.loads((options.run / "train.json").read_text())
    program = start(record["model"], record["seed"])
    with np.load(options.run / "weights.npz", allow_pickle=False) as kept:
        program.load([kept[name] for name in sorted(kept.files)])
    found = {
        "positive_scores": scores(program, options.positives),
        "negative_scores": scores(program, options.negatives),
    }
    keep_arrays(options.out, found)


def _speed(contestant: LabContestant, options: argparse.Namespace) -> dict[str, Any]:
    blocks: dict[str, list[float]] = {}
    asked = [("cnn", BATCH), *(("dbvae", size) for size in options.batch_sizes)]
    for turn in range(options.rounds + 1):
        for model, batch in asked:
            count = max(3, 1600 // batch)
            seconds = contestant.steps(model, batch, count)["seconds"] / count
            if turn:  # the first round warms up
                blocks.setdefault(f"{model} {batch}", []).append(1 / seconds)
    weighing = [contestant.weigh() for _ in range(3)]
    return {
        "steps_per_s": {name: float(np.median(values)) for name, values in blocks.items()},
        "weights_s": {part: float(np.median([w[part] for w in weighing])) for part in weighing[0]},
        "peak_rss_bytes": peak_bytes(),
        "threads": options.threads,
    }


def keep_text(path: Path, text: str) -> None:
    """Written whole or not at all, so that what is there can be relied upon."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)


def keep_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """As `keep_text`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez(part, **arrays)
    part.replace(path)
