"""What is asked of a generator: latents from chance, and images from latents."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.errors import InputError
from equipoise.seeds import checked_seed

__all__ = ["Generator", "check_generator", "decoded", "sampled"]

_SAME = 0.02  # pixels differ by this where half precision is used in batches of another size


class Generator(Protocol):
    """Anything that draws latents and turns them into images; `latent` is the size k of a latent.

    A latent must give the same image every time, whatever it is decoded with: a pair is to differ in its latents
    and in nothing else. `check_generator` looks.
    """

    @property
    def latent(self) -> int:
        """Size k of a latent."""

    def sample(self, count: int, *, generator: torch.Generator) -> Float[Tensor, "count k"]:
        """Latents from the generator's own prior, with chance from `generator` (on the CPU) only."""

    def decode(self, latents: Float[Tensor, "n k"]) -> Float[Tensor, "n channels height width"]:
        """Images of latents, pixels in [0, 1]."""


def check_generator(generator: Generator, *, count: int = 4) -> tuple[int, int, int]:
    """Run it on a few latents, and refuse it if it does not do what `Generator` says.

    Args:
        generator: What is checked.
        count: Latents, at least 2.

    Returns:
        Channels, height and width of its images.

    Raises:
        InputError: if something is missing; if latents are not `latent` long, not finite, or not the same from the
            same seed; if images have another shape, are not finite or not in [0, 1], or depend on what else is
            decoded or on chance.
    """
    missing = [name for name in ("latent", "sample", "decode") if not hasattr(generator, name)]
    if missing:
        raise InputError(
            f"A generator needs latent, sample and decode; {type(generator).__name__} lacks {', '.join(missing)}. "
            "Put it into an adapter such as ModuleGenerator."
        )
    latents = sampled(generator, count, seed=0)
    if not torch.equal(latents, sampled(generator, count, seed=0)):
        raise InputError(
            "The same torch.Generator must give the same latents; got others. Draw from the one that is passed."
        )
    try:
        images = decoded(generator, latents)
        alone = decoded(generator, latents[:1])
    except (RuntimeError, TypeError, IndexError) as error:
        raise InputError(
            f"A generator must decode latents of shape ({count}, {generator.latent}), which it sampled; got this "
            f"error from it: {error}. Check that its latent size is that of its network."
        ) from error
    difference = float((images[:1] - alone).abs().max())
    if difference > _SAME:
        raise InputError(
            "A latent must give the same image alone and among others; got pixels that differ by "
            f"{difference:.2g}. Switch noise off, and batch norm to evaluation mode."
        )
    channels, height, width = images.shape[1:]
    return channels, height, width


def sampled(generator: Generator, count: int, *, seed: int) -> Float[Tensor, "count k"]:
    """Latents from a seed.

    Raises:
        InputError: if they are not floats of the size that the generator says, or not finite.
    """
    latents: Any = generator.sample(count, generator=torch.Generator().manual_seed(checked_seed(seed)))
    wanted = (count, generator.latent)
    if not isinstance(latents, Tensor) or latents.shape != wanted or not latents.is_floating_point():
        raise InputError(
            f"A generator must sample float latents of shape {wanted}; got {_form(latents)}. "
            "Check its latent size."
        )
    if not torch.isfinite(latents).all():
        raise InputError("Sampled latents must be finite; got NaN or infinity. Check the prior.")
    checked: Tensor = latents.detach()
    return checked


def decoded(generator: Generator, latents: Float[Tensor, "n k"]) -> Float[Tensor, "n channels height width"]:
    """Images of latents, looked at before anybody uses them; float32 on the CPU.

    Raises:
        InputError: if they have another shape, are not finite or not in [0, 1].
    """
    images: Any = generator.decode(latents)
    if not (
        isinstance(images, Tensor)
        and images.ndim == 4
        and len(images) == len(latents)
        and images.is_floating_point()
    ):
        raise InputError(
            f"A generator must decode {len(latents)} latents to float images ({len(latents)}, channels, height, "
            f"width); got {_form(images)}. Put a layer that reshapes them behind its network."
        )
    checked: Tensor = images.detach().float().cpu()
    low, high = float(checked.min()), float(checked.max())
    if not (low >= 0 and high <= 1):  # also where they are NaN
        raise InputError(
            f"Decoded images must be finite, pixels in [0, 1]; got {low:.3g}…{high:.3g}. Say what range the "
            "network's output has, as in ModuleGenerator(output_range=(-1, 1)); NaN means that it diverged."
        )
    return checked


def _form(values: Any) -> str:
    return f"{values.dtype} {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
