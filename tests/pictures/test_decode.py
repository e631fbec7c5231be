"""One picture in, a square out; and a reason for everything that is no picture."""

import io
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from equipoise.pictures import decode
from equipoise.pictures.decode import Unreadable, decoded, encoded, whole
from equipoise.pictures.framing import Framing


def saved(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def noise(rng, width, height, channels=3):
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "YCbCr", "RGBA", "LA"])
def test_every_mode_becomes_rgb(mode):
    image = Image.new("RGB", (8, 8), "white").convert(mode)
    format = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    got = decoded(saved(image, format), size=8, channels=3)
    assert got.dtype == np.uint8
    assert (got >= 254).all()


def test_colour_stays_colour(picture):
    for mode, format in (("RGB", "PNG"), ("P", "GIF"), ("RGB", "WEBP"), ("CMYK", "TIFF"), ("RGB", "BMP")):
        got = decoded(picture((200, 100, 50), mode=mode, format=format), size=16, channels=3)
        np.testing.assert_allclose(got.mean(axis=(0, 1)), (200, 100, 50), atol=6)


def test_grey_is_luminance(picture):
    got = decoded(picture((200, 100, 50)), size=8, channels=1)
    assert got.shape == (8, 8, 1)
    assert (got == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).all()


def test_sixteen_bits_are_scaled(rng):
    values = rng.integers(0, 65536, (8, 8)).astype(np.uint16)
    got = decoded(saved(Image.fromarray(values)), size=8, channels=1)
    np.testing.assert_array_equal(got[..., 0], np.rint(values / 257))


