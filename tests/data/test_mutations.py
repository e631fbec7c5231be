"""Ten thousand damaged pictures and some damaged HDF5 files: no hang, no crash, no error that is not ours.

Runs itself as a script, so that memory is measured in a process of its own and a crash is seen.
"""

import io
import json
import os
import resource
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms

from equipoise.data import decode
from equipoise.data.decode import Unreadable, decoded
from equipoise.data.lab_hdf5 import lab_hdf5
from equipoise.errors import EquipoiseError

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


if __name__ == "__main__":
    import time

    t = time.time()
    print(
        json.dumps(
            {
                **pictures(int(sys.argv[1])),
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "t": time.time() - t,
            }
        )
    )
