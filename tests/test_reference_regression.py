import importlib.util
from pathlib import Path

import numpy as np
import pytest

spec = importlib.util.spec_from_file_location(
    "reference_regression", Path(__file__).parents[1] / "examples" / "reference_regression.py"
)
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


@pytest.fixture(scope="module")
def answer():
    return example.asked(example.trained(*example.training_data(), epochs=20))


def test_the_data_are_what_the_task_says():
    x, y = (part[:, 0].numpy() for part in example.training_data(20_000, seed=1))
    assert x.min() >= -4
    assert x.max() <= 4
    counts, edges = np.histogram(x, 16, (-4, 4), density=True)
    np.testing.assert_allclose(counts, example.density((edges[1:] + edges[:-1]) / 2), atol=0.02)
    residual = y - x**3 / 6
    for middle in (-3.0, -1.0, 1.0):
        near = np.abs(x - middle) < 0.1
        assert residual[near].std() == pytest.approx(float(example.noise(np.array(middle))), rel=0.2)


def test_representation_risk_follows_one_over_the_density(answer):
    x, _, risk = answer
    inside = np.abs(x) < 3.95
    assert example.rank_correlation(risk.representation.numpy()[inside], 1 / example.density(x[inside])) > 0.7
    common = risk.representation.numpy()[np.abs(x - 2) < 0.5].mean()
    assert (risk.representation.numpy()[np.abs(x) > 4] > common + 1).all()


def test_epistemic_risk_grows_outside_of_what_was_seen(answer):
    x, _, risk = answer
    values = risk.epistemic.numpy()
    assert values[np.abs(x) > 4].mean() > 3 * values[np.abs(x) < 4].mean()
    assert values[x > 5].mean() > values[(x > 4) & (x < 5)].mean()


def test_aleatoric_risk_peaks_where_the_noise_does(answer):
    x, _, risk = answer
    inside = np.abs(x) < 4
    values = risk.aleatoric.numpy()
    assert abs(x[inside][values[inside].argmax()] + 1) < 1
    assert example.rank_correlation(values[inside], example.noise(x[inside])) > 0.5
    assert np.abs(values - example.noise(x))[inside].mean() < 0.3


def test_the_prediction_is_learned_and_the_picture_is_drawn(answer, tmp_path):
    x, prediction, risk = answer
    inside = np.abs(x) < 3.5
    assert np.abs(prediction - x**3 / 6)[inside].mean() < 0.4
    example.draw(example.training_data(), x, prediction, risk, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
