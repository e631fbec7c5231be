import pytest
import torch

from equipoise.train.diff_augment import DIFF_AUGMENTATIONS, diff_augmented


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(32, 3, 16, 16, generator=seeded())


def test_same_seed_same_change_and_nothing_without_names(images):
    first, again = (diff_augmented(images, DIFF_AUGMENTATIONS, generator=seeded(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, diff_augmented(images, DIFF_AUGMENTATIONS, generator=seeded(2)))
    assert diff_augmented(images, (), generator=seeded()) is images


def test_translation_moves_by_whole_pixels_and_uncovers_grey(images):
    moved = diff_augmented(images, ["translation"], generator=seeded())
    padded = torch.nn.functional.pad(images - 0.5, (2, 2, 2, 2)) + 0.5
    shifts = set()
    for before, after in zip(padded, moved, strict=True):
        fits = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.allclose(before[:, y : y + 16, x : x + 16], after, atol=1e-6)
        ]
        assert len(fits) == 1
        shifts.add(fits[0])
    assert len(shifts) > 10
    assert {y for y, _ in shifts} == {x for _, x in shifts} == set(range(5))


def test_cutout_greys_a_quarter(images):
    cut = diff_augmented(images, ["cutout"], generator=seeded())
    grey = (cut - 0.5).abs().amax(1) < 1e-7
    assert (grey.sum((1, 2)) - 64).abs().max() <= 1  # a pixel may be that grey by itself
    assert torch.allclose(cut[~grey[:, None].expand_as(cut)], images[~grey[:, None].expand_as(cut)])


def test_colour_keeps_what_is_where(images):
    grey_before = images.mean(1).flatten(1)
    grey_after = diff_augmented(images, ["colour"], generator=seeded()).mean(1).flatten(1)
    for before, after in zip(grey_before, grey_after, strict=True):
        assert (
            torch.corrcoef(torch.stack([before, after]))[0, 1] > 0.999
        )  # brightness and contrast are linear


def test_gradients_pass(images):
    images.requires_grad_(True)
    diff_augmented(images, DIFF_AUGMENTATIONS, generator=seeded()).sum().backward()
    assert (images.grad != 0).float().mean() > 0.5
