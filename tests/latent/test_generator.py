from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from equipoise.errors import InputError
from equipoise.latent import attribute_scores, check_generator, fit_hyperplanes, invert, scored_latents
from equipoise.nn import DBVAE, Classifier, StandardCNN


def paint(latents):
    return torch.sigmoid(latents[:, :3, None, None]).expand(-1, 3, 8, 6)


@dataclass
class Plain:
    latent: int = 5
    draw: Any = None
    paint: Any = None

    def sample(self, count, *, generator):
        return (
            self.draw(count, generator) if self.draw else torch.randn(count, self.latent, generator=generator)
        )

    def decode(self, latents):
        return (self.paint or paint)(latents)


def test_a_generator_that_keeps_its_word_passes():
    assert check_generator(Plain()) == (3, 8, 6)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (object(), "needs latent, sample and decode; object lacks latent, sample, decode"),
        (Plain(draw=lambda n, g: torch.randn(n, 7, generator=g)), r"shape \(4, 5\); got .*\(4, 7\)"),
        (Plain(draw=lambda n, g: torch.zeros(n, 5, dtype=torch.int64)), "float latents"),
        (Plain(draw=lambda n, g: torch.full((n, 5), torch.nan)), "latents must be finite"),
        (Plain(draw=lambda n, g: torch.randn(n, 5)), "same torch.Generator must give the same latents"),
        (Plain(paint=lambda z: paint(z)[:, 0]), r"decode 4 latents to float images.*\(4, 8, 6\)"),
        (Plain(paint=lambda z: paint(z)[:2]), r"\(2, 3, 8, 6\)"),
        (Plain(paint=lambda z: (paint(z) * 255).byte()), "torch.uint8"),
        (Plain(paint=lambda z: paint(z) * 2 - 1), r"pixels in \[0, 1\].*output_range"),
        (Plain(paint=lambda z: paint(z) * torch.nan), "nan…nan"),
        (Plain(paint=torch.nn.Linear(6, 3)), r"got this error from it: .*latent size"),
        (Plain(paint=lambda z: paint(z - z.mean(0))), "alone and among others"),
        (Plain(paint=lambda z: (paint(z) + torch.rand(len(z), 3, 8, 6)) / 2), "Switch noise off"),
    ],
)
def test_one_that_does_not_is_refused_in_words(generator, message):
    with pytest.raises(InputError, match=message):
        check_generator(generator)


# --- scores


@pytest.fixture
def classifier():
    return Classifier(
        StandardCNN(width=4, depth=2, image_size=16, generator=torch.Generator().manual_seed(0))
    )


def test_scores_are_those_of_the_model_in_evaluation_mode_and_leave_it_as_it_was(classifier, scene):
    table = scene(40)
    classifier.train()
    scores = attribute_scores(classifier, table, batch_size=7)
    assert classifier.training
    assert scores.shape == (40,)
    classifier.eval()
    images = torch.from_numpy(table.batch(range(40))).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = torch.sigmoid(classifier(images)).numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_array_equal(attribute_scores(classifier, table.batch(range(40)), batch_size=7), scores)
    np.testing.assert_allclose(attribute_scores(classifier, images, batch_size=9), scores, atol=1e-6)


def test_batch_norm_is_not_changed_by_scoring(classifier, scene):
    classifier.train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    attribute_scores(classifier, scene(40))
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 3)), "uint8"),
        (torch.full((2, 3, 8, 8), 3.0), "in \\[0, 1\\]; got 3…3"),
        (torch.full((2, 3, 8, 8), torch.nan), "finite"),
        (torch.zeros(3, 8, 8), "height, width"),
        (torch.zeros(0, 3, 8, 8), "at least one image"),
    ],
)
def test_images_that_cannot_be_scored(images, message):
    with pytest.raises(InputError, match=message):
        attribute_scores(lambda x: x.mean((1, 2, 3)), images)


def test_classifiers_that_give_no_logit_an_image():
    images = torch.rand(4, 3, 8, 8)
    with pytest.raises(InputError, match=r"one logit an image.*got \(4, 2\).*second minus the first"):
        attribute_scores(lambda x: x.mean((2, 3))[:, :2], images)
    with pytest.raises(InputError, match="finite"):
        attribute_scores(lambda x: x.mean((1, 2, 3)) / 0, images)


# --- inversion


