"""A small residual network: twice the cost of the labs' CNN a picture, and more right on the same pictures."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.errors import InputError
from equipoise.nn.standard_cnn import check_images, checked_grid, glorot_linear

__all__ = ["ResidualCNN"]


class Block(nn.Module):
    """Two 3×3 convolutions beside a short cut; halves the maps."""

    def __init__(self, inputs: int, outputs: int, momentum: float, generator: torch.Generator | None) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, 3, 2, generator)
        self.second = _convolution(outputs, outputs, 3, 1, generator)
        self.short = _convolution(inputs, outputs, 1, 1, generator)
        self.halve = nn.AvgPool2d(2)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs, momentum=momentum) for _ in range(3))

    def forward(self, maps: Float[Tensor, "batch channels height width"]) -> Tensor:
        inner = torch.relu(self.norms[0](self.first(maps)))
        short = self.norms[2](self.short(self.halve(maps)))
        return torch.relu(self.norms[1](self.second(inner)) + short)


class ResidualCNN(nn.Module):
    """A stem and residual blocks, each halving the image, then the mean over places.

    The stem is a 5×5 convolution, batch norm, ReLU; every further stage is a block that doubles the filters.

    Args:
        outputs: Logits; None leaves the dense layer out and gives the features.
        width: Filters of the stem.
        depth: Stages, the stem included.
        image_size: Height and width in pixels, a multiple of 2^depth.
        channels: 3 for colour, 1 for grey.
        norm_momentum: Share of each new batch in batch norm's running mean and variance.
        generator: Drives the starting weights; None takes torch's own.

    Raises:
        InputError: if a size is not positive or `image_size` is not a multiple of 2^depth.

    Source: He, Zhang, Ren, Sun, CVPR 2016. Differs from it in: one block a stage, three of them; a short cut
    averages four places before its 1×1 convolution, so that none of them is lost.

    Example:
        >>> ResidualCNN(1, width=4, image_size=32)(torch.zeros(5, 3, 32, 32)).shape
        torch.Size([5, 1])
    """

    def __init__(
        self,
        outputs: int | None = 1,
        *,
        width: int = 16,
        depth: int = 4,
        image_size: int = 64,
        channels: int = 3,
        norm_momentum: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        checked_grid(width=width, depth=depth, image_size=image_size, channels=channels)
        if outputs is not None and outputs < 1:
            raise InputError(f"outputs must be 1 or larger; got {outputs}. Choose a larger outputs.")
        self.image_size, self.channels = image_size, channels
        filters = [width * 2**stage for stage in range(depth)]
        self.stem = nn.Sequential(
            _convolution(channels, width, 5, 2, generator),
            nn.BatchNorm2d(width, momentum=norm_momentum),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(
            *(Block(before, after, norm_momentum, generator) for before, after in itertools.pairwise(filters))
        )
        self.output = nn.Identity() if outputs is None else glorot_linear(filters[-1], outputs, generator)
        self.feature_count = filters[-1]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch n"]:
        """What the dense layer sees: the mean of the last maps over places, n = width · 2^(depth − 1)."""
        check_images(images, self.channels, self.image_size)
        maps: Tensor = self.blocks(self.stem(images.contiguous(memory_format=torch.channels_last)))
        return maps.mean((2, 3))

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch outputs"]:
        """Logits, or the features of a network without outputs."""
        logits: Tensor = self.output(self.features(images))
        return logits


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int, generator: torch.Generator | None
) -> nn.Conv2d:
    """Without bias, since batch norm follows; starting weights as He et al., ICCV 2015, for ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    return convolution
