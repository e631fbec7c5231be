"""Training of the small generator against its discriminator, on Lightning Fabric.

A step is one step of each. The latents, the augmentation and the order of images depend on the seed and on the step
only, so a resumed run has the numbers of one that was not interrupted.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from equipoise.data import ImageTable, contact_sheet
from equipoise.errors import InputError, TrainingError
from equipoise.files import write_bytes
from equipoise.nn import pixels
from equipoise.nn.small_gan import SmallDiscriminator, SmallGenerator, checked_stages
from equipoise.seeds import child_seed
from equipoise.train.checkpoint import (
    Checkpoint,
    continuing,
    flat_optimizer,
    latest_checkpoint,
    read_checkpoint,
    remove_checkpoints,
    restore_optimizer,
    write_checkpoint,
)
from equipoise.train.device import device_of
from equipoise.train.diff_augment import DIFF_AUGMENTATIONS, diff_augmented
from equipoise.train.engine import precision_of
from equipoise.train.feature_distance import frechet_distance, kernel_distance
from equipoise.train.log import History, Progress, write_history

__all__ = ["GAN", "TrainedGenerator", "train_gan"]

LOG_EVERY = 50  # steps
SHOWN = 64  # images of a sample grid
CALIBRATION = (8, 64)  # batches, and latents in each, that batch norm's statistics are taken from
PRECISIONS = ("auto", "32-true", "bf16-mixed")
Features = Callable[[Tensor], Tensor]


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


def train_gan(
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
    fabric = Fabric(accelerator=where.type, devices=1, precision=precision_of(precision, where.type))  # type: ignore[arg-type]
    run = _Run(fabric, table, how, seed, held_out, features, folder, pictures)
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


class _Run:
    """The two networks, their optimizers and where they stand."""

    def __init__(
        self,
        fabric: Fabric,
        table: ImageTable,
        how: GAN,
        seed: int,
        held_out: ImageTable | None,
        features: Features | None,
        folder: Path | None,
        pictures: Path | None,
    ) -> None:
        self.fabric, self.table, self.how, self.seed = fabric, table, how, seed
        self.folder, self.pictures, self.features = folder, pictures, features
        shape = {"image_size": table.image_size, "channels": table.channels}
        start = torch.Generator().manual_seed(child_seed(seed, "weights"))
        self.generator = SmallGenerator(how.latent, width=how.width, generator=start, **shape)
        self.discriminator = SmallDiscriminator(width=how.discriminator_width, generator=start, **shape)
        average = copy.deepcopy(self.generator).to(fabric.device).requires_grad_(False)
        for network in (self.generator, self.discriminator, average):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizers = [
            torch.optim.Adam(network.parameters(), how.learning_rate, (0.0, 0.99), fused=True)
            for network in (self.generator, self.discriminator)
        ]
        self.draw, self.move_generator = fabric.setup(self.generator, self.optimizers[0])
        self.judge, self.move_discriminator = fabric.setup(self.discriminator, self.optimizers[1])
        self.out = TrainedGenerator(average, how, seed)
        self.real: Tensor | None = None
        self.held_out = held_out if held_out is not None and len(held_out) > 1 and features else None
        self.watch = _Watch(fabric.device.type == "cpu", folder)
        self.saved, self._epoch = 0, -1
        self.settings = {
            "settings": asdict(how),
            "seed": seed,
            "data": table.fingerprint,
            "precision": str(fabric._precision.precision),
        }

    def chance(self, name: str, *path: int) -> torch.Generator:
        return torch.Generator().manual_seed(child_seed(self.seed, name, *path))

    def rows(self, step: int) -> NDArray[np.int64]:
        """Images of a step: each once an epoch, in an order of the epoch's own."""
        per_epoch = len(self.table) // self.how.batch_size
        epoch, batch = divmod(step, per_epoch)
        if self._epoch != epoch:
            self._epoch = epoch
            order = torch.randperm(len(self.table), generator=self.chance("order", epoch))
            self._order: NDArray[np.int64] = order.numpy()
        return self._order[batch * self.how.batch_size : (batch + 1) * self.how.batch_size]

    def train(self, seconds: float | None, progress: bool, tell: Callable[[str], None]) -> None:
        out, how = self.out, self.how
        began, before, first = time.perf_counter(), out.seconds, out.steps
        watch = self.watch
        self.generator.train()
        with Progress("generator", how.steps, done=out.steps, shown=progress) as bar:
            while out.steps < how.steps:
                watch.see(out.steps, self.step(out.steps))
                out.steps += 1
                out.seconds = before + time.perf_counter() - began
                late = seconds is not None and out.seconds - before >= seconds
                if out.steps % LOG_EVERY == 0 or out.steps == how.steps:
                    means = watch.flush()
                    if how.r1 and "penalty" not in means:  # fewer steps than from one penalty to the next
                        means["penalty"] = out.history["penalty"][-1]
                    _append(out.history, {"step": out.steps} | means)
                    bar.step(out.steps, means["discriminator"], (out.steps - first) / (out.seconds - before))
                if out.steps % how.look_every == 0 or out.steps == how.steps or late:
                    watch.finite(out.steps, self.generator, self.discriminator)
                    whole = out.steps % how.look_every == 0 or out.steps == how.steps
                    line = self.look(keep=whole)
                    out.seconds = before + time.perf_counter() - began
                    self.save()
                    tell(f"Step {out.steps:,} of {how.steps:,}, {out.seconds / 60:.1f} min{line}")
                if late:
                    break

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of the discriminator and one of the generator; what to log."""
        how, device = self.how, self.fabric.device
        chance = self.chance("step", step)
        images = torch.from_numpy(self.table.batch(self.rows(step)))
        mirrored = torch.rand(len(images), 1, 1, 1, generator=chance) < 0.5
        real = pixels(torch.where(mirrored, images.flip(2), images).to(device, non_blocking=True))
        latents = torch.randn(how.batch_size, how.latent, generator=chance).to(device)

        def seen(pictures: Tensor) -> Tensor:
            return diff_augmented(pictures, how.augment, generator=chance)

        drawn: Tensor = self.draw(latents)
        self.discriminator.requires_grad_(True)
        of_real, of_drawn = self.judge(seen(real)), self.judge(seen(drawn.detach()))
        loss = functional.softplus(-of_real).mean() + functional.softplus(of_drawn).mean()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = how.rate(step)
        log = {
            "discriminator": loss.detach(),
            "real": of_real.detach().mean(),
            "generated": of_drawn.detach().mean(),
        }
        self.fabric.backward(loss)
        if how.r1 and step % how.r1_every == 0:
            penalty = how.r1 / 2 * squared_gradient(self.discriminator, seen(real))
            self.fabric.backward(penalty * how.r1_every)
            log["penalty"] = penalty.detach()
        self.move_discriminator.step()
        self.move_discriminator.zero_grad()

        self.discriminator.requires_grad_(False)
        against = functional.softplus(-self.judge(seen(drawn))).mean()
        self.fabric.backward(against)
        self.move_generator.step()
        self.move_generator.zero_grad()
        log["generator"] = against.detach()

        decay = min(how.average, (1 + step) / (10 + step))
        mean, now = (
            [p.detach() for p in network.parameters()] for network in (self.out.network, self.generator)
        )
        torch._foreach_lerp_(mean, now, 1 - decay)
        return log

    def look(self, *, keep: bool) -> str:
        """A sample grid, and the scores of the moving average; said in a few words."""
        self.calibrate()
        if self.pictures is not None:
            grid = self.decode(torch.randn(SHOWN, self.how.latent, generator=self.chance("shown")))
            stored = (grid * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
            name = f"step-{self.out.steps:06d}.png"
            write_bytes(
                self.pictures / name, contact_sheet(stored, columns=8, scale=max(1, 64 // stored.shape[1]))
            )
        if self.held_out is None or self.features is None:
            return ""
        if self.real is None:
            self.real = self._features(
                pixels(
                    torch.from_numpy(
                        self.held_out.batch(np.arange(start, min(start + 256, len(self.held_out))))
                    )
                )
                for start in range(0, len(self.held_out), 256)
            )
        latents = torch.randn(len(self.real), self.how.latent, generator=self.chance("scored"))
        generated = self._features(self.decode(part) for part in torch.split(latents, 256))
        kernel, frechet = kernel_distance(self.real, generated), frechet_distance(self.real, generated)
        if keep:
            _append(
                self.out.scores,
                {"step": self.out.steps, "kernel_distance": kernel, "frechet_distance": frechet},
            )
        return f"; distance to held-out images {kernel:.4g} (kernel), {frechet:.4g} (Fréchet)"

    def _features(self, batches: Any) -> Float[Tensor, "n features"]:
        with torch.no_grad():
            found = [self.features(batch.to(self.fabric.device)).float().cpu() for batch in batches]  # type: ignore[misc]
        return torch.cat(found).flatten(1)

    def decode(self, latents: Float[Tensor, "n k"]) -> Float[Tensor, "n channels height width"]:
        with torch.no_grad():
            images: Tensor = self.out.network(latents.to(self.fabric.device))
        return images

    def calibrate(self) -> None:
        """Batch norm's statistics for the averaged weights, which no batch has ever passed."""
        network = self.out.network.train()
        norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
        chance = self.chance("calibration")
        for _ in range(CALIBRATION[0]):
            self.decode(torch.randn(CALIBRATION[1], self.how.latent, generator=chance))
        network.eval()

    def save(self) -> None:
        if self.folder is None:
            return
        self.saved += 1
        tensors: dict[str, Tensor] = {}
        rest = []
        parts = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.out.network,
        }
        for name, network in parts.items():
            tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        for name, optimizer in zip(parts, self.optimizers, strict=False):
            moments, numbers = flat_optimizer(optimizer)
            tensors |= {f"optimizer_{name}.{key}": value for key, value in moments.items()}
            rest.append(numbers)
        state = {
            "number": self.saved,
            "steps": self.out.steps,
            "seconds": self.out.seconds,
            "history": self.out.history,
            "scores": self.out.scores,
            "optimizers": rest,
            "unlogged": self.watch.entries(),
        }
        write_checkpoint(self.folder, self.saved, Checkpoint(tensors, state, self.settings))
        for name, rows in (("history", self.out.history), ("scores", self.out.scores)):
            if rows:
                write_history(self.folder / f"{name}.csv", rows)

    def restore(self) -> None:
        """Bring everything back to where the newest checkpoint was."""
        path = latest_checkpoint(self.folder) if self.folder else None
        if path is None:
            return
        checkpoint = read_checkpoint(path, self.settings)
        with continuing(path):
            self._take_back(checkpoint)

    def _take_back(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.state
        parts = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.out.network,
        }
        for name, network in parts.items():
            network.load_state_dict(checkpoint.part(name))
        if len(state["optimizers"]) != len(self.optimizers):
            raise ValueError(f"{len(state['optimizers'])} optimizers in place of {len(self.optimizers)}")
        for name, optimizer, rest in zip(parts, self.optimizers, state["optimizers"], strict=False):
            restore_optimizer(optimizer, checkpoint.part(f"optimizer_{name}"), rest)
        self.saved, self.out.steps, self.out.seconds = state["number"], state["steps"], state["seconds"]
        self.out.history, self.out.scores = state["history"], state["scores"]
        self.watch.restore(state["unlogged"])


