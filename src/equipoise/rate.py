"""`Rate`: a number about a group, with its doubt, or the reason why it does not exist."""

from __future__ import annotations

import math
from dataclasses import dataclass

from equipoise.errors import InputError

__all__ = ["Rate"]


@dataclass(frozen=True)
class Rate:
    """A number with its count and interval; undefined is NaN with a reason, never 0.

    Args:
        value: The number; NaN when undefined.
        low: Lower end of the 95 % interval; NaN when there is none.
        high: Upper end of the 95 % interval; NaN when there is none.
        n: Images the number rests on.
        reason: Why the number is undefined; None when it is defined.

    Raises:
        InputError: if a NaN value has no reason, or a defined value has one.

    Example:
        >>> Rate(0.9, 0.85, 0.94, 120)
        0.900 [0.850, 0.940] (n=120)
        >>> Rate.undefined("no positives")
        undefined: no positives (n=0)
    """

    value: float
    low: float
    high: float
    n: int
    reason: str | None = None

    def __post_init__(self) -> None:
        if math.isnan(self.value) != (self.reason is not None):
            raise InputError(
                f"A rate needs a value or the reason why it has none; got value {self.value}, "
                f"reason {self.reason!r}. Use Rate.undefined(reason) for an undefined rate."
            )

    @classmethod
    def undefined(cls, reason: str, n: int = 0) -> Rate:
        """A rate that does not exist, with the reason in words."""
        return cls(math.nan, math.nan, math.nan, n, reason)

    @property
    def defined(self) -> bool:
        """Whether there is a value."""
        return self.reason is None

    @property
    def complement(self) -> Rate:
        """1 − this rate, for example the miss rate of a true positive rate; undefined stays undefined."""
        return Rate(1 - self.value, 1 - self.high, 1 - self.low, self.n, self.reason)

    def __repr__(self) -> str:
        if not self.defined:
            return f"undefined: {self.reason} (n={self.n})"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] (n={self.n})"
