"""A generator of images like those given, for pairs that balance training data."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from equipoise.data import ImageTable, split, write_rejected
from equipoise.errors import InputError
from equipoise.run.folder import open_folder
from equipoise.run.hidden import hidden_layer
from equipoise.run.identity import Identity, Setting, fingerprints, model_digest
from equipoise.run.keeping import naming_what_is_kept
from equipoise.run.saved import load
from equipoise.run.sources import Reading, Source, describe, read_one, told
from equipoise.seeds import checked_seed
from equipoise.train.device import device_of
from equipoise.train.fit import precision_of
from equipoise.train.gan import GAN, Features, TrainedGenerator, check_start, train_gan
from equipoise.train.saved_generator import save_generator

__all__ = ["train_generator"]

HELD_OUT = 1000  # most images that are held out for the scores
HELD_OUT_SHARE = 0.1  # of all images, if that is less


def train_generator(
    data: Source,
    *,
    reading: Reading | None = None,
    settings: GAN | None = None,
    score_with: str | os.PathLike[str] | None = None,
    seed: int = 0,
    minutes: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    progress: bool = True,
    out: str | os.PathLike[str] = "runs/generator",
    resume: bool = False,
    overwrite: bool = False,
    tell: Callable[[str], None] | None = None,
) -> TrainedGenerator:
    """Train a generator and save it in a folder that `load_generator` reads.

    In the folder: the generator, `pictures/` with sample grids, `checkpoints/generator/` with history.csv and, if
    scored, scores.csv. A run that stopped by `minutes` leaves its generator too, and the same call goes on from there.

    Args:
        data: Images to learn from. With `reading.label_column` or `reading.positive_class` only the positives count;
            otherwise labels are not looked at.
        reading: How they are read; the size is to be 16, 32, 64 or 128 pixels.
        settings: How the generator is trained; None takes the defaults.
        score_with: Folder of a model that equipoise trained. Its features tell how far generated images are from real
            ones that were held out: up to 1000, at most a tenth. None holds out nothing and scores nothing.
        seed: Decides everything that is left to chance.
        minutes: Stop training after so long; None does all steps.
        device: "auto", "cpu", "cuda", "mps".
        precision: "auto", "32-true", "bf16-mixed".
        progress: Show bars when standard error is a terminal.
        out: The folder.
        resume: Continue what was interrupted.
        overwrite: Replace the run that lies in the folder.
        tell: Called with a line about every stage.

    Raises:
        InputError: if a setting or the data are not as expected.
        DataError: if a source or the model cannot be read, or the folder cannot be used.
        TrainingError: if training had to stop.
    """
    how, reading = settings or GAN(), reading or Reading()
    say: Callable[[str], None] = tell or (lambda line: None)
    seed = checked_seed(seed)
    device = device_of(device).type if device == "auto" else str(device_of(device))
    precision = precision_of(precision, device)
    recorded: dict[str, Setting] = {
        "command": "train-generator",
        "data": describe(data),
        **reading.settings(),
        **asdict(how),
        "score_with": None if score_with is None else os.fspath(score_with),
        "seed": seed,
        "device": device,
        "precision": precision,
    }
    identity = Identity(recorded, {} if score_with is None else {"score_with": model_digest(score_with)})
    with open_folder(out, identity, resume=resume, overwrite=overwrite, last="config.json") as folder:
        say("Reading the data.")
        chosen = reading.label_column is not None or reading.positive_class is not None
        table = read_one(data, None if chosen else 1, reading, progress=progress)
        if reading.split_column is not None:
            table = reading.side(table, "train")
        table = table.take(table.positives) if chosen else table
        told({"train": table}, say)
        folder = folder.settled(fingerprints({"train": table}))
        train, held_out, features = table, None, None
        if score_with is not None:
            features = _features(score_with, table, device)
            share = min(HELD_OUT_SHARE, HELD_OUT / max(1, len(table)))
            parts = split(table, fractions=(1 - share, share, 0.0), seed=seed, together=reading.together)
            train, held_out = parts.train, parts.validation
        check_start(how, train, minutes=minutes, precision=precision)
        folder.begin()
        write_rejected(table, folder.path / "rejected.csv")
        with naming_what_is_kept(folder):
            trained = train_gan(
                train,
                how,
                held_out=held_out,
                features=features,
                seed=seed,
                minutes=minutes,
                device=device,
                precision=precision,
                folder=folder.checkpoints("generator"),
                pictures=Path(folder.path) / "pictures",
                resume=folder.resumed,
                progress=progress,
                tell=say,
            )
            save_generator(trained, folder.path)
    return trained


def _features(folder: str | os.PathLike[str], table: ImageTable, device: str) -> Features:
    """The hidden layer of a trained model's standard CNN."""
    saved = load(folder, device=device)
    if (saved.image_size, saved.channels) != (table.image_size, table.channels):
        raise InputError(
            f"Expected a model for images of {table.image_size} pixels and {table.channels} channels to score with; "
            f"got one for {saved.image_size} and {saved.channels}. Train one on images of that size."
        )
    return hidden_layer(saved.model.to(device).eval())
