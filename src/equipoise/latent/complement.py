r"""Latents moved to the other side of protected hyperplanes while others keep their distance.

Every function here is `nearest` with other targets, so each result is the nearest latent for which its
equations hold. With h_t kept and h_g negated, and ρ = w_gᵀw_t, that is the published closed form

.. math:: z' = z - \frac{2 (w_g^\top z + b_g)}{1 - \rho^2} (w_g - \rho\, w_t)

Source: V. V. Ramaswamy, S. S. Y. Kim, O. Russakovsky, Fair Attribute Classification through Latent Space De-biasing,
CVPR 2021. Differs from it in: any number of hyperplanes, protected or kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from torch import Tensor

from equipoise.codes import Codes
from equipoise.errors import InputError
from equipoise.latent.codes import blank, check, distances64
from equipoise.latent.hyperplane import Hyperplane
from equipoise.latent.nearest import nearest

__all__ = ["all_sides", "complement", "complement_by_side", "mirror", "onto"]

Planes: TypeAlias = Hyperplane | Sequence[Hyperplane]


def complement(latents: Codes, protected: Planes, *, keep: Planes) -> Codes:
    """z′ with h_g(z′) = −h_g(z) for each protected hyperplane and h(z′) = h(z) for each one kept.

    Applied twice it gives the latents back. Several protected hyperplanes are crossed at once; to cross one of
    several, keep the others.

    Raises:
        InputError: if hyperplanes are nearly parallel, or do not fit the latents.
    """
    return _scaled(latents, protected, keep, -1.0)


def onto(latents: Codes, protected: Planes, *, keep: Planes) -> Codes:
    """z′ on the protected hyperplanes, h_g(z′) = 0: on neither side, with h(z′) = h(z) for each one kept.

    Half of the way to the complement. Raises as `complement`.
    """
    return _scaled(latents, protected, keep, 0.0)


def mirror(latents: Codes, protected: Planes) -> Codes:
    """z′ with h_g(z′) = −h_g(z) and nothing kept: z − 2 h_g(z) w_g for one protected hyperplane.

    The target's score moves along with it by −2 h_g(z) w_gᵀw_t. Raises as `complement`.
    """
    return _scaled(latents, protected, (), -1.0)


def all_sides(latents: Codes, protected: Sequence[Hyperplane], *, keep: Planes) -> Codes:
    """Each latent on each combination of sides of p protected hyperplanes, shape (2^p, rows, dimensions).

    First the latents themselves, last all hyperplanes crossed. Crossing all at once leaves attributes as
    correlated with one another as they were; all combinations together make them uncorrelated too. Raises as
    `complement`.
    """
    planes, kept = _listed(protected), _listed(keep)
    if not planes:
        raise InputError("Expected at least one protected hyperplane; got none. Pass one an attribute.")
    crossings = list(product((False, True), repeat=len(planes)))
    check(latents)
    found = blank(latents, len(crossings), *latents.shape)
    for i, crossing in enumerate(crossings):
        crossed = [plane for plane, cross in zip(planes, crossing, strict=True) if cross]
        stay = [plane for plane, cross in zip(planes, crossing, strict=True) if not cross]
        found[i] = _scaled(latents, crossed, kept + stay, -1.0) if crossed else latents
    return found


def complement_by_side(
    latents: Codes, protected: Hyperplane, *, keep: tuple[Hyperplane, Hyperplane]
) -> Codes:
    """The complement where the target looks different on the two sides of the protected hyperplane.

    Kept is the target's distance as read on the side where a latent stands: with s the side of z and s′ the
    other, on which z′ stands, h_t of s′ at z′ equals h_t of s at z. Neither of the two hyperplanes alone keeps
    its value. Applied twice it gives the distances back, though in general not the latents.

    Args:
        latents: Codes, one a row.
        protected: h_g; a latent stands on side 1 where h_g ≥ 0, else on side 0.
        keep: h_t fitted to the latents of side 0, and to those of side 1.

    Raises:
        InputError: as `complement`.

    Source: as this file, section on extensions, and the authors' program, which takes the same equations.
    Differs from it in: the side is that of h_g and not of a score of the image, and z′ is exactly the nearest.
    """
    planes = _listed(keep)
    if len(planes) != 2:
        raise InputError(
            f"Expected two hyperplanes to keep, of side 0 and of side 1; got {len(planes)}. "
            "Fit the target on each side."
        )
    weights, offsets = _equations([protected, planes[0], planes[1]])
    distances = distances64(latents, weights, offsets)
    found = blank(latents, *latents.shape)
    for own, other in ((0, 1), (1, 0)):
        rows = np.flatnonzero((distances[:, 0] >= 0) == bool(own))
        place = torch.from_numpy(rows).to(latents.device) if isinstance(latents, Tensor) else rows
        targets = np.stack([-distances[rows, 0], distances[rows, 1 + own]], axis=1)
        used = [0, 1 + other]
        names = [protected.name, planes[other].name]
        found[place] = nearest(latents[place], weights[used], offsets[used], targets, names=names)
    return found


def _scaled(latents: Codes, protected: Planes, keep: Planes, factor: float) -> Codes:
    """The nearest z′ at which the protected distances are `factor` times what they were, and the kept the same."""
    crossed, kept = _listed(protected), _listed(keep)
    weights, offsets = _equations(crossed + kept)
    targets = distances64(latents, weights, offsets)
    targets[:, : len(crossed)] *= factor
    return nearest(latents, weights, offsets, targets, names=[plane.name for plane in crossed + kept])


def _equations(planes: Sequence[Hyperplane]) -> tuple[Float64[ndarray, "m k"], Float64[ndarray, " m"]]:
    widths = {len(plane.weight) for plane in planes}
    if len(widths) != 1:
        raise InputError(
            f"All hyperplanes must have the same number of dimensions, and there must be one; got {sorted(widths)}. "
            "Fit them on latents of one generator."
        )
    return np.stack([plane.weight for plane in planes]), np.array([plane.bias for plane in planes])


def _listed(planes: Planes) -> list[Hyperplane]:
    return [planes] if isinstance(planes, Hyperplane) else list(planes)
