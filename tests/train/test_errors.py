"""What plain models get wrong of images that they did not learn from, and drawing by it."""

import numpy as np
import pytest
import torch
from torch import nn

import equipoise
from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone
from equipoise.train import RECIPES, Recipe, predict
from equipoise.train.error_cells import cell_weights
from equipoise.train.errors import two_halves, wrong_by_halves


def lights(rows=600, agree=0.9, seed=0):
    """The class shows in red, a little; the light (blue) goes with it mostly, and shows strongly."""
    chance = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    light = np.where(chance.random(rows) < agree, labels, 1 - labels)
    images = chance.normal(90, 20, (rows, 16, 16, 3))
    images[..., 0] += (25 * labels + chance.normal(0, 10, rows))[:, None, None]
    images[..., 2] += 80 * light[:, None, None]
    against = np.where(light == labels, "with", "against")
    return ImageTable.from_arrays(images.clip(0, 255).astype(np.uint8), labels, {"light": against})


def test_halves_of_each_class_and_equal_images_together():
    table = lights(101)
    twice = ImageTable.concat([table, table.take(np.arange(30))])
    second = two_halves(twice, 0)
    assert np.array_equal(second[:30], second[101:])
    for label in (0, 1):
        assert abs(second[:101][table.labels == label].mean() - 0.5) < 0.05
    assert np.array_equal(second, two_halves(twice, 0))
    assert not np.array_equal(second, two_halves(twice, 1))


def test_every_image_is_called_by_what_did_not_learn_from_it():
    table, seen = lights(40), []

    def calls(learn, call):
        seen.append((set(learn.tolist()), set(call.tolist())))
        return np.zeros(len(call), np.int64)

    wrong = wrong_by_halves(table, calls, 0)
    assert np.array_equal(wrong, table.labels == 1)
    assert all(not learn & call for learn, call in seen)
    assert seen[0][1] | seen[1][1] == set(range(40))
    with pytest.raises(InputError, match="different images in one"):
        wrong_by_halves(table.take(np.r_[0, 1, np.arange(2, 40, 2)]), calls, 0)


@pytest.mark.parametrize(
    ("errors", "most", "wanted"),
    [(10, None, 0.5), (10, 10.0, 0.5), (10, 2.0, 0.2), (80, None, 0.8), (3, None, 0.03), (97, None, 0.97)],
)
def test_the_wrong_ones_weigh_as_much_as_the_others_as_far_as_that_goes(errors, most, wanted):
    wrong = np.arange(100) < errors
    weights = cell_weights(wrong, most)
    assert np.isclose(weights.sum(), 1)
    assert np.isclose(weights[wrong].sum(), wanted)
    assert most is None or weights.max() * 100 <= most + 1e-9


class Means(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Softplus(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.last = nn.Linear(24, 2)

    def forward(self, images):
        return self.last(self.body(images))


def worst(model, table):
    right = (np.asarray(predict(model, table)) > 0.5) == table.labels
    groups = table.groups("light")
    return min(right[groups.ids == number].mean() for number in range(2))


def test_fine_tuning_by_errors_helps_those_against_whom_the_light_stands():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = Backbone.of(Means(), size=16)
    data, test = lights(), lights(400, 0.5, 1)
    found = {}
    for name in ("fine-tune", "fine-tune-errors"):
        chosen = RECIPES[name].to_dict()
        for part in ("plain", "debiased"):
            chosen[part] |= {"epochs": 4, "augmentation": (), "learning_rate": 1e-3}
        method = "plain" if name == "fine-tune" else "debiased"
        fitted = equipoise.fit(data, Recipe.from_dict(chosen), method=method, backbone=backbone)
        found[name] = worst(fitted.model, test)
    weights = fitted.weights
    assert sorted(weights) == [0, 1]
    against = np.array(data.column("light")) == "against"
    for label in (0, 1):
        assert weights[label][against[data.labels == label]].sum() > 0.25
    assert found["fine-tune-errors"] > found["fine-tune"] + 0.1


def test_from_scratch_the_wrong_ones_are_those_against_the_light():
    chosen = RECIPES["errors-as-groups"].to_dict() | {"width": 4, "depth": 2}
    for part, epochs in (("plain", 15), ("debiased", 2)):
        chosen[part] |= {"epochs": epochs, "augmentation": (), "batch_size": 32, "learning_rate": 5e-3}
    data = lights(400)
    fitted = equipoise.fit(data, Recipe.from_dict(chosen), seed=1)
    again = equipoise.fit(data, Recipe.from_dict(chosen), seed=1)
    against = np.array(data.column("light")) == "against"
    for label in (0, 1):
        own = fitted.weights[label]
        mine = against[data.labels == label]
        assert own[mine].mean() > 1.5 * own[~mine].mean()
        assert np.array_equal(own, again.weights[label])
    assert np.array_equal(predict(fitted.model, data), predict(again.model, data))


def test_an_embedding_beside_errors_is_refused():
    with pytest.raises(InputError, match="got an embedding with it"):
        equipoise.fit(lights(100), "errors-as-groups", embedding=np.zeros((100, 2), np.float32))
