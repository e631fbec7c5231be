import importlib.util
from pathlib import Path

import numpy as np
import pytest

spec = importlib.util.spec_from_file_location(
    "latent_toy", Path(__file__).parents[1] / "examples" / "latent_toy.py"
)
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


@pytest.fixture(scope="module", params=[0, 1])
def found(request):
    return example.answer(request.param)


def test_the_hyperplanes_separate_as_well_as_they_should(found):
    assert found["h_t"].accuracy.value == pytest.approx(0.98, abs=0.02)
    assert found["h_g"].accuracy.value == pytest.approx(0.78, abs=0.05)
    assert found["h_t"].accuracy.value == pytest.approx(example.expected_accuracy(example.TARGET), abs=0.025)
    assert found["h_g"].accuracy.value == pytest.approx(
        example.expected_accuracy(example.PROTECTED), abs=0.05
    )


def test_the_calculation_agrees_with_least_squares_on_many_latents():
    latents, t, g = example.planted(5)
    for label, cells in ((t, example.TARGET), (g, example.PROTECTED)):
        centre = latents[:4000].mean(0)
        weight = np.linalg.lstsq(latents[:4000] - centre, label[:4000] - label[:4000].mean(), rcond=None)[0]
        guess = (latents[4000:] - centre) @ weight + label[:4000].mean() > 0.5
        assert (guess == label[4000:]).mean() == pytest.approx(example.expected_accuracy(cells), abs=0.02)


def test_after_pairing_the_scores_of_both_groups_coincide(found):
    numbers = example.numbers(found)
    assert numbers["KS distance of h_t, before"] > 0.4
    assert numbers["correlation of h_t and h_g, before"] > 0.5
    assert numbers["KS distance of h_t, paired"] == 0
    assert abs(numbers["correlation of h_t and h_g, paired"]) < 1e-10
    assert numbers["largest change of h_t"] < 1e-10


@pytest.mark.slow
def test_the_picture_is_drawn(found, tmp_path):
    example.draw(found, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 20_000
