"""Pictures of the rows, found again where the run's sources lie; none is ever named by the browser, only its row.

A row names its picture by a path without places of the machine (`equipoise.sharing`); the sources of the run say which
pictures there are. What is sent is decoded, made small and encoded again: never a file as it lies.
"""

from __future__ import annotations

import functools
import io
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from equipoise.data import read
from equipoise.data.decoding import READING, file_bytes
from equipoise.data.places import Files
from equipoise.data.read import source_at
from equipoise.errors import EquipoiseError, InputError
from equipoise.pictures.decode import encoded, whole
from equipoise.pictures.unreadable import Unreadable
from equipoise.sharing import AWAY, shared_path

__all__ = ["SIZES", "Pictures", "Wanted"]

SOURCES = ("test_data", "test_positives", "test_negatives", "data", "positives", "negatives")
SIZES = (96, 384)  # pixels of the longer side, at most
MOST_DRAWN = 200_000
LOOKED = 1000  # files whose being there is asked for
KEPT = 4000  # small pictures that are held in memory
Opener = Callable[[int], Any]


@dataclass(frozen=True)
class Wanted:
    """Where to look for pictures.

    Args:
        settings: Of the run, as in settings.toml.
        given: Sources that hold the pictures now, in place of those of the run.
        table: The table of predictions itself, whose paths may be pictures.
        allow_outside: Paths in tables may lead out of the table's folder.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    table: str | None = None
    allow_outside: bool = False

    @property
    def places(self) -> tuple[str, ...]:
        """Sources."""
        if self.given:
            return self.given
        named = [self.settings.get(name) for name in SOURCES]
        found = [one for one in named if isinstance(one, str) and one]
        return tuple(dict.fromkeys(found if found or self.table is None else [self.table]))

    @property
    def planted(self) -> bool:
        """Whether the run drew its own pictures."""
        return not self.given and not self.places and isinstance(self.settings.get("images"), int)


class Pictures:
    """Pictures by the row of what is explored.

    Args:
        paths: As rows name them, shape (n,); None without.
        wanted: Where to look.
    """

    def __init__(self, paths: Sequence[str | None], wanted: Wanted) -> None:
        self.paths, self.wanted = paths, wanted
        self.notes: list[str] = []
        self.ready = threading.Event()
        self._openers: list[Opener] = []
        self._files: list[Sequence[str] | None] = []
        self._source = np.full(len(paths), -1, np.int32)
        self._row = np.zeros(len(paths), np.int64)
        self.small = functools.lru_cache(maxsize=KEPT)(self._small)

    def find(self) -> None:
        """Look for all pictures; may take long where a source must be decoded. What is not found is noted."""
        try:
            found = _Named()
            for place in ("",) if self.wanted.planted else self.wanted.places:
                try:
                    self._add(found, place)
                except Exception as error:  # settings and sources of others: whatever is wrong is said
                    where = "the embedded set" if self.wanted.planted else shared_path(place)
                    what = (
                        f"{error}"
                        if isinstance(error, EquipoiseError)
                        else f"{type(error).__name__}: {error}"
                    )
                    self.notes.append(f"Pictures of {where} cannot be shown. {what}")
            self._match(found)
        finally:
            self.ready.set()

    def _match(self, found: _Named) -> None:
        prefix = found.moved(self.paths) if self.wanted.given else ""
        for row, path in enumerate(self.paths):
            source, place = found.place(path, prefix) if path else (-1, 0)
            self._source[row], self._row[row] = source, place
        lacking, n = int((self._source < 0).sum()), len(self.paths)
        if lacking == n and not self._openers and not self.notes:
            self.notes.append("Nothing says where the pictures are; name their source with `pictures`.")
        elif lacking:
            self.notes.append(
                f"{lacking:,} of {n:,} pictures are not where the run says, or two are called alike. Have they moved? "
                "Name their source with `pictures`, and start where the run was started."
            )
        looked = [file for row in range(0, n, max(1, n // LOOKED)) if (file := self.file(row)) is not None]
        if gone := sum(not os.path.exists(file) for file in looked):
            self.notes.append(
                f"{gone:,} of {len(looked):,} files of pictures that were looked for are not there. Have they moved? "
                "Name their source with `pictures`."
            )
        if found.twice:
            self.notes.append(f"{found.twice:,} pictures have the name of another one and are not shown.")

    def _add(self, found: _Named, place: str) -> None:
        number = len(self._openers)
        if self.wanted.planted:
            opener, names = _planted(self.wanted.settings)
            files = None
            found.add(number, names, names)
        else:
            opener, names, files, below = _source(place, self.wanted)
            root = os.path.abspath(place)
            root = os.path.dirname(root) if os.path.isfile(root) else root
            start = os.path.join(root, "")
            inside = [one.removeprefix(start) for one in names]
            shown = [
                one if one != name else shared_path(name, below)
                for one, name in zip(inside, names, strict=True)
            ]
            found.add(number, shown, inside, os.path.basename(root))
        self._openers.append(opener)
        self._files.append(files)

    def file(self, row: int) -> str | None:
        """The file of a picture; None if it is none of its own."""
        source = int(self._source[row])
        files = self._files[source] if source >= 0 else None
        return None if files is None else files[int(self._row[row])]

    def known(self, row: int) -> bool:
        """Whether the picture of a row was found."""
        return bool(self._source[row] >= 0)

    def _small(self, row: int, size: int) -> bytes:
        """A picture as JPEG, its longer side at most `size`.

        Raises:
            Unreadable: if it is not there, or is no picture.
        """
        if not self.known(row):
            raise Unreadable("it is not where the run says")
        content = self._openers[int(self._source[row])](int(self._row[row]))
        with READING.share(file_bytes(content)):
            pixels = whole(encoded(content), channels=3, least=size)
        picture = Image.fromarray(pixels)
        scale = size / max(picture.size)
        if scale < 1:
            sides = [max(1, round(side * scale)) for side in picture.size]
            picture = picture.resize((sides[0], sides[1]), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=88)
        return out.getvalue()


class _Named:
    """Pictures by every name that a run may have given them."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[int, int]] = {}
        self.inside: dict[str, tuple[int, int]] = {}
        self.twice = 0

    def add(self, number: int, shown: Sequence[str], inside: Sequence[str], root: str = "") -> None:
        """Add a source: names as others may see them, and names below its root."""
        for row, (name, below) in enumerate(zip(shown, inside, strict=True)):
            place = (number, row)
            for key in {name, below, f"{root}/{below}" if root else name}:
                self._put(self.names, key, place)
            self._put(self.inside, below, place)

    def _put(self, names: dict[str, tuple[int, int]], key: str, place: tuple[int, int]) -> None:
        known = names.setdefault(key, place)
        if known != place and known[0] >= 0:
            names[key] = (-1, 0)  # nobody can tell which is meant
            self.twice += names is self.names

    def place(self, path: str, prefix: str) -> tuple[int, int]:
        """Source and row of a picture; the longest name that fits decides. (−1, 0) if there is none, or several."""
        if prefix and path.startswith(prefix) and (found := self.inside.get(path[len(prefix) :])):
            return found
        if path in self.names:
            return self.names[path]
        parts = path.removeprefix(AWAY).split("/")
        for start in range(
            len(parts) - 1
        ):  # at least a folder and a name: a name alone may be another picture's
            if found := self.names.get("/".join(parts[start:])):
                return found if found[0] >= 0 else (-1, 0)
        return -1, 0

    def moved(self, paths: Sequence[str | None]) -> str:
        """The beginning, the same for all, without which most rows are named as below the new root."""
        known = [path for path in paths if path]
        if not known:
            return ""
        first, last = min(known), max(known)  # what these two begin with, all between them do
        same = next(
            (at for at, two in enumerate(zip(first, last, strict=False)) if two[0] != two[1]), len(first)
        )
        folders = [first[: at + 1] for at, sign in enumerate(first[:same]) if sign == "/"]
        return max(["", *folders], key=lambda one: sum(path[len(one) :] in self.inside for path in known))


