"""The labs' standard CNN: four convolutions of stride 2, each with ReLU and batch norm, and two dense
layers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.errors import InputError
from equipoise.nn.same import TurnedConv2d, turn

__all__ = ["StandardCNN", "filters_and_kernels", "glorot_linear"]


def filters_and_kernels(width: int, depth: int) -> list[tuple[int, int]]:
    """(filters, kernel size) of each convolution: width × 1, 2, 4, 6, then 8, 10, …; 5×5 twice, then 3×3.

    Example:
        >>> filters_and_kernels(12, 4)
        [(12, 5), (24, 5), (48, 3), (72, 3)]
    """
    return [(width * (1 if i == 0 else 2 * i), 5 if i < 2 else 3) for i in range(depth)]


def glorot_linear(inputs: int, outputs: int, generator: torch.Generator | None = None) -> nn.Linear:
    """A dense layer that starts as Keras starts it: Glorot-uniform weights, zero bias."""
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear


def checked_grid(*, width: int, depth: int, image_size: int, channels: int) -> int:
    """Height and width in pixels of the deepest feature map.

    Raises:
        InputError: if a size is not positive or `image_size` cannot be halved `depth` times.
    """
    for name, value in (("width", width), ("depth", depth), ("channels", channels)):
        if value < 1:
            raise InputError(f"{name} must be 1 or larger; got {value}. Choose a larger {name}.")
    if image_size < 1 or image_size % 2**depth:
        raise InputError(
            f"image_size must be a multiple of 2^depth = {2**depth}; got {image_size}. "
            f"Choose {max(1, round(image_size / 2**depth)) * 2**depth}, or a smaller depth."
        )
    return image_size >> depth


def check_images(images: Tensor, channels: int, image_size: int) -> None:
    """Whether a network of that size takes a batch.

    Raises:
        InputError: if not.
    """
    if images.shape[1:] != (channels, image_size, image_size) or not images.is_floating_point():
        raise InputError(
            f"Images must be float in [0, 1] of shape (batch, {channels}, {image_size}, {image_size}); got "
            f"{images.dtype} {tuple(images.shape)}. Resize them, or make uint8 pictures ready with equipoise.nn.pixels."
        )


class StandardCNN(nn.Module):
    """The classifier of MIT 6.S191, lab 2, and the encoder of its DB-VAE.

    Each stage is convolution ('same', stride 2) → ReLU → batch norm; then flatten, dense `hidden`, ReLU,
    dense `outputs` without activation.

    Args:
        outputs: Logits; None leaves the last dense layer out and gives the hidden features.
        width: Filters of the first stage.
        depth: Stages.
        hidden: Size of the dense hidden layer.
        image_size: Height and width in pixels, a multiple of 2^depth.
        channels: 3 for colour, 1 for grey.
        norm_momentum: Share of each new batch in batch norm's running mean and variance. 0.01 is Keras's
            default (there called momentum 0.99), 0.1 PyTorch's.
        generator: Drives the starting weights; None takes torch's own.

    Raises:
        InputError: if a size is not positive or `image_size` is not a multiple of 2^depth.

    Source: MIT 6.S191 lab 2. Weights start and batch norm works (momentum, ε = 1e-3) as in Keras, which the
    lab uses; flattening goes by row, column, channel as there. Differs from it in: nothing.
    """

    def __init__(
        self,
        outputs: int | None = 1,
        *,
        width: int = 12,
        depth: int = 4,
        hidden: int = 512,
        image_size: int = 64,
        channels: int = 3,
        norm_momentum: float = 0.01,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        grid = checked_grid(width=width, depth=depth, image_size=image_size, channels=channels)
        for name, value in (("outputs", outputs), ("hidden", hidden)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or larger; got {value}. Choose a larger {name}.")
        self.image_size, self.channels = image_size, channels
        stages = []
        inputs = channels
        for filters, kernel in filters_and_kernels(width, depth):
            stages.append(
                nn.Sequential(
                    TurnedConv2d(inputs, filters, kernel, generator=generator),
                    nn.ReLU(inplace=True),
                    nn.BatchNorm2d(filters, eps=1e-3, momentum=norm_momentum),
                )
            )
            inputs = filters
        self.stages = nn.Sequential(*stages)
        self.hidden = glorot_linear(grid * grid * inputs, hidden, generator)
        self.output = nn.Identity() if outputs is None else glorot_linear(hidden, outputs, generator)

    def features(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch hidden"]:
        """The hidden layer, after its ReLU."""
        check_images(images, self.channels, self.image_size)
        maps: Tensor = self.stages(turn(images))
        return torch.relu(self.hidden(turn(maps).permute(0, 2, 3, 1).flatten(1)))

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch outputs"]:
        """Logits, or the hidden features of a network without outputs."""
        logits: Tensor = self.output(self.features(images))
        return logits
