"""`equipoise train-generator`: images like those given, from chance."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import (
    DATA,
    ENGINE,
    EVALUATION,
    FOLDER,
    TRAINING,
    Continuing,
    General,
    Machine,
    Names,
    Splitting,
)

__all__ = ["train_generator"]


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True)
class Generating:
    """How the generator is trained."""

    steps: int = 10_000
    """Steps in all."""
    batch_size: int = 32
    """Real images a step, and as many generated."""
    learning_rate: float = 1e-3
    """Of generator and discriminator."""
    decay: float = 0.5
    """Share of the steps, the last ones, in which the learning rate falls to zero."""
    latent: int = 128
    """Size of a latent."""
    width: int = 48
    """Filters of the generator at half of the image's size."""
    discriminator_width: int = 32
    """Filters of the discriminator at half of the image's size."""
    r1: float = 0.01
    """Weight of the penalty on the discriminator's gradient at real images."""
    r1_every: int = 16
    """Steps from one such penalty to the next."""
    average: float = 0.999
    """Decay a step of the generator's moving average, which is what is kept."""
    augment: Names = ("colour", "translation")
    """What is changed at random before the discriminator sees an image: colour, translation, cutout; the first two if
    not given."""
    look_every: int = 1000
    """Steps between two sample grids, scores and checkpoints."""


# As many parameters as there are groups of flags.
def train_generator(
    data: Annotated[str, Parameter(group=DATA)],
    *,
    generating: Generating = Generating(),
    seed: Annotated[int, Parameter(group=TRAINING)] = 0,
    minutes: Annotated[float | None, Parameter(group=TRAINING)] = None,
    score_with: Annotated[str | None, Parameter(group=EVALUATION, metavar="RUN")] = None,
    reading: Splitting = Splitting(),
    device: Annotated[str, Parameter(group=ENGINE)] = "auto",
    precision: Annotated[str, Parameter(group=ENGINE)] = "auto",
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/generator"),
    continuing: Continuing = Continuing(),
    general: General = General(),
) -> int:
    """Train a small generator of images like those given; pairs from it balance training data.

    Args:
        data: Images to learn from; with --positive-class or --label-column only the positives.
        seed: Decides everything that is left to chance.
        minutes: Stop training after so long; the same command goes on from there.
        score_with: Folder of a trained model whose features tell how far generated images are from held-out real ones.
        device: auto, cpu, cuda or mps.
        precision: auto (bf16-mixed where the processor has it, else 32-true), 32-true or bf16-mixed.
        out: Folder for the generator, its sample grids and checkpoints.
    """
    from equipoise import run
    from equipoise.cli.conversion import engine_of, output_of, reading_of
    from equipoise.train import GAN

    trained = run.train_generator(
        data,
        GAN(**asdict(generating)),
        score_with=score_with,
        minutes=minutes,
        reading=reading_of(reading),
        seed=seed,
        engine=engine_of(Machine(device, precision), general),
        output=output_of(out, general, continuing),
    )
    speed = trained.steps / max(trained.seconds, 1e-9)
    say(f"{trained.steps:,} steps in {trained.seconds:.0f} s ({speed:.1f} steps/s, looks included)")
    if not trained.finished:
        say(f"Stopped by --minutes; the same command goes on to {trained.settings.steps:,} steps.")
    if trained.scores:
        kernel, frechet = (trained.scores[name][-1] for name in ("kernel_distance", "frechet_distance"))
        say(
            f"Distance to held-out images {kernel:.4g} (kernel), {frechet:.4g} (Fréchet), by the features of "
            f"{score_with}: not FID or KID, whose features are others."
        )
    say(f"Sample grids: {out / 'pictures'}")
    say(f"Generator: {out / 'model.safetensors'}")
    return 0
