"""Pairs where it is known what classifiers see: brightness, blue against red, green; each has a latent of its own."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.errors import InputError
from equipoise.latent import ModuleGenerator, read_pairs
from equipoise.run import Augmentation
from equipoise.run.augment.making_pairs import make_pairs


class Tinted(nn.Module):
    """Latents to images of one colour: bright by the first, blue by the second, green by the third."""

    def forward(self, latents):
        bright, blue, green = (0.1 * torch.tanh(latents[:, i]) for i in range(3))
        colour = torch.stack([bright - blue, bright + green, bright + blue], 1)
        return (0.5 + colour)[:, :, None, None].expand(-1, -1, 16, 16)


class Sees(nn.Module):
    """A logit that is a sum of the mean red, green and blue, less what is grey."""

    def __init__(self, *weights):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights))

    def forward(self, images):
        return 40 * (images.mean((2, 3)) - 0.5) @ self.weights


EYES = {"bright": Sees(0.5, 0.0, 0.5), "blue": Sees(-0.5, 0.0, 0.5), "green": Sees(-0.5, 1.0, -0.5)}
HALF = dict.fromkeys(EYES, 0.5)


def made(folder, *names, wanted=60, natural=HALF, eyes=EYES, **changes):
    how = Augmentation(**{"latents": 400} | changes)
    lines = []
    found = make_pairs(
        ModuleGenerator(Tinted(), 5, output_range=(0, 1)),
        {name: eyes[name] for name in names},
        {name: natural[name] for name in names},
        wanted,
        how,
        folder=folder / "pairs",
        seed=0,
        say=lines.append,
    )
    return found, lines


def scores(table, name, sides):
    return np.asarray(table.column(f"{name}_score")).reshape(-1, sides)


def test_pairs_keep_the_target_and_change_the_protected(tmp_path):
    found, lines = made(tmp_path, "bright", "blue")
    assert len(found.table) == 60
    assert found.changed["blue"].value > 0.9
    assert abs(found.cosines["blue"]) < 0.1
    blue, bright = scores(found.table, "blue", 2), scores(found.table, "target", 2)
    assert ((blue[:, 0] > 0.5) != (blue[:, 1] > 0.5)).mean() > 0.9  # the thresholds are near 0.5
    assert np.abs(bright[:, 0] - bright[:, 1]).max() < 0.2
    assert "Of 1,024 pairs," in lines[-1]
    assert found.as_meant.n == 1024
    assert read_pairs(tmp_path / "pairs").fingerprint == found.table.fingerprint
    again, _ = made(tmp_path, "bright", "blue")  # what lies there is read
    assert again.table.fingerprint == found.table.fingerprint


def test_thresholds_follow_the_natural_share(tmp_path):
    found, _ = made(tmp_path, "bright", "blue", wanted=400, natural=HALF | {"bright": 0.2}, keep="all")
    assert found.table.labels.mean() == pytest.approx(0.2, abs=0.06)
    assert found.shares["bright"] == pytest.approx(0.5, abs=0.05)


def test_every_combination_of_two_protected_attributes(tmp_path):
    found, _ = made(tmp_path, "bright", "blue", "green", variant="all_sides")
    assert len(found.table) == 60
    blue, green = (scores(found.table, name, 4) > 0.5 for name in ("blue", "green"))
    distinct = [len(set(zip(b, g, strict=True))) for b, g in zip(blue, green, strict=True)]
    assert np.mean(np.array(distinct) == 4) > 0.8  # few lie between their threshold and 0.5


@pytest.mark.parametrize("variant", ["mirror", "complement_by_side"])
def test_other_edits_change_sides_too(tmp_path, variant):
    found, _ = made(tmp_path, "bright", "blue", variant=variant)
    assert found.changed["blue"].value > 0.9


def test_onto_the_hyperplane_nothing_is_meant_to_change(tmp_path):
    found, _ = made(tmp_path, "bright", "blue", variant="onto")
    assert found.changed == {}
    blue = scores(found.table, "blue", 2)
    assert np.abs(blue[:, 1] - 0.5).mean() < np.abs(blue[:, 0] - 0.5).mean() / 3


def test_two_names_for_one_attribute_are_refused(tmp_path):
    with pytest.raises(InputError, match="nearly parallel"):
        made(
            tmp_path, "bright", "shine", eyes=EYES | {"shine": EYES["bright"]}, natural=HALF | {"shine": 0.5}
        )
