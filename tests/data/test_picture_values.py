"""Pictures as programs hold them become what their files would be."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.data.picture_values import content_of
from equipoise.errors import InputError
from equipoise.pictures.decode import Unreadable, decoded


def square(value, **options):
    return decoded(content_of(value, where="row 3", **options), size=8, channels=3)


@pytest.fixture
def colours(rng):
    return rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)


def test_values_that_are_one_picture(colours, saved):
    values = [
        colours,
        colours[:, ::-1][:, ::-1],  # not in order of memory
        torch.from_numpy(colours).permute(2, 0, 1),
        torch.from_numpy(colours).permute(2, 0, 1).float() / 255,
        torch.from_numpy(colours).permute(2, 0, 1).half() / 255,
        colours / 255,
        colours.astype(">f8") / 255,
        Image.fromarray(colours),
        Image.fromarray(colours).convert("RGBA"),
        np.dstack([colours, np.full((8, 8, 1), 255, np.uint8)]),
        saved(Image.fromarray(colours)),
        bytearray(saved(Image.fromarray(colours))),
        {"bytes": saved(Image.fromarray(colours)), "path": None},
    ]
    for number, value in enumerate(values):
        np.testing.assert_array_equal(square(value), colours, str(number))


def test_grey_and_transparent():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for value in (
        grey,
        grey[..., None],
        grey[None],
        grey / 255,
        Image.fromarray(grey),
        grey.astype(np.uint16) * 257,
    ):
        np.testing.assert_array_equal(square(value)[..., 0], grey)
    assert square(grey > 31).max() == 255
    clear = np.zeros((8, 8, 4), np.uint8)
    assert (square(clear) == 255).all()  # transparent parts become white, as those of files
    assert (square(torch.from_numpy(clear).permute(2, 0, 1)) == 255).all()


def test_turns_and_profiles_count_as_in_the_file(colours, saved, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(colours), "PNG", exif=exif)
    (tmp_path / "a.png").write_bytes(data)
    with Image.open(tmp_path / "a.png") as opened:
        expected = decoded(data, size=8, channels=3)
        np.testing.assert_array_equal(square(opened), expected)
        np.testing.assert_array_equal(square(opened.convert("RGB")), expected)
        np.testing.assert_array_equal(square(opened), expected)  # it was left as it is
    assert not np.array_equal(expected, colours)


def test_a_palette_with_a_transparent_colour_stays_as_it_is(saved):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.info["transparency"] = 1
    info = image.info
    assert (square(image) == 255).all()
    assert image.info is info
    assert info == {"transparency": 1}
    assert image.mode == "P"


def test_a_layout_where_the_shape_does_not_tell():
    pixels = np.zeros((3, 8, 3), np.uint8)
    pixels[0] = 255
    with pytest.raises(InputError, match=r'row 3 are; got \(3, 8, 3\)\. Say layout="NHWC"'):
        content_of(pixels, where="row 3")
    assert content_of(pixels, where="", layout="NHWC").shape == (3, 8, 3)
    assert (content_of(pixels, where="", layout="NCHW")[..., 0] == 255).all()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((8, 8, 3), np.int64), "got int64 of shape .*astype"),
        (np.zeros((8, 8, 3), np.uint16), "got uint16"),
        (np.full((8, 8), 1.5), r"row 3; got 1\.5…1\.5\. Divide by 255, or leave out the normalisation"),
        (-torch.ones(3, 8, 8), "got -1…-1"),
        (np.full((8, 8), np.nan), "got nan"),
        (np.zeros((8, 8, 5), np.uint8), r"1, 3 or 4 channels.*got shape \(8, 8, 5\)"),
        (np.zeros((0, 8, 3), np.uint8), r"got shape \(0, 8, 3\)"),
        (np.zeros((8, 8, 0), np.uint8), "got shape"),
        (np.zeros(8, np.uint8), r"got ndarray of shape \(8,\)"),
        (torch.zeros(2, 3, 8, 8), r"got Tensor of shape \(2, 3, 8, 8\)"),
        ("a.png", "got str"),
        (None, "got NoneType"),
        ({"path": "a.png"}, "got dict"),
    ],
)
def test_values_that_are_none(value, words):
    with pytest.raises(InputError, match=words):
        content_of(value, where="row 3")


def test_a_picture_that_cannot_be_read_is_told_apart(saved, tmp_path, colours):
    data = saved(Image.fromarray(colours).resize((64, 64)), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data[:-200])
    with Image.open(tmp_path / "a.jpg") as opened:
        assert content_of(opened, where="") == tmp_path / "a.jpg"  # decoding the file says it
    with Image.open(io.BytesIO(data[:-200])) as opened, pytest.raises(Unreadable, match="truncated"):
        square(opened)
    with pytest.raises(Unreadable, match="floating-point"):
        square(Image.new("F", (8, 8)))