def _source(place: str, wanted: Wanted) -> tuple[Opener, Sequence[str], Sequence[str] | None, str]:
    """How a source's pictures are opened, their names, their files if each is one, and what they lie below."""
    settings, own = wanted.settings, not wanted.given
    names = ("path_column", "channel_order") if own else ()
    options: dict[str, Any] = {name: settings.get(name) for name in names}
    outside = wanted.allow_outside or (own and settings.get("allow_outside") is True)
    form = settings.get("format") if own else None
    given = source_at(Path(os.path.abspath(place)), form, outside, **options)
    if given.places is not None:
        places = given.places()
        files = given.paths if isinstance(places, Files) else None
        return places.content, given.paths, files, place
    size = settings.get("image_size")
    table = read(  # pixels as the run kept them, or decoded now
        place,
        label=0,
        format=form,
        image_size=size if isinstance(size, int) else 64,
        cache=settings.get("cache"),
        cache_limit=settings.get("cache_limit"),
        max_rejected=1.0,
        allow_outside=outside,
        **options,
    )
    paths = table.attributes.column("path").to_pylist()
    return lambda row: table.batch(np.array([row]))[0], paths, None, place


def _planted(settings: Mapping[str, Any]) -> tuple[Opener, Sequence[str]]:
    """The embedded set, as it was drawn for the run."""
    from equipoise.data import planted

    images, size, seed = settings["images"], settings.get("image_size", 64), settings.get("seed", 0)
    if images > MOST_DRAWN:
        raise InputError(f"Expected at most {MOST_DRAWN:,} pictures to draw again; got {images:,}.")
    # one worker: processes must not be forked off a server's
    table = planted(images, size=size, seed=seed, cache=settings.get("cache"), workers=1)
    paths: pa.ChunkedArray = table.attributes.column("path")

    def content(row: int) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = table.batch(np.array([row]))[0]
        return found

    return content, paths.to_pylist()
