"""How a small generator is trained, and what training gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from equipoise.errors import InputError
from equipoise.nn.small_gan import SmallGenerator
from equipoise.train.diff_augment import DIFF_AUGMENTATIONS
from equipoise.train.log import History

__all__ = ["GAN", "LOG_EVERY", "TrainedGenerator"]

LOG_EVERY = 50  # steps


@dataclass(frozen=True)
class GAN:
    """How a generator is trained.

    Args:
        latent: Size of a latent.
        width: Of the generator, see `SmallGenerator`.
        discriminator_width: Of the discriminator, see `SmallDiscriminator`.
        steps: Steps in all.
        batch_size: Real images a step, and as many generated.
        learning_rate: Of both; Adam with β = (0, 0.99).
        decay: Share of the steps, the last ones, in which the learning rate falls linearly to zero; 0 to 1.
        r1: γ of the R1 penalty γ/2·E|∇D|² on real images in [-1, 1].
        r1_every: Steps from one penalty to the next, which then counts so many times.
        average: Decay a step of the generator's moving average, which is what is kept; at step t it is at most
            (1 + t) / (10 + t).
        augment: Of `DIFF_AUGMENTATIONS`; for few images its authors take all three. Real images are mirrored in any
            case.
        look_every: Steps between two sample grids, scores and checkpoints.

    Raises:
        InputError: if a number is out of range or an augmentation unknown.
    """

    latent: int = 128
    width: int = 48
    discriminator_width: int = 32
    steps: int = 10_000
    batch_size: int = 32
    learning_rate: float = 1e-3
    decay: float = 0.5
    r1: float = 0.01
    r1_every: int = 16
    average: float = 0.999
    augment: tuple[str, ...] = ("colour", "translation")
    look_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("latent", "width", "discriminator_width", "steps", "r1_every", "look_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be 1 or larger; got {getattr(self, name)}. Raise it.")
        if self.r1_every > LOG_EVERY:
            raise InputError(f"r1_every must be at most {LOG_EVERY}; got {self.r1_every}. 16 is usual.")
        if self.batch_size < 2:
            raise InputError(f"batch_size must be 2 or larger; got {self.batch_size}. Try 32.")
        if not (0 < self.learning_rate < math.inf and 0 <= self.r1 < math.inf and 0 <= self.average < 1):
            raise InputError(
                "learning_rate must be above 0, r1 0 or larger and average in [0, 1); got "
                f"{self.learning_rate}, {self.r1} and {self.average}. Try 0.001, 0.01 and 0.999."
            )
        if not 0 <= self.decay <= 1:
            raise InputError(f"decay must lie in [0, 1]; got {self.decay}. Try 0.5.")
        unknown = [name for name in self.augment if name not in DIFF_AUGMENTATIONS]
        if unknown:
            raise InputError(
                f"augment must be of {', '.join(DIFF_AUGMENTATIONS)}; got {', '.join(unknown)}. Choose among these."
            )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        falling = self.decay * self.steps
        return self.learning_rate * min(1.0, (self.steps - step) / falling if falling else 1.0)


@dataclass(eq=False)
class TrainedGenerator:
    """What training gives.

    Args:
        network: The moving average of the generator, in evaluation mode on the CPU.
        settings: How it was trained.
        seed: What chance came from.
        steps: Steps done.
        seconds: Wall-clock of training, looks included, over all starts.
        history: Every 50 steps, means since the last row: "step", "discriminator", "generator", "penalty" (of the
            steps that had one), "real" and "generated" (mean scores).
        scores: At every look: "step", "kernel_distance", "frechet_distance"; empty without held-out images.
    """

    network: SmallGenerator
    settings: GAN
    seed: int
    steps: int = 0
    seconds: float = 0.0
    history: History = field(default_factory=dict)
    scores: History = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether all steps were done."""
        return self.steps >= self.settings.steps
