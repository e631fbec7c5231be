"""Convolutions of stride 2 with TensorFlow's 'same' padding, which PyTorch does not have.

For an even image of n pixels and a kernel of k, 'same' at stride 2 means n/2 outputs and k − 2 pixels of padding,
the smaller half of it on the left and the top: (0, 1) for k = 3, (1, 2) for k = 5. PyTorch pads both sides alike,
so the obvious ways are to pad by hand before, and to cut a border off after a transposed convolution: copies of
whole images. Here are two exact ways around them; parameters always keep the plain shape.

*Turned.* On an image turned by 180°, 'same' is (1, 0) and (2, 1): what PyTorch's padding of ⌊k/2⌋ gives at stride 2,
because the last window then starts one pixel before the end of the padding. So a chain of such layers runs on the
turned image with turned kernels, and nothing is padded by hand.

*In blocks.* A transposed convolution of stride 2 is a convolution of stride 1 to four times the channels, which then
become the pixels of 2×2 blocks. The kernel is only rearranged and filled up with few zeros. PyTorch's transposed
convolution is slow on a CPU where channels are few, and in half precision everywhere.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from equipoise.errors import InputError

__all__ = ["SameConvTranspose2d", "TurnedConv2d", "double", "double_in_blocks", "halve_turned", "turn"]


def turn(images: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
    """Images turned by 180°."""
    return images.flip(2, 3)


def halve_turned(
    images: Float[Tensor, "batch cin height width"],
    weight: Float[Tensor, "cout cin k k"],
    bias: Float[Tensor, " cout"],
) -> Float[Tensor, "batch cout height//2 width//2"]:
    """Convolution, stride 2, 'same', odd k: takes a turned image and gives the turned result."""
    return functional.conv2d(images, turn(weight), bias, stride=2, padding=weight.shape[-1] // 2)


def double(
    images: Float[Tensor, "batch cin h w"],
    weight: Float[Tensor, "cin cout k k"],
    bias: Float[Tensor, " cout"],
) -> Float[Tensor, "batch cout 2*h 2*w"]:
    """Transposed convolution, stride 2, 'same': the plain form, cut to size on the right and the bottom."""
    height, width = 2 * images.shape[-2], 2 * images.shape[-1]
    before = (weight.shape[-1] - 2) // 2
    return functional.conv_transpose2d(images, weight, bias, stride=2, padding=before)[..., :height, :width]


def double_in_blocks(
    images: Float[Tensor, "batch cin h w"],
    weight: Float[Tensor, "cin cout k k"],
    bias: Float[Tensor, " cout"],
) -> Float[Tensor, "batch cout 2*h 2*w"]:
    """Transposed convolution, stride 2, 'same': the same numbers from a convolution of stride 1 to 2×2 blocks.

    Output 2m + r (r = 0, 1) reads pixel m − e through kernel position 2e + r + before, e = first … last.
    """
    inputs, outputs, kernel, _ = weight.shape
    before = (kernel - 2) // 2
    first, last = -((1 + before) // 2), (kernel - 1 - before) // 2
    taps = last - first + 1
    left = -(2 * first + before)
    right = 2 * taps - kernel - left
    padded = functional.pad(weight, (left, right, left, right)).reshape(inputs, outputs, taps, 2, taps, 2)
    packed = padded.flip(2, 4).permute(3, 5, 1, 0, 2, 4).reshape(4 * outputs, inputs, taps, taps)
    blocks = functional.conv2d(images, packed, bias.repeat(4), padding=last)
    batch, _, height, width = images.shape
    rows = blocks[..., :height, :width].permute(0, 2, 3, 1).reshape(batch, height, width, 2, 2, outputs)
    return rows.transpose(2, 3).reshape(batch, 2 * height, 2 * width, outputs).permute(0, 3, 1, 2)


class _Kernel(nn.Module):
    """Parameters of a stride-2 layer: Glorot-uniform kernel and zero bias, as Keras starts them."""

    def __init__(
        self, first: int, second: int, outputs: int, kernel: int, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        if kernel < 3 or kernel % 2 == 0:
            raise InputError(f"A kernel must be odd, 3 or more; got {kernel}. Use 3 or 5, as the labs do.")
        self.weight = nn.Parameter(torch.empty(first, second, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Start anew, as PyTorch's own layers can."""
        nn.init.xavier_uniform_(self.weight, generator=generator)
        nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        first, second, kernel, _ = self.weight.shape
        return f"{first}, {second}, kernel={kernel}"


class TurnedConv2d(_Kernel):
    """Convolution, stride 2, TensorFlow's 'same' padding, from turned images to turned feature maps.

    Args:
        kernel: Odd; height and width must be even.
        generator: Drives the starting weights; None takes torch's own.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(outputs, inputs, outputs, kernel, generator)

    def forward(
        self, images: Float[Tensor, "batch cin height width"]
    ) -> Float[Tensor, "batch cout height//2 width//2"]:
        """Half the height and width, turned like the input."""
        return halve_turned(images, self.weight, self.bias)


class SameConvTranspose2d(_Kernel):
    """Transposed convolution, stride 2, 'same' padding, as Keras's `Conv2DTranspose`.

    Args:
        kernel: Odd.
        generator: Drives the starting weights; None takes torch's own.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(inputs, outputs, outputs, kernel, generator)

    def forward(self, images: Float[Tensor, "batch cin h w"]) -> Float[Tensor, "batch cout 2*h 2*w"]:
        """Twice the height and width."""
        wide, half = self.weight.shape[-1] > 3, images.dtype.itemsize < 4
        in_blocks = images.device.type == "cpu" and (wide or half)
        return (double_in_blocks if in_blocks else double)(images, self.weight, self.bias)
