"""A saved model with what lies beside it."""

import numpy as np
import pytest

from equipoise.data import ImageTable
from equipoise.run.saved import load
from equipoise.train import predict


@pytest.mark.parametrize("method", ["plain", "debiased"])
def test_a_run_s_folder_says_what_it_holds(models, method):
    found = load(models / method, device="cpu")
    assert (found.method, found.image_size, found.channels) == (method, 32, 3)
    assert found.recipe["name"] == "equipoise"
    assert found.recipe["width"] == 4
    assert not found.model.training


def test_its_density_is_that_of_this_model(models):
    found = load(models / "debiased", device="cpu")
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    table = ImageTable.from_arrays(images, np.arange(6) % 2)
    assert found.seen.model is found.model
    assert np.isfinite(found.seen.log_density(table)).all()
    assert np.ptp(predict(found.model, table, device="cpu")) > 0


def test_without_a_density_there_is_none(models, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((models / "plain" / name).read_bytes())
    assert load(tmp_path, device="cpu").seen is None
