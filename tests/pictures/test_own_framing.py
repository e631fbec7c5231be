"""`OwnFraming`: what a transform of the user's does is found out, kept as pixels of eight bits, or refused."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from equipoise.data import read
from equipoise.errors import InputError
from equipoise.nn import Backbone
from equipoise.nn.pixels import pixels
from equipoise.pictures.own_framing import OwnFraming

MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def padded(picture):
    """A picture: the whole of it on grey."""
    return ImageOps.pad(picture, (24, 24), Image.Resampling.BILINEAR, color=(114, 114, 114))


def normalised(picture):
    """An array of floats, as torchvision's Resize, CenterCrop, ToTensor, Normalize give it."""
    values = np.asarray(padded(picture), np.float32).transpose(2, 0, 1) / 255
    return (values - MEAN[:, None, None]) / STD[:, None, None]


def from_minus_one(picture):
    """A tensor in [−1, 1]."""
    return torch.from_numpy(np.asarray(padded(picture), np.float32) / 127.5 - 1).permute(2, 0, 1)


def unit(picture):
    return torch.from_numpy(np.asarray(padded(picture), np.float32) / 255).permute(2, 0, 1)


def of_bytes(picture):
    return torch.from_numpy(np.asarray(padded(picture)).copy()).permute(2, 0, 1)


def grey(picture):
    return padded(picture).convert("L")


@pytest.mark.parametrize("transform", [padded, normalised, from_minus_one, unit, of_bytes, grey])
def test_the_network_sees_what_the_transform_gives(transform, tmp_path):
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 50, 3), np.uint8))
    (tmp_path / "a").mkdir()
    picture.save(tmp_path / "a" / "1.png")
    found = OwnFraming.of(transform)
    table = read(tmp_path, transform=transform, label=1, cache=tmp_path / "cache")
    assert table.framing == found
    seen = pixels(torch.from_numpy(table.batch(np.arange(1))))
    if found.mean:
        mean, std = (torch.tensor(values)[:, None, None] for values in (found.mean, found.std))
        seen = (seen - mean) / std
    made = transform(picture)
    if isinstance(made, Image.Image):
        made = np.atleast_3d(np.asarray(made)).transpose(2, 0, 1) / np.float32(255)
    made = torch.as_tensor(made)
    wanted = made / 255 if made.dtype == torch.uint8 else made
    assert float((seen[0] - wanted).abs().max()) < 2e-6
    assert str(found).startswith("own transform")
    assert f":{transform.__name__}" in str(found)


def flipping(picture):
    square = padded(picture)
    return ImageOps.mirror(square) if np.random.default_rng().random() < 0.5 else square


def of_any_shape(picture):
    return picture


def not_square(picture):
    return picture.resize((20, 24))


def standardised(picture):
    values = np.asarray(padded(picture), np.float32).transpose(2, 0, 1)
    return (values - values.mean()) / values.std().clip(1)


def resized_as_numbers(picture):
    square = torch.from_numpy(np.asarray(picture, np.float32) / 255).permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(square, (24, 24), mode="bilinear")[0]


def negative(picture):
    return -normalised(picture)


def failing(picture):
    return picture["pixels"]


def nothing(picture):
    return None


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (flipping, "to give the same of the same picture"),
        (of_any_shape, r"one square size .* \(3, 200, 301\)"),
        (not_square, r"\(3, 24, 20\)"),
        (standardised, "pixels of eight bits|larger numbers of white"),
        (resized_as_numbers, "turn it into numbers at the end"),
        (negative, "larger numbers of white than of black"),
        (failing, "got TypeError"),
        (nothing, "got NoneType"),
        ("text", "must be a function of a picture; got str"),
        (
            eval("lambda picture: picture.resize((8, 8))", {"__name__": "nowhere"}),
            "its source|Put it into a module",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(transform, words):
    with pytest.raises(InputError, match=f"(?s){words}"):
        OwnFraming.of(transform)


def test_another_transform_is_another_one_for_the_cache(tmp_path):
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 24, 3), np.uint8))
    (tmp_path / "a").mkdir()
    picture.save(tmp_path / "a" / "1.png")
    options = {"label": 1, "cache": tmp_path / "cache"}

    def mirrored(picture):
        return ImageOps.mirror(padded(picture))

    one = read(tmp_path, transform=padded, **options)
    other = read(tmp_path, transform=mirrored, **options)
    np.testing.assert_array_equal(one.batch(np.arange(1))[:, :, ::-1], other.batch(np.arange(1)))
    again = read(tmp_path, transform=padded, **options)
    assert again.fingerprint == one.fingerprint != other.fingerprint
    assert OwnFraming.of(padded).digest != OwnFraming.of(mirrored).digest
    # pictures that stay encoded are made by it too, also those of its own size in memory
    kept = read(tmp_path, transform=mirrored, **options | {"cache": tmp_path / "other", "cache_limit": 0})
    np.testing.assert_array_equal(kept.batch(np.arange(1)), other.batch(np.arange(1)))
    in_memory = read([(np.asarray(picture), 1)], transform=mirrored, cache=tmp_path / "cache")
    np.testing.assert_array_equal(in_memory.batch(np.arange(1)), other.batch(np.arange(1)))
    with pytest.raises(InputError, match="got 32"):
        read(tmp_path, transform=padded, image_size=32, **options)


def test_a_backbone_behind_a_transform():
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2))
    framing = OwnFraming.of(normalised)
    backbone = Backbone.of(network, size=framing)
    assert backbone.framing == framing
    np.testing.assert_allclose(backbone.preprocessing.mean, MEAN, atol=1e-6)
    np.testing.assert_allclose(backbone.preprocessing.std, STD, atol=1e-6)
    with pytest.raises(InputError, match="to which nothing is added"):
        Backbone.of(network, size=framing, mean=(0.5,), std=(0.5,))
    assert Backbone.of(network, size=OwnFraming.of(padded), mean=(0.5,), std=(0.5,)).preprocessing.mean == (
        0.5,
    )
