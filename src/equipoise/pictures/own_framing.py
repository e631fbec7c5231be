"""`OwnFraming`: the user's own transform in place of a framing: what it gives is what the network sees.

A table holds pixels of eight bits. A transform that ends in numbers of its own, such as (pixels − mean) / std, is asked
what it makes of black and white: so its numbers are told apart from the pixels behind them, and are exactly these again
once mean and standard deviation are applied. One whose numbers are not those of pixels of eight bits is refused.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from equipoise.errors import InputError
from equipoise.pictures.framing import Framing

__all__ = ["OwnFraming"]

TRIED = (64, 48), (48, 64), (301, 200)  # pixels of made-up pictures
CALLS = 8  # with the same picture: a transform that flips half of them is found out
EIGHT_BITS = 0.02  # of a grey level, that what is behind a number may be off a whole one

Transform = Callable[[Image.Image], Any]


class _Scale(NamedTuple):
    """From numbers to pixels in [0, 1]: number · std + mean, channel by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class OwnFraming(Framing):
    """A transform with all that was found out about it. Made by `of`.

    Args:
        size: Pixels a side of what it gives.
        name: What the user calls it.
        digest: Of its source and of what it makes of made-up pictures.
        mean: With `std`: what it gives are (pixels in [0, 1] − mean) / std, one number a channel; none if it gives a
            picture, or pixels in [0, 1].
        numbers: Whether it gives numbers, to which nothing must be added; not a picture or uint8.
        channels: 1 or 3.
        transform: The function itself.
    """

    name: str = ""
    digest: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    numbers: bool = False
    channels: int = 3
    transform: Transform | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, transform: Transform, name: str | None = None) -> OwnFraming:
        """Find out what a transform does.

        Args:
            transform: A picture of Pillow's (RGB, upright) → a picture, or an array or tensor (channels, height,
                width): uint8 is pixels, of which the network sees [0, 1]; floats are what it sees.
            name: package.module:name; None takes the function's own.

        Raises:
            InputError: if it fails, gives something else, squares of several sizes or no squares, something else each
                time, or numbers that are not those of pixels of eight bits; or if its source cannot be found.
        """
        if not callable(transform):
            raise InputError(
                f"`transform` must be a function of a picture; got {type(transform).__name__}. Name a function, or an "
                "object that can be called."
            )
        named = (
            name or f"{transform.__module__}:{getattr(transform, '__qualname__', type(transform).__name__)}"
        )
        chance = np.random.default_rng(0)
        pictures = [_photograph(chance, *sides) for sides in TRIED]
        made = [_array(_called(transform, one, named), named) for one in pictures]
        for _ in range(CALLS):
            again = _array(_called(transform, pictures[0], named), named)
            if again.shape != made[0].shape or not np.array_equal(again, made[0]):
                raise InputError(
                    f"Expected the transform {named} to give the same of the same picture; got something else the next "
                    "time. Take what is left to chance out of it: it is for training."
                )
        shapes = {one.shape for one in made}
        channels, height, width = made[0].shape
        if len(shapes) > 1 or height != width or channels not in (1, 3):
            raise InputError(
                f"Expected the transform {named} to give 1 or 3 channels of one square size of every picture; got "
                f"{', '.join(map(str, sorted(shapes)))}. Let it crop or pad to a square."
            )
        numbers = made[0].dtype != np.uint8
        scale = _scale(transform, named) if numbers else _Scale((), ())
        source = _source(transform, named, name)
        content = [named.encode(), source.encode(), *(np.ascontiguousarray(one).tobytes() for one in made)]
        digest = hashlib.blake2b(b"\0".join(content), digest_size=16).hexdigest()
        found = cls(
            height, name=named, digest=digest, mean=scale.mean, std=scale.std, numbers=numbers, channels=channels,
            transform=transform,
        )  # fmt: skip
        for one in made:
            found.pixels_of(one)
        return found

    def __str__(self) -> str:
        return f"own transform {self.name}, {self.size} pixels"

    @property
    def usual(self) -> bool:
        """Never."""
        return False

    def keeps(self, shape: tuple[int, ...]) -> bool:
        """Never: what it does to pictures of its own size is its own affair."""
        return False

    def settings(self) -> dict[str, Any]:
        """As plain values."""
        return {"size": self.size, "transform": self.name, "transform_digest": self.digest}

    def square(self, image: Image.Image) -> Image.Image:
        """What it makes of a picture, as pixels of eight bits.

        Raises:
            InputError: if that is something else than it made of others.
        """
        if self.transform is None:
            raise InputError(
                f"Expected the transform {self.name} itself; got its name alone. Make it by `of`."
            )
        made = _array(_called(self.transform, image.convert("RGB"), self.name), self.name)
        if made.shape != (self.channels, self.size, self.size) or (made.dtype != np.uint8) != self.numbers:
            raise InputError(
                f"the transform {self.name} gave {made.dtype} of shape {made.shape}, and of other pictures "
                f"{'numbers' if self.numbers else 'uint8'} of {(self.channels, self.size, self.size)}"
            )
        pixels = self.pixels_of(made)
        return Image.fromarray(pixels[..., 0] if self.channels == 1 else pixels)

    def pixels_of(self, made: NDArray[Any]) -> NDArray[np.uint8]:
        """The pixels (height, width, channels) behind what it made (channels, height, width).

        Raises:
            InputError: if they are not of eight bits.
        """
        if not self.numbers:
            return np.ascontiguousarray(made.transpose(1, 2, 0))
        mean, std = (
            np.array(values or (rest,)).reshape(-1, 1, 1)
            for values, rest in ((self.mean, 0.0), (self.std, 1.0))
        )
        grey = (made.astype(np.float64) * std + mean) * 255
        whole = np.rint(grey)
        if (
            not np.isfinite(grey).all()
            or np.abs(grey - whole).max() > EIGHT_BITS
            or whole.min() < 0
            or whole.max() > 255
        ):
            raise InputError(
                f"Expected numbers of the transform {self.name} that are pixels of eight bits, scaled and shifted by "
                "channel; got others. Let it resize and crop the picture, and turn it into numbers at the end; what "
                "depends on the whole picture, such as its own mean, belongs into the network."
            )
        return np.ascontiguousarray(whole.transpose(1, 2, 0)).astype(np.uint8)


