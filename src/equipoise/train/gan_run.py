"""One run of the small generator against its discriminator: steps, looks and checkpoints."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from equipoise.data import ImageTable, contact_sheet
from equipoise.files import write_bytes
from equipoise.nn import pixels, slices
from equipoise.nn.small_gan import SmallDiscriminator, SmallGenerator
from equipoise.seeds import child_seed
from equipoise.train.checkpoint import (
    Checkpoint,
    continuing,
    flat_optimizer,
    latest_checkpoint,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from equipoise.train.diff_augment import diff_augmented
from equipoise.train.feature_distance import frechet_distance, kernel_distance
from equipoise.train.gan_settings import GAN, LOG_EVERY, TrainedGenerator
from equipoise.train.log import Progress, append, write_history
from equipoise.train.watch import Watch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Features", "Run", "squared_gradient"]

SHOWN = 64  # images of a sample grid
LOOKED_AT = 256  # images at a time
CALIBRATION = (8, 64)  # batches, and latents in each, that batch norm's statistics are taken from
ADVICE = "Try a smaller learning rate, a larger R1 penalty, or precision 32-true."
Features = Callable[[Tensor], Tensor]


class Run:
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
        self.watch = Watch("the generator", folder, at_once=fabric.device.type == "cpu", advice=ADVICE)
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
                    append(out.history, {"step": out.steps} | means)
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
            rows = np.arange(len(self.held_out))
            self.real = self._features(
                pixels(torch.from_numpy(self.held_out.batch(rows[place])))
                for place in slices(len(rows), LOOKED_AT)
            )
        latents = torch.randn(len(self.real), self.how.latent, generator=self.chance("scored"))
        generated = self._features(self.decode(part) for part in torch.split(latents, LOOKED_AT))
        kernel, frechet = kernel_distance(self.real, generated), frechet_distance(self.real, generated)
        if keep:
            append(
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
