"""`Reading`: how sources are read."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Any

from equipoise.data import ImageTable
from equipoise.data.cache_limit import check_limit
from equipoise.errors import InputError
from equipoise.pictures.framing import Framing
from equipoise.pictures.own_framing import OwnFraming
from equipoise.run.identity import Setting
from equipoise.run.sides import one_side
from equipoise.run.unused import check_unused

__all__ = ["Reading"]


@dataclass(frozen=True)
class Reading:
    """How sources are read, and how data are shared out; see `equipoise.data.read`.

    Args:
        positive_class: Its `positive`.
        split_column: Column that says of each row on which side it is (`official_split`); jobs that hold out a share
            take these sides instead, jobs that only train take the training side, jobs that only measure the test
            side.
        together: Column, for example a subject, whose equal values stay on one side.
        resize: Filter by which pictures are resized: nearest, bilinear, bicubic or lanczos; None is lanczos.
        crop: What is left of the shorter side when the middle is cropped, a share as 0.875; or the pixels that it is
            resized to before. None takes the largest centred square.
        squash: Resize both sides to `image_size` and crop nothing.
        cache_limit: Its `cache_limit`.
        slices: Table of slices that were found, joined by path as the column `slice` (`run.slice_column`).
        transform: The user's own transform in place of all that; it belongs to a model (`Network`).

    Raises:
        InputError: if pictures cannot be made square so.
    """

    format: str | None = None
    image_size: int = 64
    channels: int = 3
    label_column: str | None = None
    positive_class: str | None = None
    path_column: str | None = None
    channel_order: str | None = None
    max_rejected: float = 0.01
    allow_outside: bool = False
    cache: str | os.PathLike[str] | None = None
    workers: int | None = None
    split_column: str | None = None
    together: str | None = None
    resize: str | None = None
    crop: float | None = None
    squash: bool | None = None
    cache_limit: str | float | None = None
    transform: OwnFraming | None = None
    slices: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        _ = self.framing  # what cannot be is refused before anything is read
        check_limit(self.cache_limit)

    @property
    def framing(self) -> Framing:
        """How pictures become squares."""
        if self.transform is not None:
            return self.transform
        if self.squash and self.crop is not None:
            raise InputError(
                f"Nothing is cropped with `squash`; got `crop` {self.crop}. Leave one of the two out."
            )
        if self.crop is not None and not (
            0 < self.crop <= 1 or (self.crop >= self.image_size and float(self.crop).is_integer())
        ):
            raise InputError(
                f"`crop` must be a share in (0, 1], or the pixels that the shorter side is resized to before, "
                f"`image_size` ({self.image_size}) or more; got {self.crop}. At 224 pixels 0.875 is usual, or 256."
            )
        sides = None
        if self.crop is not None:
            sides = math.floor(self.image_size / self.crop) if self.crop <= 1 else int(self.crop)
        by: Any = self.resize or "lanczos"
        return Framing(self.image_size, "squash" if self.squash else "crop", sides, by)

    @property
    def framed(self) -> bool:
        """Whether pictures shall become squares in another way than usual."""
        return not self.framing.usual

    def for_model(self, framing: Framing, channels: int) -> Reading:
        """How pictures are read for a model that takes them framed so: its size and channels are taken.

        Raises:
            InputError: if another way than the model's was asked for.
        """
        if isinstance(framing, OwnFraming):
            return replace(self, image_size=framing.size, channels=channels, transform=framing)
        asked = replace(self, image_size=framing.size).framing
        if not asked.usual and asked != framing:
            raise InputError(
                f"Expected pictures as the model takes them, {framing}; got {asked}. Leave `resize`, `crop` and "
                "`squash` out."
            )
        return replace(
            self,
            image_size=framing.size,
            channels=channels,
            resize=None if framing.interpolation == "lanczos" else framing.interpolation,
            crop=framing.resize,
            squash=framing.rule == "squash" or None,
        )

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        cache = None if self.cache is None else os.fspath(self.cache)
        slices = None if self.slices is None else os.fspath(self.slices)
        values: dict[str, Setting] = {**vars(self), "cache": cache, "slices": slices}
        values.pop("transform")  # the model's settings say it
        for name in ("allow_outside", "squash"):
            values[name] = values[name] or None  # not named where it is as it was before it was named
        return values

    def side(self, table: ImageTable, side: str) -> ImageTable:
        """The "train", "validation" or "test" rows by the split column, or all rows where none is named.

        Raises:
            InputError: if there is no such column, it is no split, or it tears apart what shall stay together.
        """
        return one_side(table, side, split_column=self.split_column, together=self.together)

    def check_unsplit(self, job: str) -> None:
        """Make sure that a job that takes all images given was not asked for some of them.

        Raises:
            InputError: if it was.
        """
        check_unused(job, self, "split_column", "together", why="takes all images given")
