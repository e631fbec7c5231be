"""Colours as everybody means them: turned upright, sRGB, opaque, eight bits; numbers without a white refused."""

import io
import struct
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from equipoise.pictures import decode
from equipoise.pictures.decode import Unreadable, decoded

P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {}</rdf:Description></rdf:RDF></x:xmpmeta>'
)
QUARTERS = np.kron(
    np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 0]]], np.uint8),
    np.ones((8, 8, 1), np.uint8),
)


@pytest.fixture(params=["fast", "Pillow"])
def either_decoder(request, monkeypatch):
    """Every test below holds with and without the fast decoder."""
    if request.param == "Pillow":
        monkeypatch.setattr(decode, "simplejpeg", None)
    elif decode.simplejpeg is None:
        pytest.skip("no fast decoder")


def read(data, size=16, channels=3):
    """Pixels, and what was said about them."""
    said = []
    return decoded(data, size=size, channels=channels, note=said.append), said


def turned(orientation):
    """The quarters as EXIF means them to be shown."""
    first = QUARTERS[:, ::-1] if orientation in (2, 4, 5, 7) else QUARTERS
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}[orientation]
    return np.rot90(first, turns)


def with_segment(jpeg, marker, body):
    return jpeg[:2] + b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "written",
    ['tiff:Orientation="{}">', "tiff:Orientation = '{}'>", "><tiff:Orientation>{}</tiff:Orientation>"],
)
def test_an_orientation_that_only_xmp_tells(either_decoder, saved, orientation, written):
    packet = XMP.format(written.format(orientation)).encode()
    plain = saved(Image.fromarray(QUARTERS), "JPEG", quality=100, subsampling=0)
    picture = with_segment(plain, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)
    assert np.abs(read(picture)[0].astype(int) - turned(orientation)).max() < 12


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_xmp_turns_in_every_format_once(either_decoder, saved, format, quote):
    packet = XMP.format(f"tiff:Orientation={quote}6{quote}>")
    image = Image.fromarray(QUARTERS)
    if format == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet)
        data = saved(image, format, pnginfo=info)
    elif format == "TIFF":
        data = saved(image, format, tiffinfo={700: packet.encode()})
    else:
        data = saved(
            image,
            format,
            xmp=packet.encode(),
            **({"lossless": True} if format == "WEBP" else {"quality": 100, "subsampling": 0}),
        )
    assert np.abs(read(data)[0].astype(int) - turned(6)).max() < 12


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_exif_comes_before_xmp(either_decoder, saved, format):
    packet = XMP.format("tiff:Orientation='8'>")
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"xmp": packet.encode()} if format in ("JPEG", "WEBP") else {}
    if format == "TIFF":
        options = {"tiffinfo": {700: packet.encode(), 0x0112: 6}}
    elif format == "JPEG":
        options |= {"quality": 100, "subsampling": 0}
    elif format == "WEBP":
        options |= {"lossless": True}
    if format != "TIFF":
        options["exif"] = exif
    got, _ = read(saved(Image.fromarray(QUARTERS), format, **options))
    assert np.abs(got.astype(int) - turned(6)).max() < 12


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_colour_profile_is_followed(either_decoder, saved, profile, format):
    image = Image.new("RGB", (16, 16), (200, 60, 40))
    content = profile(P3)
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format, {})
    got, said = read(saved(image, format, icc_profile=content, **options))
    expected = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(io.BytesIO(content)), ImageCms.createProfile("sRGB")
    ).getpixel((0, 0))
    assert np.abs(got.astype(int) - expected).max() <= 3
    assert np.abs(got.astype(int) - (200, 60, 40)).max() > 10
    assert said == ["a colour profile was turned into sRGB"]


def test_profiles_of_srgb_change_no_bit(either_decoder, saved, profile, rng):
    image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format in ("JPEG", "PNG"):
        plain, _ = read(saved(image, format))
        got, said = read(saved(image, format, icc_profile=own))
        np.testing.assert_array_equal(got, plain)
        assert said == []
    got, said = read(saved(image, icc_profile=profile(SRGB, gamma=1.0)))  # linear light
    assert said == ["a colour profile was turned into sRGB"]


