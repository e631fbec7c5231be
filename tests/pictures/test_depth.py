"""More than eight bits: black and white as the file declares them; what declares nothing keeps its full range."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from equipoise.pictures.decode import Unreadable, decoded

RAMP = np.linspace(0, 1, 16)[None].repeat(16, 0)
GREY = np.rint(RAMP * 255)
BANDS = {0: 1, 2: 3, 4: 2, 6: 4}  # of a kind of colour of PNG


def read(data, channels=3):
    said = []
    return decoded(data, size=16, channels=channels, note=said.append).astype(int), said


def png(raw_png, kind, white, bits, *, scale=1, **options):
    """A ramp in each channel, opaque where there is alpha, up to `white`."""
    values = np.repeat(np.rint(RAMP * white)[..., None], BANDS[kind], -1) * scale
    if kind in (4, 6):
        values[..., -1] = white * scale if scale == 1 else 65535
    rows = [row.astype(">u2").tobytes() for row in values]
    return raw_png(16, rows, depth=16, kind=kind, significant=bytes([bits] * BANDS[kind]), **options)


@pytest.mark.parametrize("kind", list(BANDS))
@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15, 8])
def test_significant_bits_of_png_that_were_not_scaled_up(raw_png, kind, bits):
    white = 2**bits - 1
    got, said = read(png(raw_png, kind, white, bits))
    assert np.abs(got - GREY[..., None]).max() <= 1
    assert said == [f"16 bits a channel were scaled to 8, white at {white:,} as sBIT says"]


@pytest.mark.parametrize("kind", list(BANDS))
def test_significant_bits_of_png_that_were_scaled_up_as_its_standard_says(raw_png, kind):
    shifted, said = read(png(raw_png, kind, 4095, 12, scale=16))  # 4,095 becomes 65,520
    plain, _ = read(png(raw_png, kind, 4095, 16, scale=16))
    np.testing.assert_array_equal(shifted, plain)
    assert said == ["16 bits a channel were scaled to 8"]
    dark = np.rint(RAMP * 255).astype(np.uint16) * 16  # 12 bits that hold a dark picture, shifted
    rows = [row.astype(">u2").tobytes() for row in dark]
    got, _ = read(raw_png(16, rows, depth=16, kind=0, significant=b"\x0c"))
    assert got.max() == 16


def test_channels_may_have_other_bits(raw_png):
    values = np.stack([np.rint(RAMP * white) for white in (1023, 4095, 255)], -1)
    rows = [row.astype(">u2").tobytes() for row in values]
    got, said = read(raw_png(16, rows, depth=16, kind=2, significant=bytes([10, 12, 8])))
    assert np.abs(got - GREY[..., None]).max() <= 1
    assert "white at 1,023 and 4,095 and 255" in said[0]


@pytest.mark.parametrize(
    ("kind", "key"), [(0, struct.pack(">H", 273)), (2, struct.pack(">3H", 273, 273, 273))]
)
def test_the_transparent_colour_is_that_of_the_file(raw_png, kind, key):
    got, said = read(png(raw_png, kind, 4095, 12, transparent=key))
    assert (got[:, 1] == 255).all()
    assert np.abs(got[:, 2:] - GREY[:, 2:, None]).max() <= 1
    assert "transparent parts became white" in said


def test_alpha_has_bits_too(raw_png):
    values = np.zeros((16, 16, 4))
    values[:, 8:, 3] = 4095
    rows = [row.astype(">u2").tobytes() for row in values]
    got, _ = read(raw_png(16, rows, depth=16, kind=6, significant=bytes([12] * 4)))
    assert (got[:, :8] == 255).all()
    assert (got[:, 8:] == 0).all()


@pytest.mark.parametrize("place", [30, 34, 60])
def test_a_damaged_chunk_declares_nothing_or_is_refused(raw_png, place):
    data = bytearray(png(raw_png, 2, 4095, 12))
    data[place : place + 4] = b"\xff\xff\xff\xff"
    try:
        got, _ = read(bytes(data))
    except Unreadable:
        return
    assert got.shape == (16, 16, 3)


def tiff(values, tags=(), *, order="<", photometric=1, sample_format=1, bits=None, compressed=False):
    """A TIFF written by hand: shape (height, width) or (height, width, samples); `tags` are (tag, kind, value)."""
    height, width = values.shape[:2]
    samples = values.shape[2] if values.ndim == 3 else 1
    body = values.astype(values.dtype.newbyteorder(order)).tobytes()
    body = zlib.compress(body) if compressed else body
    bits = bits or 8 * values.dtype.itemsize
    found = [
        (256, "I", width),
        (257, "I", height),
        (259, "H", 8 if compressed else 1),
        (262, "H", photometric),
    ]
    found += [(273, "I", 8), (277, "H", samples), (278, "I", height), (279, "I", len(body))]
    found += [(258, "H", (bits,) * samples), (339, "H", (sample_format,) * samples), *tags]
    codes = {"H": 3, "I": 4, "f": 11, "d": 12, "h": 8, "i": 9}
    listed, beyond = b"", b""
    start = 8 + len(body) + 2 + 12 * len(found) + 4
    for tag, kind, value in sorted(found):
        content = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"{order}{len(content)}{kind}", *content)
        if len(packed) > 4:
            place, beyond = struct.pack(f"{order}I", start + len(beyond)), beyond + packed
        else:
            place = packed.ljust(4, b"\0")
        listed += struct.pack(f"{order}HHI", tag, codes[kind], len(content)) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(body))
    return head + body + struct.pack(f"{order}H", len(found)) + listed + bytes(4) + beyond


def ramp(white, kind=np.uint16, samples=None):
    values = np.rint(RAMP * white).astype(kind)
    return values if samples is None else np.repeat(values[..., None], samples, -1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("samples", [None, 3])
@pytest.mark.parametrize(("bits", "used"), [(12, 4095), (12, 3871), (10, 1023), (14, 16383)])
def test_the_largest_value_of_tiff_says_how_many_bits(order, samples, bits, used):
    white, photometric = 2**bits - 1, 1 if samples is None else 2
    values = np.minimum(ramp(white, samples=samples), used)
    tags = [(281, "H", (used,) * (samples or 1))]
    got, said = read(tiff(values, tags, order=order, photometric=photometric))
    assert np.abs(got - np.rint(np.minimum(RAMP, used / white) * 255)[..., None]).max() <= 1
    assert said == [f"16 bits a channel were scaled to 8, white at {white:,} as MaxSampleValue says"]


def test_white_that_is_zero_stays_so():
    got, _ = read(tiff(ramp(4095), [(281, "H", 4095)], photometric=0))
    assert np.abs(got - (255 - GREY[..., None])).max() <= 1


@pytest.mark.parametrize("kind", ["H", "I", "f", "d"])
def test_the_smallest_and_largest_value_of_tiff_are_black_and_white(kind):
    got, said = read(tiff(ramp(2000) + np.uint16(1000), [(340, kind, 1000), (341, kind, 3000)]))
    assert np.abs(got - GREY[..., None]).max() <= 1
    assert "black at 1,000 and white at 3,000 as SMinSampleValue and SMaxSampleValue say" in said[0]
    got, said = read(tiff(ramp(6000), [(341, kind, 3000)]))  # beyond white is white
    assert (got[:, 8:] == 255).all()
    assert "white at 3,000 as SMaxSampleValue says" in said[0]


@pytest.mark.parametrize(
    ("values", "sample_format", "tags"),
    [
        (ramp(1e6, np.uint32), 1, [(341, "I", 10**6)]),
        (ramp(4e9, np.uint32), 1, [(341, "d", 4e9)]),
        (ramp(4095, np.uint32), 1, [(281, "H", 4095)]),
        (ramp(2000, np.int32) - 1000, 2, [(340, "i", -1000), (341, "i", 1000)]),
        (ramp(2000, np.int16) - np.int16(1000), 2, [(340, "h", -1000), (341, "h", 1000)]),
        (ramp(4095, np.int16), 2, [(281, "H", 4095)]),
        (RAMP.astype(np.float32), 3, [(340, "f", 0.0), (341, "f", 1.0)]),
    ],
)
def test_numbers_without_a_white_of_their_own_are_read_where_the_file_declares_it(
    values, sample_format, tags
):
    got, said = read(tiff(values, tags, sample_format=sample_format))
    assert np.abs(got - GREY[..., None]).max() <= 1
    assert said[0].startswith(f"{8 * values.dtype.itemsize} bits a channel were scaled to 8, ")


@pytest.mark.parametrize(
    ("values", "sample_format", "tags"),
    [
        (ramp(5000, np.uint32), 1, [(281, "H", 4095)]),  # contradicted
        (ramp(200, np.int16) - np.int16(100), 2, [(281, "H", 4095)]),
        (RAMP.astype(np.float32), 3, [(341, "f", 1.0)]),  # black is not said
        (RAMP.astype(np.float32), 3, [(281, "H", 1)]),
        (RAMP.astype(np.float32), 3, [(340, "f", 1.0), (341, "f", 1.0)]),
        (RAMP.astype(np.float32), 3, [(340, "f", float("nan")), (341, "f", 1.0)]),
        (np.full((16, 16), np.nan, np.float32), 3, [(340, "f", 0.0), (341, "f", 1.0)]),
    ],
)
def test_numbers_whose_white_is_still_not_known_are_refused(values, sample_format, tags):
    with pytest.raises(Unreadable, match=r"not said; save|no numbers"):
        read(tiff(values, tags, sample_format=sample_format))


def test_a_contradicted_depth_keeps_the_full_range_and_says_so():
    got, said = read(tiff(ramp(65535), [(281, "H", 255)]))
    np.testing.assert_array_equal(got, GREY[..., None].repeat(3, -1))
    assert said == [
        "MaxSampleValue was not followed: there are values beyond it",
        "16 bits a channel were scaled to 8",
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("samples", [None, 3])
def test_compressed_files_declare_too(order, samples):
    tags = [(281, "H", (4095,) * (samples or 1))]
    photometric = 1 if samples is None else 2
    data = tiff(ramp(4095, samples=samples), tags, order=order, photometric=photometric, compressed=True)
    got, said = read(data)
    assert np.abs(got - GREY[..., None]).max() <= 1
    assert "white at 4,095" in said[0]


@pytest.mark.parametrize("magic", ["P5", "P2", "P6", "P3"])
@pytest.mark.parametrize("white", [1023, 4095])
def test_portable_maps_say_what_was_taken(magic, white):
    values = ramp(white, samples=3 if magic in ("P6", "P3") else None)
    body = values.astype(">u2").tobytes()
    if magic in ("P2", "P3"):
        body = "\n".join(" ".join(map(str, row)) for row in values.reshape(16, -1)).encode()
    got, said = read(f"{magic} 16 16 {white}\n".encode() + body)
    assert np.abs(got - GREY[..., None]).max() <= 1
    assert said == [f"16 bits a channel were scaled to 8, white at {white:,} as maxval says"]


def test_pictures_that_declare_nothing_are_as_they_were(raw_png, rng, saved):
    deep = rng.integers(0, 65536, (16, 16, 3)).astype(np.uint16)
    rows = [row.astype(">u2").tobytes() for row in deep]
    got, said = read(raw_png(16, rows, depth=16, kind=2))
    np.testing.assert_array_equal(got, deep >> 8)
    assert said == ["16 bits a channel were scaled to 8"]
    got, _ = read(saved(Image.fromarray(deep[..., 0])), channels=1)
    np.testing.assert_array_equal(got[..., 0], np.rint(deep[..., 0] / 257))
    plain = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    got, said = read(tiff(plain, [(281, "H", (15, 15, 15)), (341, "H", (15, 15, 15))], photometric=2))
    np.testing.assert_array_equal(got, plain)
    assert said == []


@pytest.mark.parametrize("kind", [0, 2, 4, 6])
def test_what_is_dark_is_said(raw_png, kind):
    _, said = read(png(raw_png, kind, 4095, 16))
    assert "16 bits a channel were scaled to 8, none of their values above 4,095" in said
    _, said = read(png(raw_png, kind, 40000, 16))
    assert "16 bits a channel were scaled to 8" in said


def test_orientation_and_profile_stay(saved, profile):
    exif = Image.Exif()
    exif[0x0112] = 3
    image = Image.fromarray(ramp(4095))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = saved(image, "PNG", exif=exif)
    cut = data.index(b"IDAT") - 4
    chunk = b"sBIT\x0c"
    data = data[:cut] + struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[cut:]
    got, _ = read(data)
    assert np.abs(got - GREY[:, ::-1, None]).max() <= 1
    grey = saved(image, "TIFF", tiffinfo={281: 4095}, icc_profile=profile(gamma=1.0))
    got, said = read(grey)
    assert got[0, 8, 0] > GREY[0, 8] + 30
    assert said[1] == "a colour profile was turned into sRGB"


def test_depths_that_cannot_be_read_say_so():
    with pytest.raises(Unreadable, match="a TIFF that is damaged, or of a depth"):
        read(tiff(ramp(1023), bits=10))