class _Watch:
    """Losses since the last row of the history, and the guard against values that are not finite."""

    def __init__(self, at_once: bool, folder: Path | None) -> None:
        self.at_once, self.folder = at_once, folder
        self._seen: list[tuple[int, dict[str, Tensor]]] = []

    def see(self, step: int, log: dict[str, Tensor]) -> None:
        self._seen.append((step, log))
        if self.at_once:  # elsewhere, asking every step would make the device wait
            self._check(step, log)

    def _check(self, step: int, log: dict[str, Tensor]) -> None:
        if not all(math.isfinite(float(value)) for value in log.values()):
            raise self._stopped(step, ", ".join(f"{name} {float(value):g}" for name, value in log.items()))

    def flush(self) -> dict[str, float]:
        """Mean of each value over the steps that had it."""
        entries = [values for _, values in self.entries()]
        self._seen = []
        names = dict.fromkeys(name for values in entries for name in values)
        found = {name: [values[name] for values in entries if name in values] for name in names}
        return {name: sum(values) / len(values) for name, values in found.items()}

    def entries(self) -> list[tuple[int, dict[str, float]]]:
        """What was seen since the last row, as numbers."""
        for step, log in self._seen:
            self._check(step, log)
        return [(step, {name: float(value) for name, value in log.items()}) for step, log in self._seen]

    def restore(self, entries: list[tuple[int, dict[str, float]]]) -> None:
        self._seen = [
            (step, {name: torch.tensor(value, dtype=torch.float64) for name, value in log.items()})
            for step, log in entries
        ]

    def finite(self, step: int, *networks: nn.Module) -> None:
        for network in networks:
            for name, values in network.state_dict().items():
                if values.is_floating_point() and not bool(torch.isfinite(values).all()):
                    raise self._stopped(step, f"a weight that is not finite in {name}")

    def _stopped(self, step: int, what: str) -> TrainingError:
        checkpoint = latest_checkpoint(self.folder) if self.folder else None
        kept = (
            f"The last good checkpoint is {checkpoint}." if checkpoint else "No checkpoint was written yet."
        )
        return TrainingError(
            f"Expected finite losses while training the generator; got {what} at step {step}. {kept} "
            "Try a smaller learning rate, a larger R1 penalty, or precision 32-true."
        )


def squared_gradient(
    discriminator: nn.Module, images: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, ""]:
    """Mean over images of |∇D|², for images taken as [-1, 1]: half the gradient at [0, 1]. In single precision.

    Source: Mescheder, Geiger, Nowozin, Which Training Methods for GANs do actually Converge?, ICML 2018. Differs from
    it in: taken at the augmented images, not before the augmentation, and every few steps (Karras et al., Analyzing and
    Improving the Image Quality of StyleGAN, CVPR 2020).
    """
    images = images.detach().float().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
    return (gradient / 2).square().sum((1, 2, 3)).mean()


def _append(history: History, numbers: dict[str, float]) -> None:
    for name, value in numbers.items():
        history.setdefault(name, []).append(float(value))
