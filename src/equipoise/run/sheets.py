"""Contact sheets of many pictures, as good as a page has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from equipoise.data import ImageTable, contact_sheet, thumbnails
from equipoise.files import write_bytes

__all__ = ["SIDE", "sheets_within", "small_pictures", "write_sheets"]

SIDE = 96  # pixels of a thumbnail, at most
AT_ONCE = 5  # pictures read together: the largest of a source may take much memory
STEPS: tuple[tuple[int, int | None], ...] = ((SIDE, None), (SIDE, 80), (80, 75), (64, 75), (48, 70), (32, 60))
"""Pixels a side and quality of a JPEG (None: PNG) to be tried in turn until there is room; the last is taken anyway."""


def small_pictures(
    table: ImageTable, rows: Mapping[str, Sequence[int]]
) -> dict[str, UInt8[ndarray, "n height width channels"]]:
    """Thumbnails of some rows under each name, each read once, a few at a time; a name without rows is left out."""
    every = sorted({row for chosen in rows.values() for row in chosen})
    places = [np.asarray(every[start : start + AT_ONCE]) for start in range(0, len(every), AT_ONCE)]
    small = [one for some in table.batches(places) for one in thumbnails(some, SIDE)]
    shown = dict(zip(every, small, strict=True))
    return {name: np.stack([shown[row] for row in chosen]) for name, chosen in rows.items() if chosen}


def sheets_within(
    room: int, drawn: Mapping[str, UInt8[ndarray, "n height width channels"]], columns: Mapping[str, int]
) -> tuple[dict[str, bytes], str]:
    """The sheets and how their files end.

    Args:
        room: Bytes of all of them together; a page holds them in a third more.
        drawn: Name → its pictures.
        columns: Name → pictures in a row.
    """
    sheets: dict[str, bytes] = {}
    for side, quality in STEPS:
        small = {name: thumbnails(images, side) for name, images in drawn.items()}
        if quality is None and sum(images.size for images in small.values()) > 4 * room:
            continue  # photographs as PNG are about as large as their pixels; drawn faces a quarter of that
        sheets = {
            name: contact_sheet(images, columns=columns[name], quality=quality)
            for name, images in small.items()
        }
        if sum(map(len, sheets.values())) <= room:
            break
    return sheets, "png" if quality is None else "jpg"


def write_sheets(folder: Path, sheets: Mapping[str, bytes], ending: str) -> dict[str, str]:
    """Write them into folder/pictures, in place of those of an earlier run: name → file, relative to `folder`."""
    for name, sheet in sheets.items():
        for other in {"png", "jpg"} - {ending}:
            (folder / "pictures" / f"{name}.{other}").unlink(missing_ok=True)
        write_bytes(folder / "pictures" / f"{name}.{ending}", sheet)
    return {name: f"pictures/{name}.{ending}" for name in sheets}
