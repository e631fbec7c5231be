"""Convolutions of stride 2 with TensorFlow's 'same' padding, which PyTorch does not have.

For an even input of n pixels and a kernel of k, 'same' at stride 2 means n/2 outputs and k − 2 pixels of
padding, the smaller half of it on the left and the top: (0, 1) for k = 3, (1, 2) for k = 5. PyTorch pads both
sides alike, so the plain form pads by hand (a copy of the image) and the plain transposed form computes a
border and cuts it off.

Both also have an exact second form that works at the low resolution. A stride-2 convolution is a stride-1
convolution over the four pixels of each 2×2 block taken as channels; a transposed one is a stride-1
convolution to four times the channels, which then become the pixels of 2×2 blocks. The kernel is only
rearranged, and the zeros that fill it up are few, so where channels are few this form is faster. Parameters
always keep the plain shape.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from equipoise.errors import InputError

__all__ = [
    "SameConv2d",
    "SameConvTranspose2d",
    "depth_to_space",
    "double",
    "double_in_blocks",
    "halve",
    "halve_in_blocks",
    "same_padding",
    "space_to_depth",
]

Form = Literal["plain", "blocks"]


def same_padding(size: int, kernel: int, stride: int = 2) -> tuple[int, int]:
    """Pixels to add before and after an axis of `size` pixels under TensorFlow's 'same'.

    Source: TensorFlow API documentation, `tf.nn`, "Notes on padding".

    Example:
        >>> same_padding(64, 5), same_padding(64, 3), same_padding(5, 3)
        ((1, 2), (0, 1), (1, 1))
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def space_to_depth(images: Float[Tensor, "batch c 2h 2w"]) -> Float[Tensor, "batch 4c h w"]:
    """The 2×2 blocks of an image as channels, ordered (row, column, channel); channels-last in memory."""
    batch, channels, height, width = images.shape
    blocks = images.permute(0, 2, 3, 1).reshape(batch, height // 2, 2, width // 2, 2, channels)
    packed = blocks.permute(0, 1, 3, 2, 4, 5).reshape(batch, height // 2, width // 2, 4 * channels)
    return packed.permute(0, 3, 1, 2)


def depth_to_space(images: Float[Tensor, "batch 4c h w"]) -> Float[Tensor, "batch c 2h 2w"]:
    """The inverse of `space_to_depth`; channels-last in memory."""
    batch, channels, height, width = images.shape
    blocks = images.permute(0, 2, 3, 1).reshape(batch, height, width, 2, 2, channels // 4)
    unpacked = blocks.permute(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, channels // 4)
    return unpacked.permute(0, 3, 1, 2)


def halve(
    images: Float[Tensor, "batch cin 2h 2w"],
    weight: Float[Tensor, "cout cin k k"],
    bias: Float[Tensor, " cout"],
) -> Float[Tensor, "batch cout h w"]:
    """Convolution, stride 2, 'same': the plain form."""
    before, after = same_padding(images.shape[-1], weight.shape[-1])
    return functional.conv2d(functional.pad(images, (before, after, before, after)), weight, bias, stride=2)


def halve_in_blocks(
    images: Float[Tensor, "batch cin 2h 2w"],
    weight: Float[Tensor, "cout cin k k"],
    bias: Float[Tensor, " cout"],
) -> Float[Tensor, "batch cout h w"]:
    """Convolution, stride 2, 'same': the same numbers from a stride-1 convolution over 2×2 blocks.

    Output m reads pixels 2m + d, d = −before … k − 1 − before; pixel 2m + d lies in block m + ⌊d/2⌋.
    """
    outputs, inputs, kernel, _ = weight.shape
    before = (kernel - 2) // 2
    first, last = -before // 2, (kernel - 1 - before) // 2
    taps = last - first + 1
    left = -before - 2 * first
    right = 2 * taps - kernel - left
    padded = functional.pad(weight, (left, right, left, right)).reshape(outputs, inputs, taps, 2, taps, 2)
    packed = padded.permute(0, 3, 5, 1, 2, 4).reshape(outputs, 4 * inputs, taps, taps)
    return _cropped_conv2d(space_to_depth(images), packed, bias, first)


def double(
    images: Float[Tensor, "batch cin h w"],
    weight: Float[Tensor, "cin cout k k"],
    bias: Float[Tensor, " cout"],
) -> Float[Tensor, "batch cout 2h 2w"]:
    """Transposed convolution, stride 2, 'same': the plain form, the gradient of `halve` by its input."""
    height, width = 2 * images.shape[-2], 2 * images.shape[-1]
    before, _ = same_padding(width, weight.shape[-1])
    whole = functional.conv_transpose2d(images, weight, bias, stride=2, padding=before)
    return whole[..., :height, :width]


def double_in_blocks(
    images: Float[Tensor, "batch cin h w"],
    weight: Float[Tensor, "cin cout k k"],
    bias: Float[Tensor, " cout"],
) -> Float[Tensor, "batch cout 2h 2w"]:
    """Transposed convolution, stride 2, 'same': the same numbers from a stride-1 convolution to 2×2 blocks.

    Output 2m + r (r = 0, 1) reads pixel m − e through kernel position 2e + r + before.
    """
    inputs, outputs, kernel, _ = weight.shape
    before = (kernel - 2) // 2
    first, last = -((1 + before) // 2), (kernel - 1 - before) // 2
    taps = last - first + 1
    left = -(2 * first + before)
    right = 2 * taps - kernel - left
    padded = functional.pad(weight, (left, right, left, right)).reshape(inputs, outputs, taps, 2, taps, 2)
    packed = padded.flip(2, 4).permute(3, 5, 1, 0, 2, 4).reshape(4 * outputs, inputs, taps, taps)
    return depth_to_space(_cropped_conv2d(images, packed, bias.repeat(4), -last))


def _cropped_conv2d(images: Tensor, weight: Tensor, bias: Tensor, first: int) -> Tensor:
    """Stride-1 convolution, as many pixels out as in, whose first tap lies at offset `first` (0, −1, …)."""
    taps = weight.shape[-1]
    height, width = images.shape[-2:]
    padding = max(-first, first + taps - 1)
    whole = functional.conv2d(images, weight, bias, padding=padding)
    start = first + padding
    return whole if taps == 2 * padding + 1 else whole[..., start : start + height, start : start + width]


class _Same(nn.Module):
    """Parameters of a 'same' layer: Glorot-uniform kernel and zero bias, as Keras starts them."""

    def __init__(
        self, shape: tuple[int, int], outputs: int, kernel: int, form: Form, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        if kernel < 2 or form not in get_args(Form):
            raise InputError(
                "A stride-2 layer needs a kernel of 2 or more and form 'plain' or 'blocks'; "
                f"got {kernel}, {form!r}. Choose another kernel or form."
            )
        self.form = form
        self.weight = nn.Parameter(torch.empty(*shape, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.weight, generator=generator)

    def extra_repr(self) -> str:
        first, second, kernel, _ = self.weight.shape
        return f"{first}, {second}, kernel={kernel}, form={self.form!r}"


class SameConv2d(_Same):
    """Convolution, stride 2, 'same' padding, for images of even height and width.

    Args:
        form: "plain" or "blocks": how it is computed, not what.
        generator: Drives the starting weights; None takes torch's own.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        form: Form = "plain",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__((outputs, inputs), outputs, kernel, form, generator)

    def forward(self, images: Float[Tensor, "batch cin 2h 2w"]) -> Float[Tensor, "batch cout h w"]:
        """Half the height and width."""
        compute = halve if self.form == "plain" else halve_in_blocks
        return compute(images, self.weight, self.bias)


class SameConvTranspose2d(_Same):
    """Transposed convolution, stride 2, 'same' padding, as Keras's `Conv2DTranspose`.

    Args:
        form: "plain" or "blocks": how it is computed, not what.
        generator: Drives the starting weights; None takes torch's own.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        form: Form = "plain",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__((inputs, outputs), outputs, kernel, form, generator)

    def forward(self, images: Float[Tensor, "batch cin h w"]) -> Float[Tensor, "batch cout 2h 2w"]:
        """Twice the height and width."""
        compute = double if self.form == "plain" else double_in_blocks
        return compute(images, self.weight, self.bias)