def test_inversion_gives_the_code_means(scene):
    table = scene(30)
    model = DBVAE(latent=6, width=4, depth=2, image_size=16, generator=torch.Generator().manual_seed(0))
    found = invert(model, table, latent=6, batch_size=8)
    assert model.training
    images = torch.from_numpy(table.batch(range(30))).permute(0, 3, 1, 2) / 255
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(found, model.encode(images).mean, atol=1e-5, rtol=1e-4)
    own = invert(lambda x: x.flatten(1)[:, :5], images)
    torch.testing.assert_close(own, images.flatten(1)[:, :5])


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda x: x, "one a row"),
        (lambda x: (x.flatten(1), 0), "got tuple"),
        (lambda x: x.flatten(1)[:1], r"shape \(4, 5\); got \(1, 192\)"),
        (lambda x: x.flatten(1)[:, :7], r"shape \(4, 5\); got \(4, 7\).*trained with this generator"),
        (lambda x: x.flatten(1)[:, :5] * torch.nan, "finite"),
    ],
)
def test_encoders_that_do_not_fit(encoder, message):
    with pytest.raises(InputError, match=message):
        invert(encoder, torch.rand(4, 3, 8, 8), latent=5)


# --- hyperplanes from generated images


READ = {
    "red": lambda x: 30 * (x[:, 0].mean((1, 2)) - 0.5),
    "green": lambda x: 30 * (x[:, 1].mean((1, 2)) - 0.5),
}


def test_hyperplanes_point_where_the_attributes_lie():
    pytest.importorskip("sklearn")
    planes = fit_hyperplanes(Plain(), READ, fit=1500, validate=500, seed=1)
    assert list(planes) == ["red", "green"]
    for axis, plane in enumerate(planes.values()):
        assert plane.weight[axis] > 0.99
        assert abs(plane.bias) < 0.1
        assert plane.accuracy.value > 0.96
        assert plane.accuracy.n == 500
    again = fit_hyperplanes(Plain(), READ, fit=1500, validate=500, seed=1)
    np.testing.assert_array_equal(again["red"].weight, planes["red"].weight)
    sure = fit_hyperplanes(Plain(), READ, fit=1500, validate=500, seed=1, margin=0.3)
    assert sure["red"].accuracy.n == 500
    assert not np.array_equal(sure["red"].weight, planes["red"].weight)
    # A threshold at sigmoid(30 (sigmoid(1) − 0.5)) moves the plane to z = 1.
    high = float(1 / (1 + np.exp(-30 * (1 / (1 + np.exp(-1)) - 0.5))))
    moved = fit_hyperplanes(Plain(), READ, fit=3000, validate=500, seed=1, threshold={"red": high})
    assert moved["red"].bias == pytest.approx(-1, abs=0.15)
    assert abs(moved["green"].bias) < 0.1


def test_hyperplanes_that_cannot_be():
    pytest.importorskip("sklearn")
    with pytest.raises(InputError, match="both classes; got only 1"):
        fit_hyperplanes(Plain(), {"always": lambda x: x.mean((1, 2, 3)) * 0 + 5}, fit=100, validate=50)
    noise = {"chance": lambda x: torch.sin(1e5 * x[:, 0, 0, 0])}
    with pytest.raises(InputError, match="must separate"):
        fit_hyperplanes(Plain(), noise, fit=300, validate=300)
    with pytest.raises(InputError, match=r"attributes red, green; got one of blue"):
        fit_hyperplanes(Plain(), READ, fit=50, validate=50, threshold={"blue": 0.4})
    weak = {"weak": lambda x: 0.1 * (x[:, 0].mean((1, 2)) - 0.5)}
    with pytest.raises(InputError, match="smaller margin"):
        fit_hyperplanes(Plain(), weak, fit=50, validate=50, margin=0.4)
    with pytest.raises(InputError, match="at least 2 latents"):
        fit_hyperplanes(Plain(), READ, fit=0)


def test_more_latents_begin_with_the_fewer_whatever_the_batch():
    few = scored_latents(Plain(), READ, 700, seed=3, batch_size=64)
    many = scored_latents(Plain(), READ, 1300, seed=3, batch_size=200)
    assert many.latents.shape == (1300, 5)
    torch.testing.assert_close(few.latents, many.latents[:700], atol=0, rtol=0)
    np.testing.assert_allclose(few.scores["red"], many.scores["red"][:700], atol=1e-6)
    assert not torch.equal(scored_latents(Plain(), READ, 700, seed=4).latents, few.latents)