def test_more_than_sixteen_bits_and_floats_are_refused():
    deep = Image.fromarray(np.full((8, 8), 70_000, np.int32))
    with pytest.raises(Unreadable, match="16 bits"):
        decoded(saved(deep, "TIFF"), size=8, channels=3)
    with pytest.raises(Unreadable, match="floating"):
        decoded(saved(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF"), size=8, channels=3)


def test_transparent_parts_become_white():
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    image.paste((0, 0, 255, 0), (0, 0, 4, 8))
    got = decoded(saved(image), size=8, channels=3)
    assert (got[:, :4] == 255).all()
    assert (got[:, 4:] == (255, 0, 0)).all()
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert (decoded(saved(palette, transparency=0), size=8, channels=3) == 255).all()


def test_orientation_is_applied(rng):
    pixels = noise(rng, 8, 8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    for format in ("PNG", "JPEG"):
        plain = saved(Image.fromarray(pixels), format)
        turned = saved(Image.fromarray(pixels), format, exif=exif)
        expected = np.rot90(decoded(plain, size=8, channels=3), -1)
        np.testing.assert_array_equal(decoded(turned, size=8, channels=3), expected)


def test_the_centre_is_kept_and_nothing_stretched():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    for pixels in (wide, wide.transpose(1, 0, 2)):
        assert (
            decoded(saved(Image.fromarray(pixels)), size=5, channels=3) > 230
        ).all()  # Lanczos looks beyond


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    for format in ("GIF", "WEBP", "PNG"):
        data = saved(frames[0], format, save_all=True, append_images=frames[1:], duration=10)
        red, green, _ = decoded(data, size=8, channels=3).mean(axis=(0, 1))
        assert red > 240
        assert green < 15


@pytest.mark.parametrize(
    "options", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True, "quality": 40}]
)
@pytest.mark.parametrize("size", [(64, 64), (50, 71)])
@pytest.mark.parametrize("grey", [False, True])
def test_the_fast_decoder_gives_the_same_pixels(rng, monkeypatch, options, size, grey):
    pytest.importorskip("simplejpeg")
    image = Image.fromarray(noise(rng, 9, 9)).resize(size).convert("L" if grey else "RGB")
    data = saved(image, "JPEG", **({} if grey else options))
    for channels in (1, 3):
        monkeypatch.undo()
        fast = decoded(data, size=64, channels=channels)
        monkeypatch.setattr(decode, "simplejpeg", None)
        np.testing.assert_array_equal(fast, decoded(data, size=64, channels=channels))


@pytest.mark.parametrize("pixels", [False, True])
def test_a_square_of_the_right_size_is_still_resized_and_cut_where_that_is_asked(rng, pixels):
    framing = Framing(16, resize=20, interpolation="bilinear")
    image = Image.fromarray(noise(rng, 16, 16))
    content = np.asarray(image) if pixels else saved(image, "JPEG", quality=95)
    shown = image if pixels else Image.open(io.BytesIO(content)).convert("RGB")
    wanted = np.asarray(framing.square(shown))
    np.testing.assert_array_equal(decoded(content, framing=framing, channels=3), wanted)


def test_a_photograph_shrinks_like_a_full_decode(rng):
    smooth = Image.fromarray(noise(rng, 12, 12)).resize((1600, 1200))
    got = decoded(saved(smooth, "JPEG", quality=95), size=32, channels=3)
    full = decoded(saved(smooth, "PNG"), size=32, channels=3)
    assert np.abs(got.astype(int) - full).mean() < 2


def png_header(width, height):
    """A PNG that claims a size and holds nothing."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_000, 10_000, 60_000])
def test_huge_pictures_are_refused_before_decoding(side, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(Unreadable, match="more than 80,000,000"):
        decoded(png_header(side, side), size=8, channels=3)


def test_a_huge_jpeg_is_refused_by_either_decoder(monkeypatch, rng):
    data = saved(Image.fromarray(noise(rng, 40, 40)), "JPEG")
    monkeypatch.setattr(decode, "MAX_PIXELS", 1000)
    with pytest.raises(Unreadable, match="40 × 40 pixels, more than 1,000"):
        decoded(data, size=40, channels=3)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_truncated_pictures_are_refused(rng, format):
    data = saved(Image.fromarray(noise(rng, 64, 64)), format)
    with pytest.raises(Unreadable):
        decoded(data[: len(data) // 2], size=64, channels=3)


@pytest.mark.parametrize(
    "data", [b"not a picture", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\0" * 100]
)
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(Unreadable):
        decoded(data, size=8, channels=3)


def test_arrays(rng):
    pixels = noise(rng, 8, 8)
    np.testing.assert_array_equal(decoded(pixels, size=8, channels=3), pixels)
    grey = decoded(pixels[..., 0], size=8, channels=3)
    np.testing.assert_array_equal(grey, np.repeat(pixels[..., :1], 3, axis=2))
    np.testing.assert_array_equal(decoded(noise(rng, 16, 8), size=8, channels=3).shape, (8, 8, 3))
    for wrong in (noise(rng, 8, 8, 4), noise(rng, 8, 8, 2), pixels.astype(float)):
        with pytest.raises(Unreadable, match="1 or 3 channels of uint8"):
            decoded(wrong, size=8, channels=3)


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(Unreadable, match="missing"):
        encoded(tmp_path / "nothing.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(Unreadable, match="empty"):
        encoded(tmp_path / "empty.jpg")
    with pytest.raises(Unreadable, match="cannot be read"):
        encoded(tmp_path)
    with pytest.raises(Unreadable, match=r"cannot be read|missing"):
        encoded(tmp_path / "a\0b.jpg")
    (tmp_path / "large.jpg").write_bytes(b"123")
    monkeypatch.setattr(decode, "MAX_BYTES", 2)
    with pytest.raises(Unreadable, match="3 bytes, more than 2"):
        encoded(tmp_path / "large.jpg")


@pytest.mark.parametrize(
    "format", ["EPS", "PDF", "ICO", "TGA", "PCX", "DDS", "SGI", "XBM", "JPEG2000", "DIB", "QOI"]
)
def test_formats_that_are_not_listed_are_refused(format, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: pytest.fail("started a program"))
    data = saved(Image.new("1" if format == "XBM" else "RGB", (16, 16)), format)
    with pytest.raises(Unreadable, match="not a picture of a known format"):
        decoded(data, size=8, channels=3)


@pytest.mark.parametrize(
    "head", [b"\xd7\xcd\xc6\x9a" + bytes(40), b"<svg xmlns='x'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_nor_are_pages_and_drawings(head):
    with pytest.raises(Unreadable, match="not a picture of a known format"):
        decoded(head, size=8, channels=3)


def bomb(width, height, depth=8, kind=6):
    """A PNG of one colour: small as a file, large as a picture."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    pressed, body = zlib.compressobj(9), b""
    row = b"\0" + b"\x10\x20\x30\x80"[: {0: 2, 6: 4}[kind]] * width
    for _ in range(height):
        body += pressed.compress(row)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body += pressed.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_what_would_take_too_much_memory_is_refused_by_its_header(monkeypatch, rng):
    from equipoise.pictures.memory import Budget

    picture = Image.fromarray(noise(rng, 100, 100))
    files = {
        "PNG": bomb(100, 100),
        "JPEG": saved(picture, "JPEG", progressive=True, subsampling=0),
        "WEBP": saved(picture, "WEBP"),
        "TIFF": saved(picture, "TIFF"),
    }
    for format, bytes_a_pixel in (("PNG", 8), ("JPEG", 14), ("WEBP", 18), ("TIFF", 12)):
        monkeypatch.setattr(decode, "DECODING", Budget(100 * 100 * bytes_a_pixel))
        assert decoded(files[format], size=20, channels=3).shape == (20, 20, 3)
        monkeypatch.setattr(decode, "DECODING", Budget(100 * 100 * bytes_a_pixel - 1))
        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
            with pytest.raises(Unreadable, match="MiB to decode, more than"):
                decoded(files[format], size=20, channels=3)


def test_a_small_tiff_of_one_huge_tile_is_refused():
    tags = [
        (256, 8),
        (257, 8),
        (258, 8),
        (259, 8),
        (262, 1),
        (277, 1),
        (322, 60_000),
        (323, 60_000),
        (324, 8),
        (325, 9),
    ]
    listed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + listed + bytes(4)
    with pytest.raises(Unreadable, match="60000 × 60000 pixels"):
        decoded(data, size=8, channels=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_text_that_swells_is_refused(name):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    pressed = zlib.compress(bytes(100 << 20), 9)
    body = {b"zTXt": b"key\0\0", b"iTXt": b"key\0\1\0\0\0", b"iCCP": b"key\0\0"}[name] + pressed
    whole = saved(Image.new("RGB", (16, 16)))
    with pytest.raises(Unreadable, match="too large"):
        decoded(whole[:33] + chunk(name, body) + whole[33:], size=8, channels=3)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_thousands_of_frames_one_is_looked_at(format):
    frames = [Image.new("RGB", (8, 8), (index % 256, 9, 200)) for index in range(1000)]
    options = {"duration": 10} if format != "TIFF" else {}
    data = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
    said = []
    assert decoded(data, size=8, channels=3, note=said.append).shape == (8, 8, 3)
    assert said == ["only the first of several frames was taken"]


def test_memory_that_is_short_is_not_the_pictures_fault(monkeypatch, picture):
    def short(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(Image, "open", short)
    with pytest.raises(MemoryError):
        decoded(picture(), size=8, channels=3)


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes and devices")
def test_what_is_no_ordinary_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name, target in (("zeros.jpg", "/dev/zero"), ("linked.jpg", tmp_path / "pipe.jpg")):
        (tmp_path / name).symlink_to(target)
    for name, kind in (("pipe", "pipe"), ("linked", "pipe"), ("folder", "folder"), ("zeros", "device")):
        with pytest.raises(Unreadable, match=f"cannot be read: a {kind}, not a file"):
            encoded(tmp_path / f"{name}.jpg")


@pytest.mark.parametrize("shape", [(9, 31), (64, 64), (200, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_whole_picture_keeps_its_shape(rng, shape, channels):
    pixels = noise(rng, shape[1], shape[0])
    image = Image.fromarray(pixels)
    expected = pixels if channels == 3 else np.asarray(image.convert("L"))[..., None]
    for content in (saved(image), pixels):
        np.testing.assert_array_equal(whole(content, channels=channels, least=64), expected)


def test_a_large_whole_picture_is_shrunk_by_averages(rng):
    pixels = noise(rng, 100, 64)
    got = whole(saved(Image.fromarray(pixels)), channels=3, least=16)
    expected = pixels.reshape(16, 4, 25, 4, 3).astype(float).mean(axis=(1, 3))
    assert got.shape == (16, 25, 3)
    assert np.abs(got - expected).max() <= 1


def test_a_large_jpeg_is_shrunk_by_its_decoder_and_stays_the_same_picture():
    ramp = np.linspace(0, 255, 640).astype(np.uint8)
    data = saved(
        Image.fromarray(np.broadcast_to(ramp[None, :, None], (480, 640, 3)).copy()), "JPEG", quality=95
    )
    got = whole(data, channels=3, least=60)
    assert min(got.shape[:2]) >= 60
    assert np.abs(np.diff(got[10, :, 0].astype(int))).max() < 10


def test_a_whole_picture_is_refused_as_any(rng):
    with pytest.raises(Unreadable, match="not a picture"):
        whole(b"nothing", channels=3, least=64)
    with pytest.raises(Unreadable, match="1 or 3 channels"):
        whole(np.zeros((8, 8, 2), np.uint8), channels=3, least=64)
