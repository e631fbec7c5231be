"""Framing: any picture becomes the square that a network takes, by the rule that was asked for and no other."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from equipoise.errors import InputError
from equipoise.pictures import decode
from equipoise.pictures.decode import decoded
from equipoise.pictures.framing import Framing

SHAPES = [(40, 30), (30, 40), (64, 64), (97, 31), (20, 20), (5, 60)]  # width, height
NAMES = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}


def smooth(rng, width, height, channels=3):
    small = Image.fromarray(rng.integers(0, 256, (6, 6, channels), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def saved(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def twin(image, framing):
    """As torchvision's Resize and CenterCrop are written, with Pillow alone."""
    by, size = Image.Resampling(NAMES[framing.interpolation]), framing.size
    if framing.rule == "squash":
        return np.asarray(image.resize((size, size), by))
    width, height = image.size
    side = min(width, height)
    if framing.resize is None:
        left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((size, size), by, box=box))
    short, long = framing.resize, int(framing.resize * max(width, height) / side)
    resized = np.asarray(image.resize((short, long) if width <= height else (long, short), by))
    top, left = (round((whole - size) / 2) for whole in resized.shape[:2])
    return resized[top : top + size, left : left + size]


@pytest.mark.parametrize("interpolation", NAMES)
@pytest.mark.parametrize(
    "framing", [Framing(16), Framing(16, resize=16), Framing(16, resize=19), Framing(16, "squash")]
)
def test_every_framing_equals_its_twin(rng, framing, interpolation):
    framing = replace(framing, interpolation=interpolation)
    for shape in SHAPES:
        image = smooth(rng, *shape)
        for content in (saved(image), np.asarray(image), image):
            got = decoded(content, framing=framing, channels=3)
            np.testing.assert_array_equal(got, twin(image, framing), err_msg=str((shape, type(content))))


def test_the_usual_framing_is_a_size(rng):
    for shape in ((400, 300), (31, 97), (16, 16)):
        data = saved(smooth(rng, *shape), "JPEG")
        np.testing.assert_array_equal(
            decoded(data, size=16, channels=3), decoded(data, framing=Framing(16), channels=3)
        )


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("progressive", [True, False])
def test_only_the_usual_framing_lets_a_decoder_shrink(rng, monkeypatch, fast, progressive):
    if not fast:
        monkeypatch.setattr(decode, "simplejpeg", None)
    noise = Image.fromarray(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8))
    data = saved(noise, "JPEG", progressive=progressive)
    with Image.open(io.BytesIO(data)) as opened:
        full = opened.convert("RGB")
    for framing in (
        Framing(16, interpolation="bilinear"),
        Framing(16, "squash"),
        Framing(16, resize=20),
        Framing(16, interpolation="nearest"),
    ):
        np.testing.assert_array_equal(decoded(data, framing=framing, channels=3), twin(full, framing))
    usual = decoded(data, size=16, channels=3).astype(int)
    assert 0 < np.abs(usual - twin(full, Framing(16))).max() < 40  # of noise, the worst there is


def test_one_three_and_four_channels_and_sixteen_bits(rng):
    framing = Framing(16, "squash", interpolation="bilinear")
    grey = smooth(rng, 40, 30).convert("L")
    np.testing.assert_array_equal(
        decoded(saved(grey), framing=framing, channels=1)[..., 0], twin(grey, framing)
    )
    for channel in range(3):
        found = decoded(saved(grey), framing=framing, channels=3)[..., channel]
        np.testing.assert_array_equal(found, twin(grey, framing))
    alpha = smooth(rng, 40, 30).convert("RGBA")
    alpha.putalpha(grey)
    upon = Image.alpha_composite(Image.new("RGBA", alpha.size, "white"), alpha).convert("RGB")
    np.testing.assert_array_equal(decoded(saved(alpha), framing=framing, channels=3), twin(upon, framing))
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    np.testing.assert_array_equal(
        decoded(saved(deep), framing=framing, channels=1)[..., 0], twin(grey, framing)
    )


def test_orientation_comes_before_the_frame(rng):
    exif = Image.Exif()
    exif[0x0112] = 6
    image, framing = smooth(rng, 60, 30), Framing(16, resize=20, interpolation="bicubic")
    got = decoded(saved(image, exif=exif), framing=framing, channels=3)
    np.testing.assert_array_equal(got, twin(image.transpose(Image.Transpose.ROTATE_270), framing))


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (1, 1), (3, 60_000)])
@pytest.mark.parametrize(
    "framing", [Framing(16), Framing(224, resize=256, interpolation="bilinear"), Framing(16, "squash")]
)
def test_a_line_of_pixels_is_framed_without_what_is_not_seen(rng, shape, framing):
    image = Image.fromarray(rng.integers(0, 256, (shape[1], shape[0], 3), dtype=np.uint8))
    got = decoded(saved(image), framing=framing, channels=3)
    assert got.shape == (framing.size, framing.size, 3)
    if max(shape) == 4000 and framing.rule == "crop":
        middle = np.asarray(image).reshape(-1, 3)[1998:2002]
        assert (got >= middle.min(axis=0) - 1).all()
        assert (got <= middle.max(axis=0) + 1).all()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_the_part_that_is_seen_is_what_the_whole_would_give(rng, monkeypatch, interpolation):
    from equipoise.pictures import framing as module

    image = smooth(rng, 20, 300)
    framing = Framing(16, resize=21, interpolation=interpolation)
    monkeypatch.setattr(module, "MOST_RESIZED", 1)
    got = decoded(saved(image), framing=framing, channels=3).astype(int)
    assert np.abs(got - twin(image, framing)).max() <= 2  # levels, of two passes that round


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"size": 0}, "size of 1 or more"),
        ({"size": 224, "resize": 200}, "resizes to no less"),
        ({"rule": "fit"}, "crop, squash"),
        ({"interpolation": "area"}, "nearest, bilinear"),
        ({"rule": "squash", "resize": 256}, "Leave it out"),
    ],
)
def test_framings_that_cannot_be(wrong, words):
    with pytest.raises(InputError, match=words):
        Framing(**wrong)


def test_a_size_or_a_framing(picture):
    with pytest.raises(InputError, match="Give one of the two"):
        decoded(picture(), channels=3)
    with pytest.raises(InputError, match="Give one of the two"):
        decoded(picture(), size=8, framing=Framing(8), channels=3)
