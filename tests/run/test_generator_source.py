"""Where a generator may come from."""

import dataclasses

import numpy as np
import pytest

from equipoise.data import ImageTable
from equipoise.errors import DataError, InputError, MissingExtraError
from equipoise.latent import DBVAEGenerator
from equipoise.run.generator_source import generator_source
from equipoise.train import GAN, Engine, fit, recipe, save_model
from equipoise.train.gan import train_gan
from equipoise.train.saved_generator import save_generator


@pytest.fixture(scope="module")
def table():
    images = np.random.default_rng(0).integers(0, 256, (48, 16, 16, 3), np.uint8)
    return ImageTable.from_arrays(images, np.arange(48) % 2)


def model(table, folder, method):
    chosen = recipe("equipoise-latent")
    how = {"epochs": 1, "batch_size": 8}
    chosen = dataclasses.replace(
        chosen,
        plain=dataclasses.replace(chosen.plain, **how),
        debiased=dataclasses.replace(chosen.debiased, **how),
        width=4,
        depth=3,
        latent=5,
    )
    fitted = fit(
        table, chosen, method=method, engine=Engine(device="cpu", precision="32-true", progress=False)
    )
    save_model(fitted, folder, image_size=16, channels=3)
    return folder


def test_a_folder_of_train_generator(table, tmp_path):
    how = GAN(latent=7, width=4, discriminator_width=4, steps=1, batch_size=8)
    save_generator(train_gan(table, how, device="cpu", precision="32-true", progress=False), tmp_path)
    found = generator_source(tmp_path, table, device="cpu")
    assert (found.generator.latent, found.steps, found.source) == (7, 1, str(tmp_path))


def test_the_decoder_of_a_debiased_model(table, tmp_path):
    found = generator_source(model(table, tmp_path, "uniform"), table, device="cpu")
    assert isinstance(found.generator, DBVAEGenerator)
    assert found.generator.latent == 5


def test_what_is_no_generator_is_refused(table, tmp_path):
    with pytest.raises(InputError, match="a model with a decoder"):
        generator_source(model(table, tmp_path, "plain"), table, device="cpu")
    with pytest.raises(DataError, match="Expected the folder of a generator"):
        generator_source(tmp_path / "nothing", table, device="cpu")
    with pytest.raises(MissingExtraError, match="no_such_module"):
        generator_source("no_such_module:drawer", table, device="cpu")
    with pytest.raises(InputError, match="latent, sample and decode"):
        generator_source("math:pi", table, device="cpu")
