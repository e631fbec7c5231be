"""Training of the small generator against its discriminator, on Lightning Fabric.

A step is one step of each. The latents, the augmentation and the order of images depend on the seed and on the step
only, so a resumed run has the numbers of one that was not interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn.small_gan import checked_stages
from equipoise.train.checkpoint import remove_checkpoints
from equipoise.train.device import device_of
from equipoise.train.engine import precision_of
from equipoise.train.gan_run import Features, Run
from equipoise.train.gan_settings import GAN, TrainedGenerator

__all__ = ["GAN", "Features", "TrainedGenerator", "check_start", "train_gan"]

PRECISIONS = ("auto", "32-true", "bf16-mixed")


def train_gan(  # a public door: each keyword may be left out by itself
    table: ImageTable,
    settings: GAN | None = None,
    *,
    held_out: ImageTable | None = None,
    features: Features | None = None,
    seed: int = 0,
    minutes: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    folder: Path | None = None,
    pictures: Path | None = None,
    resume: bool = False,
    progress: bool = True,
    tell: Callable[[str], None] | None = None,
) -> TrainedGenerator:
    """Train a generator of images like those of a table; labels are not looked at.

    Args:
        table: Images, 16 to 128 pixels a side.
        settings: How; None takes the defaults.
        held_out: Real images that are never trained on, for the scores.
        features: Features of float images in [0, 1], on the device that they come on; needed for scores.
        minutes: Stop after so long in this start, with a checkpoint; None does all steps.
        device: "auto" takes an accelerator where there is one.
        precision: "auto" (bf16-mixed where the processor multiplies it, else 32-true), "32-true" or "bf16-mixed". The
            penalty, the moving average and the looks are in single precision in any case.
        folder: Where checkpoints, history.csv and scores.csv go; None keeps none.
        pictures: Where sample grids go; None draws none.
        resume: Continue from the newest checkpoint, if there is one.
        progress: Show a bar on a terminal.
        tell: Called with a line at every look.

    Raises:
        InputError: if there are fewer images than a batch has, or a setting is not possible.
        TrainingError: if a loss or a weight is not finite.
    """
    how = settings or GAN()
    check_start(how, table, minutes=minutes, precision=precision)
    where = device_of(device)
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator=where.type, devices=1, precision=precision_of(precision, where.type))  # type: ignore[arg-type]
    run = Run(fabric, table, how, seed, held_out, features, folder, pictures)
    if folder is not None:
        if resume:
            run.restore()
        else:
            remove_checkpoints(folder)
    run.train(None if minutes is None else 60 * minutes, progress, tell or (lambda line: None))
    run.out.network.to("cpu").eval()
    return run.out


def check_start(how: GAN, table: ImageTable, *, minutes: float | None, precision: str) -> None:
    """Whether training can start.

    Raises:
        InputError: if there are fewer images than a batch has, or a number or a name is not possible.
    """
    checked_stages(image_size=table.image_size, channels=table.channels, width=how.width)
    if len(table) < how.batch_size:
        raise InputError(
            f"A batch of {how.batch_size} needs as many images; got {len(table)} to train on. "
            "Add images or choose a smaller batch size."
        )
    if minutes is not None and not minutes > 0:
        raise InputError(f"minutes must be above 0; got {minutes}. Leave it out to do all steps.")
    if precision not in PRECISIONS:
        raise InputError(
            f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}. auto takes the fastest here."
        )
