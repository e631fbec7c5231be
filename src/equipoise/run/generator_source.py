"""The generator that a run draws from: a trained one, one of the user's own, or one that is trained on the spot."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.files import read_json
from equipoise.latent import DBVAEGenerator, Generator, check_generator
from equipoise.nn import DBVAE
from equipoise.nn.named_object import is_named, made_by
from equipoise.run.folder import RunFolder
from equipoise.run.saved import load
from equipoise.train import Engine
from equipoise.train.gan import GAN, train_gan
from equipoise.train.saved_generator import FORMAT, load_generator, save_generator

__all__ = ["GeneratorSource", "generator_source", "trained_generator"]


@dataclass(frozen=True, eq=False)
class GeneratorSource:
    """A generator whose images have the size of the data.

    Args:
        generator: What draws.
        source: What the user gave, for people.
        steps: Optimiser steps of its training; None if not known.
        seconds: What they took, if it was trained in this run.
    """

    generator: Generator
    source: str
    steps: int | None = None
    seconds: float | None = None


def generator_source(
    given: str | os.PathLike[str] | Generator, table: ImageTable, *, device: str, seed: int = 0
) -> GeneratorSource:
    """Load what the user named, and look whether it draws images of the size of the table.

    Args:
        given: A folder of `train-generator`, or of a model with a decoder; "package.module:callable" that gives a
            generator; or a generator.
        table: Training images; a decoder's latents are drawn like their codes.
        device: Where its network goes, if it is one of ours.
        seed: Of weights that a callable draws from torch's generator.

    Raises:
        InputError: if it is no generator, or its images have another size.
        DataError: if a folder cannot be read.
        MissingExtraError: if a module is not there.
    """
    if not isinstance(given, str | os.PathLike):
        found = GeneratorSource(given, type(given).__name__)
    elif is_named(os.fspath(given)) and not Path(given).exists():
        found = GeneratorSource(made_by(os.fspath(given), seed=seed), os.fspath(given))
    else:
        found = _of_folder(Path(given), table, device)
    channels, height, width = check_generator(found.generator)
    if (height, width, channels) != (table.image_size, table.image_size, table.channels):
        raise InputError(
            f"Expected a generator of images of {table.image_size} pixels a side and {table.channels} channels, like "
            f"the data; {found.source} draws {width} × {height} pixels and {channels} channels. Read the data with "
            f"`image_size` {width} and `channels` {channels}, or train a generator on them."
        )
    return found


def trained_generator(
    table: ImageTable,
    settings: GAN,
    folder: RunFolder,
    *,
    seed: int,
    engine: Engine,
    say: Callable[[str], None],
) -> GeneratorSource:
    """Train a generator on the images of the table and keep it in the run's folder.

    Raises:
        InputError: if the images do not fit the generator.
        TrainingError: if training had to stop.
    """
    began = time.perf_counter()
    trained = train_gan(
        table,
        settings,
        seed=seed,
        device=engine.device,
        precision=engine.precision if engine.precision in ("32-true", "bf16-mixed") else "auto",
        folder=folder.checkpoints("generator"),
        pictures=folder.path / "pictures" / "generator",
        resume=folder.resumed,
        progress=engine.progress,
        tell=say,
    )
    save_generator(trained, folder.path / "generator")
    generator = load_generator(folder.path / "generator")
    generator.module.to(engine.device)
    return GeneratorSource(
        generator, "trained on the training images", trained.steps, time.perf_counter() - began
    )


def _of_folder(folder: Path, table: ImageTable, device: str) -> GeneratorSource:
    config: Any = read_json(
        folder / "config.json",
        f"the folder of a generator, or package.module:callable, at {folder}, with its config.json",
        "Train one with `equipoise train-generator`.",
    )
    if isinstance(config, dict) and config.get("format") == FORMAT:
        generator = load_generator(folder)
        generator.module.to(device)
        steps = config.get("steps")
        return GeneratorSource(generator, os.fspath(folder), steps if isinstance(steps, int) else None)
    model = load(folder, device=device).model
    if not isinstance(model, DBVAE):
        raise InputError(
            f"Expected a generator or a model with a decoder in {folder}; got {type(model).__name__}. Give the folder "
            "of `equipoise train-generator`, or of a model whose recipe has objective db-vae."
        )
    return GeneratorSource(DBVAEGenerator.from_images(model.to(device).eval(), table), os.fspath(folder))
