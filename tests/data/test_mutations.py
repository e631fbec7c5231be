"""Ten thousand damaged pictures and some damaged HDF5 files: no hang, no crash, no error that is not ours.

Runs itself as a script, so that memory is measured in a process of its own and a crash is seen.
"""

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import equipoise
from equipoise.data import read
from equipoise.errors import EquipoiseError
from equipoise.pictures import decode
from equipoise.pictures.decode import Unreadable, decoded

pytestmark = pytest.mark.slow

PICTURES, FILES, WORKERS = 10_000, 400, 4
PEAK_BYTES = 1_500_000_000


def saved(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def seeds(rng):
    """Whole pictures of every format, with what else such files hold."""
    smooth = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize((37, 29))
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = [smooth, smooth.rotate(180), smooth.convert("L").convert("RGB")]
    rgba = smooth.copy()
    rgba.putalpha(smooth.convert("L"))
    deep = Image.fromarray(rng.integers(0, 65536, (29, 37)).astype(np.uint16))
    many = {"save_all": True, "append_images": frames[1:], "duration": 5}
    yield from (saved(smooth, "JPEG", quality=90, subsampling=kind) for kind in (0, 1, 2))
    yield saved(smooth, "JPEG", progressive=True)
    yield saved(smooth, "JPEG", restart_marker_blocks=2)
    yield saved(smooth.convert("L"), "JPEG")
    yield saved(smooth.convert("CMYK"), "JPEG")
    yield saved(smooth, "JPEG", exif=exif, icc_profile=profile, comment=b"said")
    yield saved(smooth, "PNG", icc_profile=profile, exif=exif)
    yield saved(rgba, "PNG")
    yield saved(deep, "PNG")
    yield saved(smooth.quantize(16), "PNG", transparency=3)
    yield saved(frames[0], "PNG", **many)
    yield saved(smooth, "WEBP")
    yield saved(rgba, "WEBP", lossless=True, exif=exif, icc_profile=profile)
    yield saved(frames[0], "WEBP", **many)
    yield saved(smooth, "GIF")
    yield saved(frames[0], "GIF", **many)
    yield saved(smooth, "BMP")
    yield saved(smooth.quantize(16), "BMP")
    for compression in (None, "tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        yield saved(smooth, "TIFF", compression=compression)
    yield saved(deep, "TIFF")
    yield saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    yield saved(smooth, "PPM")


def mutated(data, rng):
    """A few bytes changed, a part cut out, doubled or moved, or the end missing."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        kind, place = rng.integers(6), int(rng.integers(len(out)))
        some = int(rng.integers(1, 40))
        if kind <= 1:
            out[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            out[place : place + 4] = rng.choice(
                [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xda\xff\xd9"]
            )
        elif kind == 3:
            del out[place : place + some]
        elif kind == 4:
            out[place:place] = out[place // 2 : place // 2 + some]
        else:
            header = int(rng.integers(min(len(out), 64)))
            out[header] = int(rng.integers(256))
        if not out:
            break
    if rng.random() < 0.1:
        del out[int(rng.integers(len(out) + 1)) :]
    return bytes(out)


def outcome(data):
    try:
        return decoded(data, size=24, channels=3)
    except Unreadable as reason:
        return str(reason)


def pictures(count):
    """How many of `count` mutated pictures decode, and those that the two decoders do not agree on."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(13)
    whole = list(seeds(rng))
    damaged = [mutated(whole[index % len(whole)], rng) for index in range(count)]
    with ThreadPoolExecutor(WORKERS) as pool:
        fast = list(pool.map(outcome, damaged))
        decode.simplejpeg = None
        slow = list(pool.map(outcome, damaged))
    differ = [
        i for i, (one, other) in enumerate(zip(fast, slow, strict=True)) if not np.array_equal(one, other)
    ]
    return {"read": sum(not isinstance(one, str) for one in fast), "differ": differ}


def hdf5_files(count, folder):
    """How many of `count` mutated HDF5 files are read, every picture of them."""
    import h5py

    rng = np.random.default_rng(14)
    images = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    whole = []
    for options in (
        {},
        {"compression": "gzip", "chunks": (4, 8, 8, 3)},
        {"compression": "lzf", "shuffle": True},
    ):
        with h5py.File(folder / "whole.h5", "w", libver="latest" if options else "earliest") as file:
            file.create_dataset("images", data=images, **options)
            file["labels"] = (np.arange(20) % 2).astype(">i4")[:, None]
            file["skin"] = ["light", "dark"] * 10
            file["age"] = np.linspace(0, 9, 20)
        whole.append((folder / "whole.h5").read_bytes())
    done = 0
    for index in range(count):
        (folder / "hurt.h5").write_bytes(mutated(whole[index % len(whole)], rng))
        with contextlib.suppress(EquipoiseError):
            read(
                folder / "hurt.h5", channel_order="rgb", image_size=8, cache=folder / "cache", max_rejected=1
            )
            done += 1
    return {"read": done}


def write_bombs(folder):
    """Pictures of a few hundred kB that take gigabytes."""
    side = 8_900
    row, pressed = b"\0" + b"\x10\x20\x30\x80" * side, zlib.compressobj(9)
    body = b"".join(pressed.compress(row) for _ in range(side)) + pressed.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b"")):
        png += (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )
    for index in range(6):
        (folder / f"{index}.png").write_bytes(png)
    image = Image.new("RGB", (side, side), "red")
    image.save(folder / "a.jpg", progressive=True)
    image.save(folder / "b.tif", compression="tiff_deflate")
    image.resize((7_000, 7_000)).save(folder / "c.webp", lossless=True, method=0)


def swollen(folder):
    """How many pictures of a folder several workers read."""
    return {"read": len(read(folder, label=1, workers=WORKERS, cache=folder / "cache"))}


def peak_bytes():
    """The most memory that this process has had; Linux passes on what its parent had in `ru_maxrss`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


@pytest.fixture
def told(tmp_path):
    """Does one of the above in a process of its own."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is measured on Linux only")

    def run(what, *arguments):
        command = [sys.executable, __file__, what, *map(str, arguments)]
        source = {"PYTHONPATH": str(Path(equipoise.__file__).parents[1])}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=280, cwd=tmp_path, env=os.environ | source
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found = json.loads(done.stdout)
        assert found["peak"] < PEAK_BYTES
        return found

    return run


def test_ten_thousand_damaged_pictures(told):
    found = told("pictures", PICTURES)
    assert PICTURES / 10 < found["read"] < PICTURES * 9 / 10
    assert found["differ"] == []


def test_damaged_hdf5_files(told, tmp_path):
    found = told("hdf5", FILES, tmp_path)
    assert FILES / 10 < found["read"] < FILES * 9 / 10


def test_pictures_that_swell(told, tmp_path):
    write_bombs(tmp_path)
    assert told("swollen", tmp_path)["read"] == 9


if __name__ == "__main__":
    os.environ["EQUIPOISE_CACHE"] = "cache"
    kind, *given = sys.argv[1:]
    outcome_of = {
        "pictures": lambda: pictures(int(given[0])),
        "hdf5": lambda: hdf5_files(int(given[0]), Path(given[1])),
        "swollen": lambda: swollen(Path(given[0])),
    }[kind]()
    print(json.dumps(outcome_of | {"peak": peak_bytes()}))
