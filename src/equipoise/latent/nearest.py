r"""The nearest code that meets linear equations: the one step that all edits of latents are made of.

.. math:: z' = z + A^+ (c - (A z + b))

is, of all points with A z′ + b = c, the one with the smallest ‖z′ − z‖.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from torch import Tensor

from equipoise.codes import Codes, array64, blocks
from equipoise.errors import InputError
from equipoise.latent.codes import blank, check, put, same_place

__all__ = ["nearest"]


def nearest(
    latents: Codes,
    weights: Float64[ndarray, "m k"] | Tensor,
    offsets: Float64[ndarray, " m"] | Tensor,
    targets: Any,
    *,
    names: Sequence[str] | None = None,
    condition: float = 100.0,
    rows: int | None = None,
) -> Codes:
    r"""The nearest z′ of each latent with A z′ + b = c.

    Computed in float64, in blocks, then rounded to the type of the latents: beyond the answer it takes a few MiB
    and the targets, however many rows there are. No gradient flows through it.

    Args:
        latents: Codes z, one a row, of any float type.
        weights: A, one equation a row; the rows may have any length but 0.
        offsets: b, one an equation.
        targets: c, for all latents alike with shape (m,), or for each latent with shape (n, m).
        names: What the equations are about, for error messages.
        condition: Largest condition number of A with rows of length 1. For two rows with cosine ρ it is
            `√((1 + |ρ|)/(1 − |ρ|))`; 100 is an angle of 1.1°. Larger allows edits that move far to gain little.
        rows: Latents a block; None takes blocks of 2 MiB. It does not change the result.

    Returns:
        z′, of the same form, type and device as `latents`.

    Raises:
        InputError: if shapes do not fit, a number is not finite, a row of A is 0, or rows are nearly parallel
            (or, if more than two, nearly dependent): the equations then contradict one another.

    Source: the Moore–Penrose inverse; V. V. Ramaswamy, S. S. Y. Kim, O. Russakovsky, Fair Attribute Classification
    through Latent Space De-biasing, CVPR 2021, equation for z′, is the case m = 2. Differs from it in: any number
    of equations with any targets; for hyperplanes by side the authors' program descends by gradient instead.

    Example:
        >>> nearest(np.array([[3.0, 4.0]]), np.array([[1.0, 0.0]]), np.array([0.0]), [-3.0])
        array([[-3.,  4.]])
    """
    table, offset = np.atleast_2d(array64(weights)), np.atleast_1d(array64(offsets))
    if table.ndim != 2 or offset.shape != (len(table),):
        raise InputError(
            f"Expected weights (equations, dimensions) and as many offsets; got shapes {table.shape} and "
            f"{offset.shape}. Give one row of weights and one offset an equation."
        )
    check(latents, table.shape[1])
    if rows is not None and rows < 1:
        raise InputError(f"A block must have at least 1 row; got {rows}. None takes a size that fits.")
    length = np.linalg.norm(table, axis=1)
    if not (np.isfinite(table).all() and np.isfinite(offset).all() and (length > 0).all()):
        raise InputError(
            "Weights must be finite, no row all 0, and offsets finite; got others. Fit them again."
        )
    wanted = array64(targets)
    if wanted.shape not in ((len(table),), (len(latents), len(table))) or not np.isfinite(wanted).all():
        raise InputError(
            f"Targets must be finite, of shape ({len(table)},) or ({len(latents)}, {len(table)}); "
            f"got shape {wanted.shape}. Give one number an equation, or one a latent and equation."
        )
    units = table / length[:, None]
    _check_directions(units, names or [f"row {i}" for i in range(len(table))], condition)
    places = np.broadcast_to((wanted - offset) / length, (len(latents), len(table)))
    inverse = np.linalg.pinv(units)
    found = blank(latents, *latents.shape)
    for place, block in blocks(latents, rows=rows):
        missing = same_place(places[place], block) - block @ same_place(units.T, block)
        block += missing @ same_place(inverse.T, block)
        put(found, place, block)
    return found


def _check_directions(units: Float64[ndarray, "m k"], names: Sequence[str], limit: float) -> None:
    """Refuse rows that are nearly dependent, and say which: those that add up to nearly nothing."""
    combinations, values, _ = np.linalg.svd(units)
    smallest = float(values[-1]) if len(units) <= units.shape[1] else 0.0
    number = float(values[0]) / max(smallest, np.finfo(float).tiny)
    if number <= limit:
        return
    guilty = [name for name, part in zip(names, np.abs(combinations[:, -1]), strict=True) if part > 0.05]
    raise InputError(
        f"Hyperplanes must point in different directions; those of {', '.join(guilty)} are nearly "
        f"{'parallel' if len(guilty) == 2 else 'dependent'} (condition number {number:.3g}, at most {limit:g}). "
        "To move along one and not the other divides by almost 0: leave one out, or fit them on latents in which "
        "the attributes are less correlated."
    )
