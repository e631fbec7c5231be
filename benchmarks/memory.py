"""Peak memory while training from a memory-mapped cache, against the number of images.

    python benchmarks/memory.py

Each size runs in a process of its own, as many steps each, so that a small set is seen many times and a large one
once. `mapped` is the size of the pixels on disk.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
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


def write(rows: list[dict], out: Path) -> str:
    """The numbers as JSON, and a table of them in Markdown, which is returned too."""
    lines = ["# Peak memory against the number of images", "", "`python benchmarks/memory.py`", ""]
    lines += [
        "| images | pixels on disk, MiB | steps | peak before training, MiB | peak, MiB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['images']:,} | {r['mapped_mib']:.0f} | {r['steps']} | {r['before_mib']:.0f} | {r['peak_mib']:.0f} |"
        for r in rows
    ]
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
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/memory"), help="without ending")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(train_once(options.one)))
        return
    rows = []
    for images in SIZES:
        command = [sys.executable, __file__, "--one", str(images)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(output.splitlines()[-1]))
        print(rows[-1], flush=True)
    print(write(rows, options.out))


if __name__ == "__main__":
    main()
