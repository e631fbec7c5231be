"""Wrong pictures, cell by cell: what a record holds of them, and how a page shows them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.rate import Rate
from equipoise.report.parts import words
from equipoise.report.parts.page import Picture, picture

__all__ = ["WrongCell", "WrongPage", "WrongPicture", "WrongPictures", "wrong_page"]


@dataclass(frozen=True)
class WrongPicture:
    """A picture that the model calls wrong."""

    row: int  # of scores.parquet, counted from 0
    path: str | None  # where it is from; None where nobody said
    label: str
    prediction: str
    probability: float  # that the model gives its prediction
    file: str  # the thumbnail, relative to the folder


@dataclass(frozen=True)
class WrongCell:
    """A class × group, a slice or a class, and some of its wrong pictures, the surest predictions first."""

    name: str
    wrong: Rate  # share of its images
    shown: list[WrongPicture]


@dataclass(frozen=True)
class WrongPictures:
    """The worst cells, first the one whose share of wrong images has the highest lower limit."""

    model: str  # what people read for it
    by: str  # what a cell is: "class × place", "slice" or "class"
    cells: list[WrongCell]


@dataclass(frozen=True)
class WrongTile:
    """A thumbnail, what the model said of it, and where it is from."""

    picture: Picture
    label: str
    said: str
    place: str


@dataclass(frozen=True)
class WrongPage:
    """The section of a page: how the pictures were chosen, and cell by cell a title, a sentence and the pictures."""

    lead: str
    cells: Sequence[tuple[str, str, Sequence[WrongTile]]]


def wrong_page(found: WrongPictures | None, folder: str | os.PathLike[str] | None) -> WrongPage | None:
    """The section; None where a record tells of no wrong picture.

    Args:
        found: Of a record.
        folder: Where its pictures are; None if the page is rendered without them.
    """
    if found is None or not found.cells:
        return None
    many = f"The {len(found.cells)} worst cells" if len(found.cells) > 1 else "The worst cell"
    lead = (
        f"{many} ({found.by}) of “{found.model}”: worst by the lower limit of the share that is wrong, so that a cell "
        "of few images does not come first by chance. The pictures are drawn at random, by the run's seed, from all "
        "wrong ones of the cell: they are not its most telling ones. The surest predictions stand first."
    )
    return WrongPage(lead, [_cell(one, folder) for one in found.cells])


def _cell(one: WrongCell, folder: str | os.PathLike[str] | None) -> tuple[str, str, Sequence[WrongTile]]:
    wrong = round(one.wrong.value * one.wrong.n)
    few = "all of them" if wrong == len(one.shown) else f"{len(one.shown)} of them"
    sentence = (
        f"{wrong:,} of {one.wrong.n:,} images are called wrong, {words.percent(one.wrong.value)} "
        f"({words.interval(one.wrong)}); here are {few}."
    )
    return one.name, sentence, [_tile(shown, folder) for shown in one.shown]


def _tile(one: WrongPicture, folder: str | os.PathLike[str] | None) -> WrongTile:
    sure = words.percent(one.probability, 0 if one.probability < 0.995 else 1)
    place = one.path if one.path is not None else f"row {one.row}"
    told = f"label {one.label}, prediction {one.prediction}, {sure}"
    return WrongTile(picture(place, told, one.file, folder), one.label, f"{one.prediction}, {sure}", place)
