"""Agreement of several rarities: what each of them calls rare is rare."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from numpy.typing import ArrayLike
from torch import Tensor

from equipoise.errors import InputError

__all__ = ["agreement", "ranks"]


def ranks(values: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """(rank − ½)/n of each value, in (0, 1), higher = larger; ties share the mean of their ranks."""
    _, inverse, counts = values.unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    middle: Tensor = (counts.cumsum(0) - counts / 2).double() / len(values)
    return middle[inverse]


def agreement(*rarities: ArrayLike | Tensor) -> Float64[Tensor, " n"]:
    """Mean rank of each row over several rarities, such as those of several seeds, models or views.

    Ranks have no unit, so a density of 2 dimensions and one of 200 count alike, and one outlier decides nothing.
    What only one of them finds is halfway down; with many of them, chance averages out.

    Args:
        rarities: Each one value a row, higher = rarer, for example −log-density; the same rows in the same order.

    Returns:
        In (0, 1), higher = rarer by more of them. A log weight for `resample.temper`.

    Raises:
        InputError: if there are none, lengths differ, or a value is not finite.

    Example:
        >>> (6 * agreement([1.0, 2.0, 3.0], [0.0, 50.0, 20.0])).tolist()
        [1.0, 4.0, 4.0]
    """
    found = [torch.as_tensor(one).detach().cpu().to(torch.float64) for one in rarities]
    shapes = [tuple(one.shape) for one in found]
    if not found or len(set(shapes)) > 1 or len(shapes[0]) != 1 or not shapes[0][0]:
        raise InputError(
            f"Expected rarities of the same rows, each one value a row; got shapes {shapes}. "
            "Score the same rows in the same order."
        )
    for number, one in enumerate(found):
        if not bool(one.isfinite().all()):
            row = int((~one.isfinite()).nonzero()[0])
            raise InputError(
                f"Rarities must be finite; got {float(one[row])} in row {row} of number {number}. "
                "Look at the rows they come from."
            )
    return torch.stack([ranks(one) for one in found]).mean(0)