def test_profiles_of_grey_and_alpha(saved, profile):
    dark = Image.new("L", (16, 16), 60)
    got, said = read(saved(dark, icc_profile=profile(gamma=1.0)))
    assert 130 < got.mean() < 136  # linear 60/255 in sRGB
    assert said == ["a colour profile was turned into sRGB"]
    got, _ = read(saved(dark, icc_profile=profile(gamma=1.0)), channels=1)
    assert 130 < got.mean() < 136
    rgba = Image.new("RGBA", (16, 16), (200, 60, 40, 0))
    rgba.paste((200, 60, 40, 255), (0, 0, 8, 16))
    got, said = read(saved(rgba, icc_profile=profile(P3)))
    assert (got[:, 8:] == 255).all()
    assert np.abs(got[:, :8].astype(int) - (200, 60, 40)).max() > 10
    assert sorted(said) == ["a colour profile was turned into sRGB", "transparent parts became white"]
    got, _ = read(saved(dark, icc_profile=profile(P3)))  # grey by a profile of RGB
    assert np.ptp(got.reshape(-1, 3), axis=1).max() <= 1


@pytest.mark.parametrize("content", [b"nothing", bytes(200), b"x" * (5 << 20)])
def test_a_profile_of_no_use_is_said(saved, content):
    got, said = read(saved(Image.new("RGB", (16, 16), (9, 8, 7)), "TIFF", icc_profile=content))
    assert (got == (9, 8, 7)).all()
    assert "a colour profile was left out" in said[0]


def test_a_profile_for_other_colours_is_said(saved, profile):
    got, said = read(saved(Image.new("RGB", (16, 16), (9, 8, 7)), icc_profile=profile()))
    assert (got == (9, 8, 7)).all()
    assert "for other colours" in said[0]
    got, said = read(saved(Image.new("CMYK", (16, 16)), "TIFF", icc_profile=profile(P3)))
    assert "for other colours" in said[0]


@pytest.mark.parametrize(
    ("depth", "row", "key"),
    [
        (1, bytes([0b01000000]), 1),
        (2, bytes([0b00011011]), 1),
        (4, bytes([0x05, 0x9F]), 5),
        (8, bytes([0, 5, 9, 255]), 5),
        (8, bytes([0, 5, 9, 255]), 0xFF05),  # only the low bits count
        (16, struct.pack(">4H", 0, 1000, 1001, 65535), 1000),
    ],
)
def test_a_transparent_grey_of_any_depth(raw_png, depth, row, key):
    got, said = read(raw_png(4, [row] * 4, depth=depth, kind=0, transparent=struct.pack(">H", key)), size=4)
    assert (got[:, 1] == 255).all()
    assert (got[:, 0] == 0).all()
    assert (got[:, 2] < 255).all()
    assert "transparent parts became white" in said


