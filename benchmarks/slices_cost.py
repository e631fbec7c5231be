"""What seeking slices costs: beside the network's pass, and on many images."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.slices import find

SHARED, PASSED = 10_000, 512
"""Pictures of the part `share`: that are searched, and that the network passes over."""


def share(data: Path, cache: str) -> dict[str, Any]:
    """Processor seconds of an audit's search on 10,000 pictures, and of the network's pass over as many."""
    import torch

    from equipoise.data import ImageTable, read
    from equipoise.nn import features
    from features import SIZE, backbone

    network, parts = backbone(), ("train", "validation", "test")
    table = ImageTable.concat([read(data / f"{p}.parquet", image_size=SIZE, cache=cache) for p in parts])
    vectors = np.concatenate(
        [
            features(
                network, read(data / f"{p}.parquet", image_size=SIZE, cache=cache), cache=cache
            ).vectors()
            for p in parts
        ]
    )[:SHARED]
    labels, rng = table.labels[:SHARED], np.random.default_rng(0)
    logits = np.where((labels == 1) ^ (rng.random(SHARED) < 0.12), 1, -1) * rng.gamma(2, 1, SHARED)
    columns = {"place": table.column("place")[:SHARED]}
    began = time.process_time()
    find(vectors, labels, logits, columns=columns, flags={"mislabelled": rng.random(SHARED) < 0.05})
    seconds = time.process_time() - began
    pixels = table.batch(np.arange(PASSED))
    with torch.inference_mode():
        network.network.eval()
        began = time.process_time()
        for start in range(0, PASSED, 16):
            images = torch.from_numpy(pixels[start : start + 16]).permute(0, 3, 1, 2)
            network.network((images.float() - 127) / 128)
    each = (time.process_time() - began) / PASSED
    return {"rows": SHARED, "find_s": seconds, "pass_s": each * SHARED, "share": seconds / (each * SHARED)}


def speed(seed: int, rows: int) -> dict[str, Any]:
    """Memory-mapped half precision, ten classes."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(40, 1280)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        kept = np.lib.format.open_memmap(path, "w+", np.float16, (rows, 1280))
        for start in range(0, rows, 5000):
            many = min(5000, rows - start)
            kept[start : start + many] = rng.normal(size=(many, 40)).astype(np.float32) @ mix + rng.normal(
                size=(many, 1280)
            )
        kept.flush()
        labels = rng.integers(0, 10, rows)
        taken = np.where(rng.random(rows) < 0.1, (labels + 1) % 10, labels)
        logits = rng.normal(size=(rows, 10)).astype(np.float32)
        logits[np.arange(rows), taken] += 6
        began = time.perf_counter(), time.process_time()
        find(np.load(path, mmap_mode="r"), labels, logits)
        wall, processor = time.perf_counter() - began[0], time.process_time() - began[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"rows": rows, "wall_s": wall, "processor_s": processor, "peak_gib": peak}
