"""`Framing`: how a picture of any size and shape becomes the square that a network takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from PIL import Image

from equipoise.errors import InputError

__all__ = ["Framing", "Interpolation", "Rule"]

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Rule = Literal["crop", "squash"]

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MOST_RESIZED = 1 << 23  # pixels: of a longer picture only the part that is seen is resized


@dataclass(frozen=True)
class Framing:
    """A square from a picture.

    Args:
        size: Pixels a side.
        rule: "crop" keeps proportions and takes the middle; "squash" resizes both sides to `size`.
        resize: Of "crop": None takes the largest centred square and resizes it to `size`; a number, `size` or more,
            resizes the whole picture until its shorter side is that, and takes the centred square of `size`. The
            longer side and the corner are rounded as torchvision's Resize and CenterCrop round them.
        interpolation: Filter of the resizing, antialiased, as `PIL.Image.resize` has it.

    Raises:
        InputError: if a size or a name is not possible.

    Example:
        >>> framing = Framing(224, resize=256, interpolation="bilinear")
        >>> print(framing)
        the shorter side resized to 256 by bilinear, the middle 224 taken
        >>> framing.square(Image.new("RGB", (640, 480))).size
        (224, 224)
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

    def __str__(self) -> str:
        if self.rule == "squash":
            return f"both sides resized to {self.size} by {self.interpolation}"
        if self.resize is None:
            return f"the centred square, resized to {self.size} by {self.interpolation}"
        return (
            f"the shorter side resized to {self.resize} by {self.interpolation}, the middle {self.size} taken"
        )

    @property
    def usual(self) -> bool:
        """Whether it is the centred square by Lanczos, which is taken where nothing is said."""
        return self == Framing(self.size)

    def keeps(self, shape: tuple[int, ...]) -> bool:
        """Whether pixels of this shape (height, width, …) are such a square already."""
        return shape[:2] == (self.size, self.size) and self.resize in (None, self.size)

    def settings(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def square(self, image: Image.Image) -> Image.Image:
        """The square of a picture, in its own mode."""
        by = FILTERS[self.interpolation]
        width, height = image.size
        if self.rule == "squash":
            return image.resize((self.size, self.size), by)
        shorter = min(width, height)
        if self.resize is None:
            if (width, height) == (self.size, self.size):
                return image
            left, top = (width - shorter) // 2, (height - shorter) // 2
            return image.resize((self.size, self.size), by, box=(left, top, left + shorter, top + shorter))
        wide, high = (self.resize * side // shorter for side in (width, height))
        left, top = round((wide - self.size) / 2), round((high - self.size) / 2)
        if wide * high > MOST_RESIZED:
            across, down = width / wide, height / high
            box = left * across, top * down, (left + self.size) * across, (top + self.size) * down
            return image.resize((self.size, self.size), by, box=box)
        return image.resize((wide, high), by).crop((left, top, left + self.size, top + self.size))
