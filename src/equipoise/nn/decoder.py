"""The labs' decoder: a dense layer and transposed convolutions, the standard CNN backwards."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.errors import InputError
from equipoise.nn.same import SameConvTranspose2d
from equipoise.nn.standard_cnn import checked_grid, filters_and_kernels, glorot_linear

__all__ = ["Decoder", "Output"]

Output = Literal["relu", "linear", "sigmoid"]


class Decoder(nn.Module):
    """Latent codes to images.

    Dense, ReLU, reshape to the standard CNN's deepest feature map, then transposed convolutions ('same',
    stride 2) with ReLU back to the image.

    Args:
        latent: Size k of a code.
        width: Filters of the last hidden stage.
        depth: Stages.
        image_size: Height and width in pixels, a multiple of 2^depth.
        channels: 3 for colour, 1 for grey.
        output: What follows the last layer. The labs have a ReLU there, under which a pixel whose value is
            negative gets no gradient; "linear" and "sigmoid" are ours.
        generator: Drives the starting weights; None takes torch's own.

    Raises:
        InputError: if a size is not positive, `image_size` is not a multiple of 2^depth, or `output` is
            unknown.

    Source: MIT 6.S191 lab 2. Differs from it in: `output`, where asked for.
    """

    def __init__(
        self,
        latent: int,
        *,
        width: int = 12,
        depth: int = 4,
        image_size: int = 64,
        channels: int = 3,
        output: Output = "relu",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        grid = checked_grid(width=width, depth=depth, image_size=image_size, channels=channels)
        if latent < 1:
            raise InputError(f"latent must be 1 or larger; got {latent}. Choose a larger latent.")
        if output not in get_args(Output):
            raise InputError(
                f"output must be one of {', '.join(get_args(Output))}; got {output!r}. Choose one of these."
            )
        plan = filters_and_kernels(width, depth)
        self.grid, self.filters = grid, plan[-1][0]
        self.dense = glorot_linear(latent, grid * grid * self.filters, generator)
        stages: list[nn.Module] = []
        for i in reversed(range(depth)):
            outputs = plan[i - 1][0] if i else channels
            stages.append(SameConvTranspose2d(plan[i][0], outputs, plan[i][1], generator=generator))
            stages.append(nn.ReLU(inplace=True) if i or output == "relu" else nn.Identity())
        if output == "sigmoid":
            stages[-1] = nn.Sigmoid()
        self.stages = nn.Sequential(*stages)

    def forward(self, codes: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch channels height width"]:
        """Images; pixels in [0, 1] are what it is trained on, only "sigmoid" keeps to them."""
        maps = torch.relu(self.dense(codes)).reshape(-1, self.grid, self.grid, self.filters)
        images: Tensor = self.stages(maps.permute(0, 3, 1, 2))
        return images
