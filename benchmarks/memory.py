"""Peak memory against the number of images: of training from a memory-mapped cache, and of an audit.

    python benchmarks/memory.py
    python benchmarks/memory.py --job audit --sizes 2000 20000 --out benchmarks/results/memory-audit

Each size runs in a process of its own. Training makes as many steps each, so that a small set is seen many times and a
large one once. The audit is the public one on JPEG files, with its default methods and 1,280 features of a network that
costs next to nothing. `mapped` is the size of the pixels on disk. The peak counts pages of files too that a process has
looked at, as long as the system leaves them to it; `held` is what it holds itself, asked for ten times a second.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

SIZES = (5_000, 20_000, 80_000)
STEPS = 1_250
BATCH = 64


def train_once(images: int) -> dict:
    """Train on a memory-mapped file of random images; the peak of this process."""
    import pyarrow as pa

    from equipoise.data.table import ImageTable, digest_images
    from equipoise.run.account import peak_rss_bytes
    from equipoise.train import Engine, fit, recipe

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.u8"
        rng = np.random.default_rng(0)
        digests = []
        with open(path, "wb") as file:  # not through a map: what this process writes is not what is measured
            for _ in range(0, images, 1000):
                block = rng.integers(0, 256, (1000, 64, 64, 3), np.uint8)
                file.write(block.data)
                digests.append(digest_images(block))
        table = ImageTable(
            (np.memmap(path, np.uint8, "r", shape=(images, 64, 64, 3)),),
            np.arange(images, dtype=np.int64),
            np.arange(images, dtype=np.int64) % 2,
            pa.table({}),
            np.concatenate(digests),
        )
        base = recipe("equipoise")
        how = dataclasses.replace(base.debiased, epochs=STEPS // (images // BATCH))
        small = dataclasses.replace(base, debiased=how, width=4, latent=16)
        before = peak_rss_bytes()
        fitted = fit(table, small, engine=Engine(progress=False))
        return {
            "images": images,
            "mapped_mib": images * 64 * 64 * 3 / 2**20,
            "steps": fitted.steps,
            "before_mib": before / 2**20,
            "peak_mib": peak_rss_bytes() / 2**20,
        }


def audit_once(images: int) -> dict:
    """Audit as many random JPEG files of two classes; the peak of this process."""
    import torch
    from PIL import Image
    from torch import nn

    from equipoise.nn import Backbone
    from equipoise.run import Engine, Output, Reading, Sources, audit
    from equipoise.run.account import peak_rss_bytes

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.AvgPool2d(8), nn.Flatten(), nn.Linear(192, 1280), nn.ReLU(), nn.Linear(1280, 2)
    )
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for label in ("cats", "dogs"):
            (Path(folder) / "pictures" / label).mkdir(parents=True)
        for number in range(images):
            coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
            large = Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)
            large.save(Path(folder) / "pictures" / ("cats", "dogs")[number % 2] / f"{number}.jpg")
        before = peak_rss_bytes()
        with Holding() as held:
            audit(
                Backbone.of(network, size=64),
                Sources(data=Path(folder) / "pictures"),
                reading=Reading(cache=Path(folder) / "cache"),
                engine=Engine(device="cpu", progress=False),
                output=Output(Path(folder) / "out"),
            )
        return {
            "images": images,
            "mapped_mib": images * 64 * 64 * 3 / 2**20,
            "steps": 0,
            "before_mib": before / 2**20,
            "peak_mib": peak_rss_bytes() / 2**20,
            "held_mib": held.most / 2**20,
        }


class Holding:
    """The most anonymous memory of this process inside the block (Linux)."""

    most = 0

    def __enter__(self) -> Holding:
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.over.wait(0.1):
            lines = Path("/proc/self/status").read_text().splitlines()
            now = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            self.most = max(self.most, now * 1024)


JOBS = {"train": train_once, "audit": audit_once}


def growth(rows: list[dict]) -> str:
    """How far apart the peaks are, and what a thousand more images cost from the smallest set to the largest."""
    peaks = [row["peak_mib"] for row in rows]
    thousands = (rows[-1]["images"] - rows[0]["images"]) / 1000
    grown, pixels = (rows[-1][name] - rows[0][name] for name in ("peak_mib", "mapped_mib"))
    return (
        f"The peaks lie within {max(peaks) - min(peaks):.0f} MiB. From {rows[0]['images']:,} to "
        f"{rows[-1]['images']:,} images the peak changed by {grown:+.0f} MiB, {grown / thousands:+.2f} MiB per "
        f"1,000 images; 1,000 images are {pixels / thousands:.1f} MiB of pixels."
    )


def write(rows: list[dict], out: Path, job: str) -> str:
    """The numbers as JSON, and a table of them in Markdown, which is returned too."""
    command = "python benchmarks/memory.py" + ("" if job == "train" else f" --job {job}")
    shown = {"images": "images", "mapped_mib": "pixels on disk, MiB", "steps": "steps"}
    shown |= {"before_mib": "peak before the job, MiB", "peak_mib": "peak, MiB", "held_mib": "held, MiB"}
    shown = {key: head for key, head in shown.items() if rows[0].get(key)}
    lines = ["# Peak memory against the number of images", "", f"`{command}`", ""]
    lines += [f"| {' | '.join(shown.values())} |", "|---" * len(shown) + "|"]
    lines += [f"| {' | '.join(f'{row[key]:,.0f}' for key in shown)} |" for row in rows]
    if len(rows) > 1:
        lines += ["", growth(rows)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    out.with_suffix(".md").write_text("\n".join(lines) + "\n")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one", type=int, help="measure one size in this process")
    parser.add_argument("--job", choices=JOBS, default="train")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/memory"), help="without ending")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(JOBS[options.job](options.one)))
        return
    rows = []
    for images in options.sizes:
        command = [sys.executable, __file__, "--job", options.job, "--one", str(images)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(output.splitlines()[-1]))
        print(rows[-1], flush=True)
    print(write(rows, options.out, options.job))


if __name__ == "__main__":
    main()
