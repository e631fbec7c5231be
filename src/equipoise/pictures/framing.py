"""`Framing`: how a picture of any size and shape becomes the square that a network takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from equipoise.errors import InputError

__all__ = ["Framing", "Interpolation", "Rule"]

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Rule = Literal["crop", "squash"]


@dataclass(frozen=True)
class Framing:
    """A square from a picture.

    Args:
        size: Pixels a side.
        rule: "crop" resizes the shorter side and takes the centred square; "squash" resizes both sides to `size`.
        resize: Of "crop", what the shorter side is resized to before the crop, `size` or more; None is `size`.
        interpolation: Filter of the resizing, antialiased as Pillow's.

    Raises:
        InputError: if a size or a name is not possible.
    """

    size: int = 64
    rule: Rule = "crop"
    resize: int | None = None
    interpolation: Interpolation = "lanczos"

    def __post_init__(self) -> None:
        if self.size < 1 or (self.resize is not None and self.resize < self.size):
            raise InputError(
                f"A framing needs a size of 1 or more, and resizes to no less; got size {self.size}, resize "
                f"{self.resize}. The usual ones are 224 and 256."
            )
        for name, value, known in (
            ("rule", self.rule, get_args(Rule)),
            ("interpolation", self.interpolation, get_args(Interpolation)),
        ):
            if value not in known:
                raise InputError(
                    f"{name} must be one of {', '.join(known)}; got {value!r}. Choose one of these."
                )
        if self.rule == "squash" and self.resize is not None:
            raise InputError(
                f"Nothing is cropped with rule 'squash'; got resize {self.resize}. Leave it out."
            )

    def settings(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)