@pytest.mark.parametrize(("depth", "white", "hole"), [(8, 255, 51), (16, 65535, 0x3301), (16, 65535, 0x1234)])
def test_a_transparent_colour_of_any_depth(raw_png, depth, white, hole):
    code = "B" if depth == 8 else "H"
    colours = [0, 0, 0, hole, 0, 0, white // 3, 0, 0, white, white, white]
    key = struct.pack(">3H", hole, 0, 0)
    row = struct.pack(f">12{code}", *colours)
    got, said = read(raw_png(4, [row] * 4, depth=depth, kind=2, transparent=key), size=4)
    assert got[0].tolist() == [[0, 0, 0], [255, 255, 255], [85, 0, 0], [255, 255, 255]]
    assert "transparent parts became white" in said


def test_opaque_alpha_is_not_worth_a_word(saved):
    for image in (Image.new("RGBA", (16, 16), (9, 8, 7, 255)), Image.new("LA", (16, 16), (9, 255))):
        assert read(saved(image))[1] == []
    half, said = read(saved(Image.new("LA", (16, 16), (0, 128))))
    assert (half == 127).all()
    assert said == ["transparent parts became white"]


def test_transparency_by_strips_is_that_of_the_whole(saved, rng, monkeypatch):
    from equipoise.pictures import colour

    data = saved(Image.fromarray(rng.integers(0, 256, (40, 30, 4), dtype=np.uint8)))
    whole, _ = read(data)
    monkeypatch.setattr(colour, "STRIP", 70)
    np.testing.assert_array_equal(read(data)[0], whole)


def tiff(values, bits, photometric=1, sample_format=1, order="<"):
    """A grey TIFF written by hand."""
    height, width = values.shape
    if bits == 12:
        flat = values.reshape(-1, 2).astype(int)
        packed = np.stack([flat[:, 0] >> 4, (flat[:, 0] & 15) << 4 | flat[:, 1] >> 8, flat[:, 1] & 255], 1)
        body = packed.astype(np.uint8).tobytes()
    else:
        body = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = [
        (256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, height),
        (279, len(body)), (339, sample_format),
    ]  # fmt: skip
    listed = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    start = b"II*\0" if order == "<" else b"MM\0*"
    return (
        start
        + struct.pack(f"{order}I", 8 + len(body))
        + body
        + struct.pack(f"{order}H", len(tags))
        + listed
        + bytes(4)
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_grey_is_scaled_by_its_own_white(order):
    ramp = np.linspace(0, 1, 16)[None].repeat(16, 0)
    expected = np.rint(ramp * 255)
    got, said = read(tiff(np.rint(ramp * 65535).astype(np.uint16), 16, order=order), channels=1)
    np.testing.assert_array_equal(got[..., 0], expected)
    assert said == ["16 bits a channel were scaled to 8"]
    if order == "<":
        got, _ = read(tiff(np.rint(ramp * 4095).astype(np.uint16), 12), channels=1)
        np.testing.assert_array_equal(got[..., 0], expected)
        got, _ = read(tiff(np.rint(ramp * 65535).astype(np.uint16), 16, photometric=0), channels=1)
        np.testing.assert_array_equal(got[..., 0], 255 - expected)


@pytest.mark.parametrize("most", [1, 255, 65535, 2**31 - 1])
@pytest.mark.parametrize("kind", [np.uint32, np.int32, np.float32])
def test_numbers_whose_white_is_not_said_are_refused(most, kind):
    values = (np.linspace(0, 1, 256).reshape(16, 16) * most).astype(kind)
    code = {np.uint32: 1, np.int32: 2, np.float32: 3}[kind]
    with pytest.raises(Unreadable, match=r"which value is (white|black) is not said; save 8 or 16 bits"):
        read(tiff(values, 32, sample_format=code))


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_signed_numbers_are_refused(kind):
    with pytest.raises(Unreadable, match="signed pixels"):
        read(tiff(np.arange(256).reshape(16, 16).astype(kind), 8 * np.dtype(kind).itemsize, sample_format=2))


def test_portable_maps_say_their_white():
    for most in (100, 255, 1000, 65535):
        code = ">u1" if most < 256 else ">u2"
        body = np.full((16, 16), most // 2).astype(code).tobytes()
        got, _ = read(f"P5 16 16 {most}\n".encode() + body, channels=1)
        assert np.abs(got.astype(int) - 255 * (most // 2) / most).max() <= 1


def test_cmyk_is_converted_on_both_ways(either_decoder, saved):
    for format in ("JPEG", "TIFF"):
        ink = Image.new("RGB", (16, 16), (200, 100, 50)).convert("CMYK")
        got, _ = read(saved(ink, format))
        np.testing.assert_allclose(got.mean(axis=(0, 1)), (200, 100, 50), atol=6)


def test_heif(saved, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    image = heif.from_pillow(Image.fromarray(QUARTERS).resize((64, 64), Image.Resampling.NEAREST))
    file = io.BytesIO()
    image.save(file, quality=95)
    got, said = read(file.getvalue())
    assert np.abs(got[2:6, 2:6].astype(int) - (250, 0, 0)).max() < 30
    assert said == []
    with pytest.raises(Unreadable):
        read(file.getvalue()[: len(file.getvalue()) // 2])
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(Unreadable, match=r"pip install 'equipoise\[heif\]'"):
        read(file.getvalue())


def test_avif(saved):
    from PIL import features

    if not features.check("avif"):
        pytest.skip("no AVIF here")
    exif = Image.Exif()
    exif[0x0112] = 6
    got, _ = read(saved(Image.fromarray(QUARTERS), "AVIF", quality=95, exif=exif))
    assert np.abs(got[2:6, 10:14].astype(int) - (250, 0, 0)).max() < 40
