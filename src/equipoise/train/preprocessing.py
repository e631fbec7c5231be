"""How a model's pictures were made, in the words of its config.json, which another program can follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.errors import InputError
from equipoise.pictures.framing import Framing

__all__ = ["framing_of", "known_framing", "preprocessing"]

CROPPED, SQUASHED = "centre square", "none, both sides resized"


COLOURS = {1: "grey", 3: "RGB", 4: "RGBA"}


def preprocessing(
    framing: Framing, channels: int, mean: Sequence[float] = (), std: Sequence[float] = ()
) -> dict[str, Any]:
    """What is done to a picture before the network sees it; `resized` is the shorter side before a crop."""
    return {
        "crop": CROPPED if framing.rule == "crop" else SQUASHED,
        **({} if framing.resize is None else {"resized": framing.resize}),
        "image_size": framing.size,
        "resampling": framing.interpolation,
        "channels": channels,
        "colour": COLOURS[channels],
        "pixels": [0.0, 1.0],
        **({"mean": list(mean), "std": list(std)} if mean else {}),
    }


def framing_of(words: Mapping[str, Any]) -> Framing:
    """The framing that `preprocessing` told.

    Raises:
        InputError: if there is no such framing.
    """
    rule = "squash" if words.get("crop") == SQUASHED else "crop"
    return Framing(words["image_size"], rule, words.get("resized"), words["resampling"])  # type: ignore[arg-type]


def known_framing(words: Any, size: int) -> Framing:
    """The framing that the words of a file tell, or the usual one, which then differs from them."""
    try:
        found = framing_of(words)
    except (InputError, KeyError, TypeError, AttributeError, ValueError):
        return Framing(size)
    whole = isinstance(found.size, int) and isinstance(found.resize, int | None)
    return found if found.size == size and whole else Framing(size)
