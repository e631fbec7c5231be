"""The pictures behind a table in their own shapes, decoded one after another: what squares leave out is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data.pixels import pixels_of
from equipoise.data.read import source_at
from equipoise.data.source import Source, printable
from equipoise.errors import DataError
from equipoise.pictures.decode import encoded, whole
from equipoise.pictures.framing import Framing
from equipoise.pictures.unreadable import Note, Unreadable

__all__ = ["WholePictures", "whole_pictures"]


@dataclass(frozen=True, eq=False)
class WholePictures:
    """Pictures of a source in their own shapes; build it with `whole_pictures`.

    Args:
        source: Where they are.
        kept: Rows of the source that a table of it has, in its order, shape (k,).
        channels: 3 for RGB, 1 for grey.
        least: Larger pictures are shrunk to no less than this: see `pictures.decode.whole`.
    """

    source: Source
    kept: NDArray[np.int64]
    channels: int
    least: int

    def decoded(self, rows: NDArray[np.int64], note: Note) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Some rows of the table with their pictures (height, width, channels), in the order of the source.

        Raises:
            DataError: if a picture that was read before cannot be read now.
        """
        wanted = {int(self.kept[row]): int(row) for row in rows}
        for place, content in enumerate(self.source.contents()):
            if place not in wanted:
                continue
            try:
                yield (
                    wanted[place],
                    whole(encoded(content), channels=self.channels, least=self.least, note=note),
                )
            except Unreadable as reason:
                raise DataError(
                    f"Expected to decode {printable(self.source.paths[place])} in its own shape; got: {reason}. It "
                    "could be read as a small square: shrink it, or leave it out."
                ) from reason


# Each keyword is one of `read`, of which this is the part without pixels kept.
def whole_pictures(
    path: str | os.PathLike[str],
    *,
    framing: Framing,
    channels: int,
    least: int,
    format: str | None = None,
    allow_outside: bool = False,
    cache: str | os.PathLike[str] | None = None,
    cache_limit: str | float | None = None,
    workers: int | None = None,
    **options: Any,
) -> WholePictures:
    """The pictures that `read` with the same arguments makes a table of, in their own shapes.

    Args:
        path: As in `read`, and so are all others but these.
        least: A picture whose shorter side has twice as many pixels, or more, is shrunk to no less than this.
        options: `path_column`, `channel_order`.

    Raises:
        InputError: if an option does not fit.
        DataError: as `read`.
    """
    source = source_at(Path(os.path.abspath(path)), format, allow_outside, **options)
    how: dict[str, Any] = {"cache": cache, "cache_limit": cache_limit, "workers": workers}
    pixels = pixels_of(source, framing=framing, channels=channels, **how)
    return WholePictures(source, pixels.kept, channels, least)
