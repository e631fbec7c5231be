"""A generator of images like those given, for pairs that balance training data."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from equipoise.data import ImageTable, split, write_rejected
from equipoise.errors import InputError
from equipoise.run.hidden import hidden_layer
from equipoise.run.identity import Identity, Setting, fingerprints, model_digest
from equipoise.run.keeping import naming_what_is_kept
from equipoise.run.output import Output
from equipoise.run.saved import load
from equipoise.run.sources import Reading, Source, describe, read_one, told
from equipoise.run.unused import check_unused
from equipoise.seeds import checked_seed
from equipoise.train import Engine
from equipoise.train.gan import GAN, Features, TrainedGenerator, check_start, train_gan
from equipoise.train.saved_generator import save_generator

__all__ = ["train_generator"]

HELD_OUT = 1000  # most images that are held out for the scores
HELD_OUT_SHARE = 0.1  # of all images, if that is less


def train_generator(
    data: Source,
    settings: GAN = GAN(),
    *,
    score_with: str | os.PathLike[str] | None = None,
    minutes: float | None = None,
    reading: Reading = Reading(),
    seed: int = 0,
    engine: Engine = Engine(),
    output: Output = Output("runs/generator"),
) -> TrainedGenerator:
    """Train a generator and save it in a folder that `load_generator` reads.

    In the folder: the generator, `pictures/` with sample grids, `checkpoints/generator/` with history.csv and, if
    scored, scores.csv. A run that stopped by `minutes` leaves its generator too, and the same call goes on from there.

    Args:
        data: Images to learn from. With `reading.label_column` or `reading.positive_class` only the positives count;
            otherwise labels are not looked at.
        settings: How the generator is trained.
        score_with: Folder of a model that equipoise trained. Its features tell how far generated images are from real
            ones that were held out: up to 1000, at most a tenth. None holds out nothing and scores nothing.
        minutes: Stop training after so long; None does all steps.
        reading: How images are read; the size is to be 16, 32, 64 or 128 pixels.
        seed: Decides everything that is left to chance.
        engine: Device and precision: "auto", "32-true", "bf16-mixed".
        output: The folder, and who is told.

    Raises:
        InputError: if a setting or the data are not as expected.
        DataError: if a source or the model cannot be read, or the folder cannot be used.
        TrainingError: if training had to stop.
    """
    seed, say = checked_seed(seed), output.say
    check_unused(
        "train_generator", engine, "processes", "compile", "tensorboard", "on", why="trains in one process"
    )
    check_unused("train_generator", reading, "slices", why="compares no groups")
    engine = engine.resolved()
    recorded: dict[str, Setting] = {
        "command": "train-generator",
        "data": describe(data),
        **reading.settings(),
        **asdict(settings),
        "score_with": None if score_with is None else os.fspath(score_with),
        "seed": seed,
        "device": engine.device,
        "precision": engine.precision,
    }
    identity = Identity(recorded, {} if score_with is None else {"score_with": model_digest(score_with)})
    with output.open(identity, last="config.json") as folder:
        table = read_images(data, reading, engine, say)
        folder = folder.settled(fingerprints({"train": table}))
        train, held_out, features = table, None, None
        if score_with is not None:
            features = _features(score_with, table, engine.device)
            share = min(HELD_OUT_SHARE, HELD_OUT / max(1, len(table)))
            parts = split(table, fractions=(1 - share, share, 0.0), seed=seed, together=reading.together)
            train, held_out = parts.train, parts.validation
        check_start(settings, train, minutes=minutes, precision=engine.precision)
        folder.begin()
        write_rejected(table, folder.path / "rejected.csv")
        with naming_what_is_kept(folder):
            trained = train_gan(
                train,
                settings,
                held_out=held_out,
                features=features,
                seed=seed,
                minutes=minutes,
                device=engine.device,
                precision=engine.precision,
                folder=folder.checkpoints("generator"),
                pictures=Path(folder.path) / "pictures",
                resume=folder.resumed,
                progress=engine.progress,
                tell=say,
            )
            save_generator(trained, folder.path)
    return trained


def read_images(data: Source, reading: Reading, engine: Engine, say: Callable[[str], None]) -> ImageTable:
    """The images to learn from, told: the positives, where it is said what they are."""
    say("Reading the data.")
    chosen = reading.label_column is not None or reading.positive_class is not None
    table = read_one(data, None if chosen else 1, reading, progress=engine.progress)
    if reading.split_column is not None:
        table = reading.side(table, "train")
    table = table.take(table.positives) if chosen else table
    told({"train": table}, say)
    return table


def _features(folder: str | os.PathLike[str], table: ImageTable, device: str) -> Features:
    """The hidden layer of a trained model's standard CNN."""
    saved = load(folder, device=device)
    if (saved.image_size, saved.channels) != (table.image_size, table.channels):
        raise InputError(
            f"Expected a model for images of {table.image_size} pixels and {table.channels} channels to score with; "
            f"got one for {saved.image_size} and {saved.channels}. Train one on images of that size."
        )
    return hidden_layer(saved.model.to(device).eval())
