"""A network and all that must be known to use it."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone, FeatureExtractor, Preprocessing, embed
from equipoise.nn.taps import Tap
from equipoise.pictures.framing import Framing

from .networks import Small, small


def test_features_and_logits_are_those_of_the_network_itself():
    network = small()
    backbone = Backbone.of(network, size=16, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    images = torch.rand(5, 3, 16, 16)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    with torch.no_grad():
        network.eval()
        features = network.body((images - mean) / std).flatten(1)
        wanted = network.last(features)
        network.train()
    found = backbone(images)
    assert torch.allclose(found.features, features, atol=1e-6)
    assert torch.allclose(found.logits, wanted, atol=1e-6)
    assert torch.equal(FeatureExtractor(backbone)(images), found.features)
    assert network.training
    assert (backbone.dimensions, backbone.outputs, backbone.channels) == (6, 3, 3)
    assert backbone.tap == Tap("last", "input")
    assert torch.equal(images.clone(), images)


def test_another_layer_and_output():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = small()

        def forward(self, images):
            return {"logits": self.inner(images), "aside": images}

    backbone = Backbone.of(Both(), size=16, layer="inner.body.0", output="logits")
    assert (backbone.dimensions, backbone.outputs) == (6, 3)
    assert backbone.tap == Tap("inner.body.0", "output")


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 20), (4, 24)])
def test_channels_are_those_of_the_first_layer(channels, size):
    backbone = Backbone.of(small(channels=channels), size=size)
    assert backbone(torch.rand(1, channels, size, size)).features.shape == (1, 6)


def test_the_digest_tells_weights_and_normalisation_and_layer_apart():
    one = Backbone.of(small(), size=16)
    assert (
        one.digest == Backbone.of(small(), size=16).digest == Backbone.of(small(), size=16, crop=0.5).digest
    )
    other = small()
    other.last.bias.data[0] += 1e-6
    different = {
        Backbone.of(other, size=16).digest,
        Backbone.of(small(), size=16, mean=(0.5,), std=(1.0,)).digest,
        Backbone.of(small(), size=16, layer="body").digest,
        one.digest,
    }
    assert len(different) == 4


def test_framing_in_the_words_of_the_field():
    of = Backbone.of
    assert of(small(), size=16).framing == Framing(16)
    assert of(small(), size=16, crop=0.875).framing == Framing(16, resize=18)
    assert of(small(), size=16, crop=20, interpolation="bicubic").framing == Framing(
        16, "crop", 20, "bicubic"
    )
    squash = Framing(16, "squash", interpolation="bilinear")
    assert of(small(), size=squash).framing == squash
    came = Preprocessing(Framing(224, resize=256, interpolation="bicubic"), (0.5,), (0.5,))
    assert came.changed(112).framing == Framing(112, resize=128, interpolation="bicubic")
    assert came.changed(None, (0.1,), (0.2,)).mean == (0.1,)
    assert came.changed(squash).framing == squash
    assert came.settings()["resize"] == 256


class Nan(Small):
    def forward(self, images):
        return super().forward(images * float("nan"))


class Map(Small):
    def forward(self, images):
        return self.last(super().forward(images)[:, None].repeat(1, 4, 2))


@pytest.mark.parametrize(
    ("network", "options", "words"),
    [
        (small(), {"size": 16, "layer": "unused"}, "layer 'unused' to be called"),
        (small(), {"size": 16, "layer": "nowhere"}, "no layer 'nowhere'.*last"),
        (small(), {"size": 2}, r"must take pictures of shape \(2, 3, 2, 2\).*got this error"),
        (small(), {"size": 16, "mean": (0.5,) * 4, "std": (1.0,) * 4}, r"shape \(2, 4, 16, 16\)"),
        (small(), {"size": 16, "mean": (0.5, 0.5), "std": (0.5, 0.5)}, "1, 3 or 4 channels; got one for 2"),
        (small(), {"size": 16, "mean": (0.5,)}, "as many means"),
        (small(), {"size": 16, "std": (0.5,)}, "as many means"),
        (small(), {"size": 16, "mean": (0.5,), "std": (0.0,)}, "above 0"),
        (small(channels=5), {"size": 16}, "got one for 5"),
        (small(), {"size": 16, "crop": 0.0}, "`crop` as a share"),
        (small(), {"size": 16, "crop": 12}, "at least 16; got 12"),
        (small(), {"size": Framing(16), "crop": 0.5}, "got both"),
        (small(), {"size": 16, "output": "logits"}, "no 'logits'"),
        (Nan(), {"size": 16}, "finite"),
        (nn.Sequential(nn.Flatten(), nn.Linear(100, 3)), {"size": 16}, "got this error"),
        (lambda images: images, {"size": 16}, "a torch nn.Module; got function"),
    ],
)
def test_what_does_not_fit_is_told_at_once(network, options, words):
    with pytest.raises(InputError, match=f"(?s){words}"):
        Backbone.of(network, **options)


def test_logits_must_be_a_vector_a_picture():
    with pytest.raises(InputError, match=r"got shape \(2, 4, 3\) for 2 pictures"):
        Backbone.of(Map(), size=16)
    with pytest.raises(InputError, match="class name for each of 3 logits of Small; got 2"):
        Backbone.tried(small(), Preprocessing(Framing(16)), class_names=("a", "b"))


def test_pictures_and_classes_are_checked_with_both_sides_named():
    backbone = Backbone.of(small(), size=16)
    with pytest.raises(InputError, match=r"3 channels and 16×16 pixels; got 3 channels and 20×20"):
        backbone(torch.rand(1, 3, 20, 20))
    grey = ImageTable.from_arrays(np.zeros((2, 16, 16, 1), np.uint8), [0, 1])
    with pytest.raises(InputError, match=r"3 channels and 16×16 pixels; these have 1 and 16×16"):
        backbone.check_pictures(grey)
    with pytest.raises(InputError, match=r"16×16 pixels; these have 3 and 8×8"):
        embed(FeatureExtractor(backbone), ImageTable.from_arrays(np.zeros((2, 8, 8, 3), np.uint8), [0, 1]))
    with pytest.raises(InputError, match=r"Small has 3 logits; the pictures are of 2 classes \('a', 'b'\)"):
        backbone.check_classes(("a", "b"))
    backbone.check_classes(("a", "b", "c"))
    Backbone.of(small(classes=1), size=16).check_classes(("negative", "positive"))

    class Read:
        framing, image_size, channels = Framing(16, "squash"), 16, 3

    with pytest.raises(InputError, match=r"(?s)takes pictures so: .*these were read so: "):
        backbone.check_pictures(Read())
    Read.framing = Framing(16)
    backbone.check_pictures(Read())


def test_half_precision_and_copies():
    backbone = Backbone.of(small().bfloat16(), size=16)
    images = torch.rand(2, 3, 16, 16)
    assert backbone(images).features.dtype == torch.float32
    embedding = FeatureExtractor(backbone)
    assert torch.equal(copy.deepcopy(embedding)(images), embedding(images))


def test_a_network_without_a_last_layer():
    body = nn.Sequential(small().body, nn.Flatten())
    backbone = Backbone.tried(body, Preprocessing(Framing(16)), headless=True)
    assert (backbone.dimensions, backbone.outputs) == (6, None)
    assert backbone(torch.rand(2, 3, 16, 16)).logits is None
    with pytest.raises(InputError, match="features and no logits"):
        backbone.check_classes(("a", "b"))
