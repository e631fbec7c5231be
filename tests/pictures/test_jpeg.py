"""What the markers of a JPEG say, and that pixels do not depend on which decoder is installed."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from equipoise.pictures import decode
from equipoise.pictures.decode import Unreadable, decoded
from equipoise.pictures.jpeg import jpeg_frame


@pytest.fixture
def smooth(rng):
    return Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize((90, 70))


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def segment(marker, body):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def outcome(data):
    try:
        return decoded(data, size=32, channels=3)
    except Unreadable as reason:
        return str(reason)


def both(data, monkeypatch):
    """What comes out with the fast decoder and with Pillow alone, which must be equal; and which one was asked."""
    if decode.simplejpeg is None:
        pytest.skip("no fast decoder")
    calls = []
    original = decode.simplejpeg.decode_jpeg
    with monkeypatch.context() as patch:
        patch.setattr(decode.simplejpeg, "decode_jpeg", lambda *a: calls.append(1) or original(*a))
        fast = outcome(data)
    with monkeypatch.context() as patch:
        patch.setattr(decode, "simplejpeg", None)
        np.testing.assert_array_equal(fast, outcome(data))
    return fast, bool(calls)


@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": 0},
        {"subsampling": 1},
        {"subsampling": 2},
        {"progressive": True, "quality": 20},
        {"restart_marker_blocks": 1},
        {"optimize": True, "comment": b"a word"},
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_ordinary_jpegs_are_the_same_by_either(smooth, monkeypatch, options, mode):
    options = {name: value for name, value in options.items() if mode == "RGB" or name != "subsampling"}
    got, fast = both(jpeg(smooth.convert(mode), **options), monkeypatch)
    assert isinstance(got, np.ndarray)
    assert fast


def test_whatever_may_mean_more_is_left_to_pillow(smooth, monkeypatch, profile):
    exif = Image.Exif()
    exif[0x0112] = 8
    plain = jpeg(smooth)
    odd = {
        "exif": jpeg(smooth, exif=exif),
        "profile": jpeg(smooth, icc_profile=profile()),
        "xmp": plain[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>") + plain[2:],
        "other": plain[:2] + segment(0xED, b"Photoshop 3.0\0") + plain[2:],
        "cmyk": jpeg(smooth.convert("CMYK")),
        "rgb": jpeg(smooth, keep_rgb=True),
        "adobe": plain[:2] + segment(0xEE, b"Adobe\0d\0\0\0\0\1") + plain[2:],
        "adobe rgb": plain[:2] + segment(0xEE, b"Adobe\0d\0\0\0\0\0") + plain[2:],
        "fill": plain[:2] + b"\xff" + plain[2:],
        "no jfif, odd names": plain.replace(b"JFIF", b"ABCD").replace(b"\x11\1\3\x11\1", b"\x11\1\7\x11\1"),
    }
    for name, data in odd.items():
        _, fast = both(data, monkeypatch)
        assert not fast, name


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_refused_by_either(smooth, monkeypatch, share, progressive):
    data = jpeg(smooth, progressive=progressive)
    got, _ = both(data[: int(len(data) * share)], monkeypatch)
    assert isinstance(got, str)


def test_damage_within_is_judged_by_pillow_alone(smooth, monkeypatch, rng):
    data = bytearray(jpeg(smooth, restart_marker_blocks=3))
    for place in rng.integers(len(data) // 3, len(data), 60):
        hurt = bytes(data[:place]) + bytes([data[place] ^ 0x55]) + bytes(data[place + 1 :])
        both(hurt, monkeypatch)


def test_a_frame(smooth):
    frame = jpeg_frame(jpeg(smooth, progressive=True))
    assert (frame.height, frame.width, frame.components, frame.progressive) == (70, 90, 3, True)
    assert frame.scans > 5
    assert frame.ordinary
    assert jpeg_frame(jpeg(smooth)).scans == 1


@pytest.mark.parametrize("end", [3, 4, 5, 10, 30, 200])
def test_markers_that_do_not_hold_together(smooth, end):
    assert jpeg_frame(jpeg(smooth)[:end]) is None
    assert jpeg_frame(b"\x89PNG") is None
    assert jpeg_frame(b"\xff\xd8\xff\xe0\0\1\xff\xda\0\2") is None


def test_a_jpeg_of_endless_scans_is_refused(smooth, monkeypatch):
    data = jpeg(smooth, progressive=True)
    last = data.rindex(b"\xff\xda")
    got, _ = both(data[:-2] + data[last:-2] * 600 + data[-2:], monkeypatch)
    assert "scans, more than 500" in got
    fill = data[:2] + b"\xff" + data[2:-2] + data[last:-2] * 600 + data[-2:]
    assert "scans, more than 500" in both(fill, monkeypatch)[0]
