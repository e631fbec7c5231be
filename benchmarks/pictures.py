"""What pictures cost: memory against their number and size, the second start, and decoding against a plain loop.

    python -m benchmarks.pictures [--files 10000 100000] [--width 320] [--size 160] [--photographs 40]
    python -m benchmarks.pictures --files --decoder 64 160 224

Synthetic JPEGs and photographs of 12 megapixels are written to a folder that goes afterwards. Each
measurement is a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

BATCH = 256
DRAWN = 64  # different pictures; the rest are these with another comment


def written(folder: Path, count: int, width: int, height: int) -> Path:
    """A folder of two classes with so many JPEGs, no two of them equal as files."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(min(DRAWN, count)):
        small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        file = io.BytesIO()
        small.resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        drawn.append(file.getvalue())
    for row in range(count):
        place = folder / ("ant", "bee")[row % 2] / f"{row // 1000:03}" / f"{row:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        comment = f"{row}".encode()
        head = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        data = drawn[row % len(drawn)]
        place.write_bytes(data[:20] + head + data[20:])  # behind the JFIF segment
    return folder


def measured(folder: Path, cache: Path, limit: str, size: int, workers: int | None) -> dict[str, float]:
    """Seconds of reading and of one pass, pictures a second, and the peak of memory in MiB."""
    from equipoise.data import read

    empty = _peak()
    began = time.perf_counter()
    table = read(folder, image_size=size, cache=cache, cache_limit=limit, workers=workers)
    was_read = time.perf_counter()
    after_reading = _peak()
    total = 0
    for images in table.batches(
        np.arange(start, min(start + BATCH, len(table))) for start in range(0, len(table), BATCH)
    ):
        total += int(images[:, 0, 0, 0].sum())
    done = time.perf_counter()
    return {
        "kind": type(table.parts[0]).__name__,
        "read_s": round(was_read - began, 2),
        "images_per_s": round(len(table) / (done - was_read), 1),
        "start_MiB": empty,
        "read_MiB": after_reading,
        "peak_MiB": _peak(),
    }


def plain(folder: Path, size: int) -> dict[str, float]:
    """A loop with Pillow alone, as it would be written by hand."""
    files = sorted(folder.glob("**/*.jpg"))
    began = time.perf_counter()
    for file in files:
        with Image.open(file) as image:
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            box = (left, top, left + side, top + side)
            np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.LANCZOS, box=box))
    return {"images_per_s": round(len(files) / (time.perf_counter() - began), 1), "peak_MiB": _peak()}


def decoder(folder: Path, workers: int) -> dict[str, float]:
    """The JPEG decoder alone, on threads: what a pass over pictures cannot be faster than."""
    import simplejpeg

    files = sorted(folder.glob("**/*.jpg"))
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        total = sum(
            pool.map(lambda file: len(simplejpeg.decode_jpeg(file.read_bytes())), files, chunksize=64)
        )
    return {"images_per_s": round(len(files) / (time.perf_counter() - began), 1), "rows": total}


def beside_decoder(place: Path, side: int, count: int, rounds: int) -> dict[str, float]:
    """A pass over squares that stay encoded, and its share of the decoder's own speed, in turns on all cores."""
    folder, cores, pairs = written(place / f"squares{side}", count, side, side), os.cpu_count() or 1, []
    for number in range(rounds):
        alone = _apart("decoder", folder, cores)["images_per_s"]
        ours = _apart("measured", folder, place / f"cache{side}-{number}", "0", side, None)["images_per_s"]
        pairs.append((ours, alone))
    return {
        "images_per_s": statistics.median(ours for ours, _ in pairs),
        "decoder": statistics.median(alone for _, alone in pairs),
        "ratio": round(statistics.median(ours / alone for ours, alone in pairs), 3),
    }


def _peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _apart(name: str, *given: object) -> dict[str, float]:
    code = f"import json; from benchmarks import pictures; print(json.dumps(pictures.{name}(*{given!r})))"
    code = f"from pathlib import Path, PosixPath, WindowsPath; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--photographs", type=int, default=40)
    parser.add_argument(
        "--decoder", type=int, nargs="*", default=[], metavar="SIDE", help="beside the decoder alone"
    )
    asked = parser.parse_args()
    size, shape = asked.size, (asked.width, asked.width * 3 // 4)
    with tempfile.TemporaryDirectory() as place:
        for count in asked.files:
            folder, cache = written(Path(place) / f"{count}", count, *shape), Path(place) / f"cache{count}"
            for what, limit in (("encoded", "0"), ("encoded, second start", "0"), ("kept", "100 GB")):
                print(count, what, _apart("measured", folder, cache, limit, size, None), flush=True)
            print(
                count,
                "kept, second start",
                _apart("measured", folder, cache, "100 GB", size, None),
                flush=True,
            )
        for side in asked.decoder:
            print(f"{side} pixels", beside_decoder(Path(place), side, 10_000, 4), flush=True)
        if not asked.files:
            return
        some = written(Path(place) / "some", 2_000, *shape)
        print("plain loop", _apart("plain", some, size))
        for workers in (1, 2, 8):
            cache = Path(place) / f"workers{workers}"
            print(f"{workers} workers", _apart("measured", some, cache, "0", size, workers), flush=True)
        if asked.photographs:
            large = written(Path(place) / "large", asked.photographs, 4000, 3000)
            for side in (224, 512):
                print("12 megapixels, plain loop", side, _apart("plain", large, side))
                for workers in (2, 8):
                    cache = Path(place) / f"large{side}-{workers}"
                    found = _apart("measured", large, cache, "0", side, workers)
                    print(f"12 megapixels, {workers} workers", side, found, flush=True)


if __name__ == "__main__":
    main()
