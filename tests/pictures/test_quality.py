"""Picture quality: each measure rises on what it is for, and planted bad pictures are found."""

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.pictures.quality import PictureQuality, picture_quality
from equipoise.risk import precision_at_recall, quality_score


@pytest.fixture(scope="module")
def pictures():
    """Smooth shapes with edges, 60 of them."""
    rng = np.random.default_rng(0)
    grid = np.mgrid[:32, :32] / 32
    images = np.empty((60, 32, 32, 3))
    for image in images:
        middle, radius, angle = rng.uniform(0.3, 0.7, 2), rng.uniform(0.15, 0.4), rng.uniform(0, 6)
        image[:] = (80 + 60 * np.cos(angle) * grid[0] + 60 * np.sin(angle) * grid[1])[..., None]
        image[np.hypot(*(grid - middle[:, None, None])) < radius] = rng.uniform(20, 240, 3)
    return np.clip(images, 0, 255).astype(np.uint8)


def blurred(images):
    soft = images.astype(float)
    for _ in range(6):
        for axis in (1, 2):
            soft = (np.roll(soft, 1, axis) + 2 * soft + np.roll(soft, -1, axis)) / 4
    return soft.astype(np.uint8)


def noisy(images, strength=25):
    chance = np.random.default_rng(1).normal(0, strength, images.shape[:3])[..., None]
    return np.clip(images + chance, 0, 255).astype(np.uint8)


SPOILT = {
    "darkness": lambda x: (x * 0.15).astype(np.uint8),
    "overexposure": lambda x: (255 - 0.2 * (255 - x.astype(float))).astype(np.uint8),
    "flatness": lambda x: (110 + 0.1 * x).astype(np.uint8),
    "blur": blurred,
    "noise": noisy,
}


@pytest.mark.parametrize("measure", PictureQuality._fields)
def test_each_measure_rises_on_what_it_is_for(pictures, measure):
    before, after = picture_quality([pictures]), picture_quality([SPOILT[measure](pictures)])
    assert (getattr(after, measure) > getattr(before, measure)).mean() > 0.95


def test_noise_is_measured_in_its_own_unit():
    grey = np.full((4, 64, 64, 1), 128, np.uint8)
    chance = np.random.default_rng(0).normal(0, 20, grey.shape)
    found = picture_quality([np.clip(grey + chance, 0, 255).astype(np.uint8)])
    assert found.noise == pytest.approx(20 / 255, rel=0.05)


def test_measures_equal_loops_from_the_formulas(pictures):
    luma = pictures[:3].astype(float) @ [0.299, 0.587, 0.114] / 255
    found = picture_quality([pictures[:3]])
    for i, picture in enumerate(luma):
        laplacian, mask = [], []
        for r in range(1, 31):
            for c in range(1, 31):
                around = picture[r - 1 : r + 2, c - 1 : c + 2]
                laplacian.append((around * [[0, 1, 0], [1, -4, 1], [0, 1, 0]]).sum())
                mask.append(abs((around * [[1, -2, 1], [-2, 4, -2], [1, -2, 1]]).sum()))
        assert found.blur[i] == pytest.approx(-np.log10(np.var(laplacian) + 1e-8), abs=1e-3)
        assert found.noise[i] == pytest.approx(np.sqrt(np.pi / 2) / 6 * np.mean(mask), rel=1e-3)
        assert found.darkness[i] == pytest.approx(1 - np.percentile(picture, 95), abs=1e-5)
        assert found.overexposure[i] == pytest.approx(np.percentile(picture, 5), abs=1e-5)


def test_batches_do_not_matter_and_grey_is_taken(pictures):
    whole, parts = picture_quality([pictures]), picture_quality(np.array_split(pictures, 7))
    for name in PictureQuality._fields:
        assert np.allclose(getattr(whole, name), getattr(parts, name))
    grey = picture_quality([pictures[..., :1]])
    assert np.allclose(grey.noise, picture_quality([np.repeat(pictures[..., :1], 3, 3)]).noise, atol=1e-6)


def test_bad_pictures_score_highest(pictures):
    rng = np.random.default_rng(2)
    many = noisy(np.concatenate([pictures] * 10), 3)
    bad = np.zeros(len(many), bool)
    bad[rng.permutation(len(many))[:18]] = True
    rows = np.flatnonzero(bad)
    many[rows[:6]] = rng.integers(0, 8, (6, 32, 32, 3))
    many[rows[6:12]] = rng.integers(247, 256, (6, 32, 32, 3))
    many[rows[12:]] = rng.integers(0, 256, (6, 32, 32, 3))
    score = quality_score(picture_quality([many]))
    assert precision_at_recall(score, bad, 0.9).value > 0.8
    assert 0 < score.min() < score.max() < 1


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([], "got none"),
        ([np.zeros((2, 8, 8), np.uint8)], r"shape \(2, 8, 8\)"),
        ([np.zeros((2, 8, 8, 3), np.float32)], "of float32"),
        ([np.zeros((2, 2, 8, 3), np.uint8)], "height ≥ 3"),
    ],
)
def test_other_things_are_refused(batches, words):
    with pytest.raises(InputError, match=words):
        picture_quality(batches)
