"""What was given as an array: NumPy's, torch's, or lists."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError

__all__ = ["array_of"]


def array_of(values: Any, what: str) -> NDArray[Any]:
    """An array; a memory map stays on the disk.

    Raises:
        InputError: if it is none, such as lists of different lengths.
    """
    try:
        return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{what} must be an array of numbers; got {type(values).__name__}: {error}."
        ) from error
