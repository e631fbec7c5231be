"""Paths that a table or a link names: below the folder that was given, unless the user lets them lead elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from equipoise.errors import DataError

__all__ = ["check_below", "is_below", "leads_out"]


def is_below(place: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Whether a file or folder lies in a folder once all links and `..` are followed; it need not exist."""
    root = os.path.realpath(folder)
    return _inside(os.path.realpath(place), root)


def check_below(pictures: Iterable[str | os.PathLike[str]], folder: Path) -> None:
    """Make sure that all pictures lie below a folder; links are looked up a folder at a time, so it is cheap.

    Raises:
        DataError: if one lies elsewhere, by an absolute path, by `..`, or by a link.
    """
    root = os.path.realpath(folder)
    folders: dict[str, str] = {}
    for picture in pictures:
        parent, name = os.path.split(os.fspath(picture))
        try:
            if parent not in folders:
                folders[parent] = os.path.realpath(parent)
            place = os.path.join(folders[parent], name)
            if name in ("", ".", "..") or os.path.islink(place):
                place = os.path.realpath(place)
        except ValueError as error:  # a null character
            raise DataError(f"Expected the path of a picture; got {picture!r}. Correct it.") from error
        if not _inside(place, root):
            raise leads_out(picture, place, folder)


def leads_out(picture: str | os.PathLike[str], place: str, folder: str | os.PathLike[str]) -> DataError:
    """The error of a path that leads out of its folder."""
    return DataError(
        f"Expected pictures below {folder}; got {os.fspath(picture)!r}, which leads to {place}: an absolute path, "
        "`..` or a link. Whoever made the data decides what is read then; if that is meant, allow it with "
        "`allow_outside`."
    )


def _inside(place: str, root: str) -> bool:
    return place == root or place.startswith(os.path.join(root, ""))
