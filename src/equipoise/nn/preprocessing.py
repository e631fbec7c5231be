"""`Preprocessing`: how pictures must come for a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.errors import InputError
from equipoise.pictures.framing import Framing, Interpolation

__all__ = ["Normalised", "Preprocessing", "check_normalisation", "framed"]


@dataclass(frozen=True)
class Preprocessing:
    """How pictures become what a network sees: framed, as pixels in [0, 1], then (pixels − mean) / std.

    Args:
        framing: From any size and shape to a square.
        mean: One number a channel; none leaves pixels in [0, 1] as they are.
        std: Likewise, above 0.
        channels: 1, 3 or 4.

    Raises:
        InputError: if numbers are not as said.
    """

    framing: Framing
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels: int = 3

    def __post_init__(self) -> None:
        if self.channels not in (1, 3, 4):
            raise InputError(
                f"Expected a network for pictures of 1, 3 or 4 channels; got one for {self.channels}. Give another "
                "network, or one whose first layer takes these."
            )
        if self.mean or self.std:
            check_normalisation(self.mean, self.std)
            if len(self.mean) not in (1, self.channels):
                raise InputError(
                    f"Expected a mean and a standard deviation for each of {self.channels} channels, or one for all; "
                    f"got {len(self.mean)}. Give as many as the network has channels."
                )

    def normalised(self, images: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        """What the network sees of pixels in [0, 1].

        Raises:
            InputError: if pictures are of another size or other channels; names both sides.
        """
        size = self.framing.size
        if tuple(images.shape[1:]) != (self.channels, size, size):
            raise InputError(
                f"The network takes pictures of {self.channels} channels and {size}×{size} pixels; got "
                f"{_shape(images)}. Read them so: `channels` {self.channels}, `image_size` {size}."
            )
        if not self.mean:
            return images
        mean, std = (images.new_tensor(values).reshape(1, -1, 1, 1) for values in (self.mean, self.std))
        return (images - mean).div_(std)

    def changed(
        self, size: int | Framing | None, mean: Sequence[float] = (), std: Sequence[float] = ()
    ) -> Preprocessing:
        """The same where the user says nothing else; another size keeps the share that is cropped."""
        framing = self.framing
        if isinstance(size, Framing):
            framing = size
        elif size is not None and size != framing.size:
            scale = None if framing.resize is None else max(size, round(size * framing.resize / framing.size))
            framing = replace(framing, size=size, resize=scale)
        if mean or std:
            return replace(self, framing=framing, mean=tuple(mean), std=tuple(std))
        return replace(self, framing=framing)

    def settings(self) -> dict[str, Any]:
        """As plain values, for records."""
        return {
            **self.framing.settings(),
            "mean": list(self.mean),
            "std": list(self.std),
            "channels": self.channels,
        }


class Normalised(nn.Module):
    """A network behind (image − mean) / std, channel by channel.

    Args:
        model: The network.
        mean: Of images in [0, 1], one number a channel or one for all.
        std: Likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        check_normalisation(mean, std)
        self.model = model
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(list(values)).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Any:
        """What the network says of normalised images."""
        return self.model((images - self.mean) / self.std)


def check_normalisation(mean: Sequence[float], std: Sequence[float]) -> None:
    """Whether these are means and standard deviations.

    Raises:
        InputError: if they are not.
    """
    if (
        not mean
        or len(mean) != len(std)
        or not all(value > 0 for value in std)
        or not all(map(math.isfinite, (*mean, *std)))
    ):
        raise InputError(
            f"Expected as many means as standard deviations, all of these above 0; got mean {tuple(mean)}, std "
            f"{tuple(std)}. Give both, as in `mean` 0.485,0.456,0.406 and `std` 0.229,0.224,0.225."
        )


def framed(
    size: int | Framing, interpolation: Interpolation | None = None, crop: float | int | None = None
) -> Framing:
    """A framing in the words of the field.

    Args:
        size: Pixels a side, or all of it.
        interpolation: Filter of the resizing; None is `Framing`'s own.
        crop: The share of the resized picture's shorter side that is kept, such as 0.875, or its length in pixels.

    Raises:
        InputError: if the two ways are mixed, or a number is out of range.
    """
    if isinstance(size, Framing):
        if interpolation is not None or crop is not None:
            raise InputError(
                "Expected a Framing, or a size with `interpolation` and `crop`; got both. Put them into the Framing."
            )
        return size
    if crop is not None and not (0 < crop <= 1 or (isinstance(crop, int) and crop >= size)):
        raise InputError(
            f"Expected `crop` as a share above 0 and up to 1, or a number of pixels of at least {size}; got {crop}. "
            "Most networks were measured with 0.875 or 0.95."
        )
    resize = None if crop is None else math.floor(size / crop) if crop <= 1 else int(crop)
    given = {} if interpolation is None else {"interpolation": interpolation}
    return Framing(size, resize=resize, **given)  # type: ignore[arg-type]


def _shape(images: Tensor) -> str:
    if images.ndim != 4:
        return f"shape {tuple(images.shape)}"
    return f"{images.shape[1]} channels and {images.shape[2]}×{images.shape[3]} pixels"
