"""The demo: find, fix and prove, on an embedded task with a shortcut whose hidden groups are known."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from equipoise.data import shortcut, split
from equipoise.errors import InputError
from equipoise.report.fix.record import FixRecord
from equipoise.run.fix.job import Choosing, fix
from equipoise.run.output import Output
from equipoise.run.reading import Reading
from equipoise.run.sources import Sources
from equipoise.run.train import train
from equipoise.run.training import Training
from equipoise.train import Engine

__all__ = ["demo"]

LEAST = 400
SIZE = 48
SIDES = 0.4, 0.3, 0.3  # to train the network, to fix it, to test


def demo(
    images: int = 15000,
    *,
    training: Training = Training(),
    engine: Engine = Engine(precision="32-true"),
    output: Output = Output("runs/demo"),
) -> FixRecord:
    """Train a plain network on a task with a shortcut, find whom it fails, fix its last layer, and measure.

    Two jobs, as anybody would call them: `train` into `output.out`/network, and `fix` into `output.out`/fix. Neither is
    told the light, which is the shortcut; it is looked at last, to measure.

    Args:
        images: Of the embedded task.
        training: The recipe of the plain network, and the seed, which decides everything that is left to chance.
        engine: Device, and the precision of training: of 32 bits, so that one processor learns much what another does.
        output: The folder, and who is told.

    Raises:
        InputError: if there are too few images, or other runs lie in the folder.
        DataError: if the folder or the cache cannot be written.
    """
    if images < LEAST:
        raise InputError(
            f"`images` must be at least {LEAST}, or nothing can be told; got {images}. 15000 are usual."
        )
    engine.resolved(training.chosen)  # what the machine lacks is told before anything is drawn
    output.say(f"Drawing {images:,} faces with and without glasses.")
    seed = training.seed
    table = shortcut(images, size=SIZE, seed=seed)
    sides = split(table, fractions=SIDES, seed=seed, stratify=["light"])
    reading, out = Reading(image_size=SIZE), Path(output.out)
    train(
        Sources(data=sides.train),
        method="plain",
        reading=reading,
        training=training,
        engine=engine,
        output=replace(output, out=out / "network"),
    )
    return fix(
        str(out / "network"),
        Sources(data=sides.validation, test_data=sides.test),
        choosing=Choosing(groups=("light",)),
        seed=seed,
        engine=Engine(engine.device, progress=engine.progress),  # the rest is a matter of training
        output=replace(output, out=out / "fix"),
    )
