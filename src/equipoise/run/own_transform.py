"""The transform of pictures that the user brought with a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PIL import Image

from equipoise.errors import InputError
from equipoise.nn.named_object import is_named, named_object
from equipoise.nn.preprocessing import Preprocessing
from equipoise.pictures.own_framing import OwnFraming
from equipoise.run.reading import Reading

__all__ = ["own_framing", "transformed"]


def own_framing(transform: str | Callable[[Image.Image], Any], asked: Reading) -> OwnFraming:
    """Load what the user named, and find out what it does.

    Args:
        transform: "package.module:callable", or the function.
        asked: How pictures shall be read apart from it: nothing that the transform decides.

    Raises:
        InputError: if it is none, does not do as `OwnFraming.of` says, or something else was asked for beside it.
        MissingExtraError: if there is no such module.
    """
    given = [f"`{name}`" for name in ("resize", "crop", "squash") if getattr(asked, name)]
    if given:
        raise InputError(
            f"Expected `transform`, which makes squares itself, or {', '.join(given)}; got both. Leave one of them out."
        )
    if isinstance(transform, str):
        if not is_named(transform):
            raise InputError(
                f"Expected `transform` package.module:callable, a function of a picture; got {transform!r}. Write for "
                "example mypackage.models:transform."
            )
        found = OwnFraming.of(named_object(transform), transform)
    else:
        found = OwnFraming.of(transform)
    if asked.image_size not in (Reading().image_size, found.size):
        raise InputError(
            f"Expected `image_size` {found.size}, which the transform {found.name} gives; got {asked.image_size}. "
            "Leave it out."
        )
    return found


def transformed(
    framing: OwnFraming, known: Preprocessing | None, normalised: bool, title: str
) -> Preprocessing:
    """How pictures come for a network behind the user's own transform: nothing is added to numbers that this gives.

    Args:
        framing: The transform.
        known: What the network's own configuration says, if it says something.
        normalised: Whether pictures are normalised by the user's flags, or inside the network.
        title: Of the network, for messages.

    Raises:
        InputError: if numbers would be normalised twice, or channels differ.
    """
    if framing.numbers and normalised:
        raise InputError(
            f"Expected pixels of the transform {framing.name}, a picture or uint8, which {title} or `mean` and `std` "
            "then normalise; got numbers, which would be normalised twice. Leave one of the two out."
        )
    if known is None:
        return Preprocessing(framing, framing.mean, framing.std, framing.channels)
    if framing.channels != known.channels:
        raise InputError(
            f"{title} takes pictures of {known.channels} channels; the transform {framing.name} gives "
            f"{framing.channels}. Let it give as many."
        )
    if framing.numbers:
        return replace(known, framing=framing, mean=framing.mean, std=framing.std)
    return replace(known, framing=framing)
