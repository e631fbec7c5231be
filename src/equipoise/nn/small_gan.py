"""A small generator and its discriminator, for pictures of 16 to 128 pixels and training on a processor.

Transposed convolutions of 4×4 cost less than half of an upsampling and a 3×3 convolution, and 4 is a multiple of the
stride, so that they leave no checkerboard. Each stage of the generator is scaled and shifted by the latent.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from equipoise.errors import InputError

__all__ = ["SmallDiscriminator", "SmallGenerator"]

START = 4  # pixels a side where the generator begins and the discriminator ends
GROUP = 8  # images whose spread the discriminator sees together


def checked_stages(*, image_size: int, channels: int, width: int) -> int:
    """How often the image is halved until it is 4×4.

    Raises:
        InputError: if a size is not possible.
    """
    if image_size not in (16, 32, 64, 128):
        raise InputError(f"image_size must be 16, 32, 64 or 128; got {image_size}. Choose one of these.")
    if channels not in (1, 3):
        raise InputError(f"channels must be 1 or 3; got {channels}. 3 is for colour.")
    if width < 1:
        raise InputError(f"width must be 1 or larger; got {width}. 48 makes about 1.5 million weights.")
    return (image_size // START).bit_length() - 1


class Modulated(nn.Module):
    """Batch norm whose scale and shift come from the latent, then a leaky ReLU.

    Source: Chen, Lucic, Houlsby, Gelly, On Self Modulation for Generative Adversarial Networks, ICLR 2019.
    Differs from it in: scale and shift are linear in the latent, without a hidden layer.
    """

    def __init__(self, filters: int, latent: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(filters, affine=False)
        self.style = nn.Linear(latent, 2 * filters)

    def forward(
        self, maps: Float[Tensor, "batch filters height width"], latents: Float[Tensor, "batch k"]
    ) -> Float[Tensor, "batch filters height width"]:
        """Maps of the same shape."""
        scale, shift = self.style(latents)[:, :, None, None].to(maps.dtype).chunk(2, 1)
        return functional.leaky_relu(self.norm(maps) * (1 + scale) + shift, 0.2)


class SmallGenerator(nn.Module):
    """Latents to images: dense to 4×4, then a transposed convolution a doubling, each modulated by the latent.

    At 16 pixels a 3×3 convolution is added to what it gets.

    Args:
        latent: Size k of a latent.
        width: Filters at half of the image's size; twice as many at every halving, up to four times.
        image_size: 16, 32, 64 or 128 pixels a side.
        channels: 3 for colour, 1 for grey.
        generator: Drives the starting weights; None takes torch's own.

    Raises:
        InputError: if a size is not possible.

    Source: Radford, Metz, Chintala, Unsupervised Representation Learning with Deep Convolutional GANs, ICLR 2016.
    Differs from it in: a quarter of the filters, scale and shift from the latent, leaky ReLU, the added convolution,
    sigmoid at the end.
    """

    def __init__(
        self,
        latent: int = 128,
        *,
        width: int = 48,
        image_size: int = 64,
        channels: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        stages = checked_stages(image_size=image_size, channels=channels, width=width)
        if latent < 1:
            raise InputError(f"latent must be 1 or larger; got {latent}. 128 is usual.")
        self.latent, self.image_size, self.channels = latent, image_size, channels
        filters = [min(4 * width, width << (stages - 1 - i)) for i in range(stages)]
        self.dense = nn.Linear(latent, filters[0] * START * START)
        self.first = Modulated(filters[0], latent)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(few, more, 4, 2, 1, bias=False) for few, more in pairwise(filters)
        )
        self.modulated = nn.ModuleList(Modulated(count, latent) for count in filters[1:])
        sizes = [START << (i + 1) for i in range(stages - 1)]
        self.refine = nn.ModuleList(
            Refine(count, latent) if size == 16 else nn.Identity()
            for count, size in zip(filters[1:], sizes, strict=True)
        )
        self.image = nn.ConvTranspose2d(filters[-1], channels, 4, 2, 1)
        _start(self, generator, spread=0.02)

    def extra_repr(self) -> str:
        return f"latent={self.latent}, image_size={self.image_size}, channels={self.channels}"

    def forward(self, latents: Float[Tensor, "batch k"]) -> Float[Tensor, "batch channels height width"]:
        """Images in [0, 1]."""
        maps: Tensor = self.dense(latents).reshape(len(latents), -1, START, START)
        maps = self.first(maps.contiguous(memory_format=torch.channels_last), latents)
        for up, modulated, refine in zip(self.up, self.modulated, self.refine, strict=True):
            maps = modulated(up(maps), latents)
            if isinstance(refine, Refine):
                maps = refine(maps, latents)
        return torch.sigmoid(self.image(maps).float())


class Refine(nn.Module):
    """A 3×3 convolution, modulated, added to what it gets."""

    def __init__(self, filters: int, latent: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.modulated = Modulated(filters, latent)

    def forward(
        self, maps: Float[Tensor, "batch filters height width"], latents: Float[Tensor, "batch k"]
    ) -> Float[Tensor, "batch filters height width"]:
        """Maps of the same shape."""
        added: Tensor = self.modulated(self.convolution(maps), latents)
        return maps + added


class SmallDiscriminator(nn.Module):
    """Images to a score, higher for real: 4×4 convolutions of stride 2 with leaky ReLU, no norm.

    Before the last layer it is told how much the images of a batch differ (in groups of 8), so that a generator that
    draws one image only is found out.

    Args:
        width: Filters after the first halving; twice as many at every further one, up to eight times.
        image_size: 16, 32, 64 or 128 pixels a side.
        channels: 3 for colour, 1 for grey.
        generator: Drives the starting weights; None takes torch's own.

    Raises:
        InputError: if a size is not possible.

    Source: Radford et al., as the generator; the spread within a batch from Karras, Aila, Laine, Lehtinen,
    Progressive Growing of GANs, ICLR 2018. Differs from it in: no batch norm, which the R1 penalty does not go with.
    """

    def __init__(
        self,
        *,
        width: int = 32,
        image_size: int = 64,
        channels: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        stages = checked_stages(image_size=image_size, channels=channels, width=width)
        filters = [channels, *(min(8 * width, width << i) for i in range(stages))]
        self.down = nn.ModuleList(nn.Conv2d(few, more, 4, 2, 1) for few, more in pairwise(filters))
        self.score = nn.Linear(filters[-1] * START * START + 1, 1)
        _start(self, generator, spread=None)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, " batch"]:
        """Scores of images in [0, 1]."""
        maps = images * 2 - 1
        for down in self.down:
            maps = functional.leaky_relu(down(maps), 0.2)
        features = maps.flatten(1)
        scores: Tensor = self.score(torch.cat([features, _spread(features)], 1))
        return scores.squeeze(1).float()


def _spread(features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch 1"]:
    """Standard deviation over the images of a group, averaged over the features."""
    count = len(features)
    group = GROUP if count % GROUP == 0 else count
    grouped = features.float().reshape(group, count // group, -1)
    away = grouped - grouped.mean(0)
    deviation = (away.square().mean(0) + 1e-8).sqrt().mean(1)
    return deviation.repeat(group)[:, None].to(features.dtype)


def _start(network: nn.Module, generator: torch.Generator | None, *, spread: float | None) -> None:
    """Normal weights and zero biases; `spread` None takes what keeps the variance behind a leaky ReLU."""
    for part in network.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            if spread is None:
                nn.init.kaiming_normal_(part.weight, 0.2, generator=generator)
            else:
                nn.init.normal_(part.weight, 0, spread, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