def _photograph(chance: np.random.Generator, width: int, height: int) -> Image.Image:
    coarse = chance.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def _called(transform: Transform, image: Image.Image, name: str) -> Any:
    try:
        return transform(image.copy())
    except MemoryError:
        raise
    except Exception as error:  # somebody else's code
        told = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"Expected the transform {name} to take a picture of Pillow's; got {type(error).__name__}: {told:.300}. "
            "Name a function of one picture."
        ) from error


def _array(made: Any, name: str) -> NDArray[Any]:
    """As (channels, height, width) of uint8 or single precision."""
    if isinstance(made, Image.Image):
        grey = made.mode in ("1", "L", "I", "F", "I;16", "LA")
        found = np.asarray(made.convert("L" if grey else "RGB"))
        return found[None] if grey else found.transpose(2, 0, 1)
    values = made.detach().cpu().numpy() if hasattr(made, "detach") else made
    if (
        not isinstance(values, np.ndarray)
        or values.ndim != 3
        or values.dtype.kind not in "fu"
        or (values.dtype.kind == "u" and values.dtype != np.uint8)
    ):
        got = (
            f"{values.dtype} of shape {values.shape}"
            if isinstance(values, np.ndarray)
            else type(made).__name__
        )
        raise InputError(
            f"Expected the transform {name} to give a picture of Pillow's, or an array or tensor (channels, height, "
            f"width) of uint8 or floats; got {got}. Let it give one of these."
        )
    return values if values.dtype == np.uint8 else values.astype(np.float32)


def _scale(transform: Transform, name: str) -> _Scale:
    """From what it makes of black and of white: what it puts around them lies between."""
    ends = [
        _array(_called(transform, Image.new("RGB", TRIED[0], (shade,) * 3), name), name).astype(np.float64)
        for shade in (0, 255)
    ]
    black, white = ends[0].min(axis=(1, 2)), ends[1].max(axis=(1, 2))
    if not np.isfinite([black, white]).all() or not (white > black).all():
        raise InputError(
            f"Expected the transform {name} to give larger numbers of white than of black in every channel; got "
            f"{white.tolist()} and {black.tolist()}. Negatives of pictures cannot be told here."
        )
    if np.abs(black).max() < 1e-6 and np.abs(white - 1).max() < 1e-6:
        return _Scale((), ())
    std = 1 / (white - black)
    return _Scale(*(tuple(round(float(v), 7) for v in values) for values in (-black * std, std)))


def _source(transform: Transform, named: str, name: str | None) -> str:
    """The text of the module that it is from.

    Raises:
        InputError: if it cannot be found: then nothing would tell a changed transform from itself.
    """
    module = sys.modules.get((name or named).partition(":")[0]) or inspect.getmodule(transform)
    try:
        if module is not None and getattr(module, "__file__", None):
            return inspect.getsource(module)
        return inspect.getsource(transform)
    except (OSError, TypeError) as error:
        raise InputError(
            f"Expected the source of the transform {named}, which tells it from others; got: {error}. Put it into a "
            "module, a file NAME.py, and import it from there."
        ) from error
