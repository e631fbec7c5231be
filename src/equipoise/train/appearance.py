r"""How rare a picture looks, before any model is trained: its structure and its light.

A VAE of photographs spends its codes on light, background and pose, and finds the rarest people near its
centre. What separates them better are two plain views of the picture's middle, `structure` and `light` of
`equipoise.pictures.appearance`.

Each is scored by the distance to a near neighbour among the training pictures; the ranks of both, as normal
scores, are added, and the rank of the sum is the rarity. A rank is bounded: a single strange picture is not drawn
for ever. No labels and no training go in.

Source: our own; chosen while looking at how often each race of FairFace's training file would be drawn, so
its figures on FairFace are optimistic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from equipoise.density.agreement import ranks
from equipoise.density.chunks import joined
from equipoise.density.neighbours import NeighbourDensity
from equipoise.errors import InputError
from equipoise.pictures.appearance import light, structure

__all__ = ["FEWEST", "Pictures", "appearance_rarity"]

FEWEST = 60
"""Pictures, without which none can be called rare."""

Pictures = Callable[[], Iterable[NDArray[np.uint8]]]
"""A function that returns an iterator over uint8 images (m, height, width, channels), the same at every call."""


def appearance_rarity(pictures: Pictures, *, reference: int = 2048) -> Float64[Tensor, " n"]:
    """How rare each picture looks: its rank among the training pictures, in (0, 1), higher = rarer.

    Args:
        pictures: The training pictures, in chunks; read three times, never held as a whole.
        reference: Pictures that each is compared with; the cost of a picture grows with it.

    Raises:
        InputError: if there are fewer than `FEWEST` pictures.
    """

    def views(view: Callable[[Tensor], Tensor]) -> Callable[[], Iterable[Tensor]]:
        return lambda: (view(torch.from_numpy(part)) for part in pictures())

    lights = joined(views(light)()).double()
    if len(lights) < FEWEST:
        raise InputError(
            f"Rarity by appearance needs at least {FEWEST} images of a class; got {len(lights)}. "
            "Add images, or train uniformly."
        )
    lights = (lights - lights.mean(0)) / lights.std(0).clamp_min(1e-6)
    kept = min(reference, len(lights)) / len(lights)  # a sample has its neighbours further away
    common = [
        NeighbourDensity(max(1, round(20 * kept)), reference=reference, components=20)
        .fit(views(structure))
        .log_prob(views(structure), leave_one_out=True),
        NeighbourDensity(max(1, round(50 * kept)), reference=reference)
        .fit(lights)
        .log_prob(lights, leave_one_out=True),
    ]
    structures, lightings = (torch.special.ndtri(ranks(-log_prob)) for log_prob in common)
    return ranks(structures + lightings)
