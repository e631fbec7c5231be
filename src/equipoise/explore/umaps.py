"""`Umaps`: a map of each space that keeps neighbours together, computed once in the background and kept."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import DataError, InputError
from equipoise.explore.maps import Space, principal
from equipoise.files import replacing
from equipoise.shown import one_line

__all__ = ["Umaps"]

FORMAT = "equipoise-umap-1"
PROGRAM = Path(__file__).with_name("embedding.py")
AXES = 50  # principal axes that it starts from; the rest is mostly noise, and time
LEAST, MOST = 20, 300_000  # rows
PATIENCE = 5.0  # seconds
MEANING = "UMAP keeps neighbours together. How far clusters lie apart, and how large or dense they are, means little."
MISSING = "UMAP is not installed: pip install 'equipoise[umap]' brings it. Then start the explorer again."

State = Literal["computing", "ready", "none"]
Positions = NDArray[np.float32]


@dataclass
class _Umap:
    state: State
    text: str
    positions: Positions | None = None
    began: float = 0.0


class Umaps:
    """UMAP of spaces, each begun when it is first asked for; one is computed at a time.

    Args:
        spaces: Name → vectors.
        home: Where positions are kept, as `umap-NAME-….npy`; they are computed again for other vectors.
    """

    def __init__(self, spaces: Mapping[str, Space], home: Path) -> None:
        self.spaces, self.home = spaces, home
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._found: dict[str, _Umap] = {}
        self._threads: list[threading.Thread] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def said(self, name: str) -> dict[str, str]:
        """How far it is: `state`, "computing", "ready" or "none", and `text`, for people. Begins it at first.

        Raises:
            InputError: if there is no such space.
        """
        if name not in self.spaces:
            raise InputError(f"Expected one of the maps {', '.join(self.spaces) or '(none)'}; got {name!r}.")
        with self._lock:
            if name not in self._found:
                self._found[name] = _Umap("computing", "", began=time.monotonic())
                thread = threading.Thread(target=self._find, args=(name,), name="equipoise-umap", daemon=True)
                self._threads.append(thread)
                thread.start()
            one = self._found[name]
            text = one.text
            if one.state == "computing":
                text = f"UMAP is being computed, {time.monotonic() - one.began:.0f} s so far; this is PCA."
            return {"state": one.state, "text": text}

    def positions(self, name: str) -> Positions:
        """Positions of all rows, shape (n, 2).

        Raises:
            InputError: if they are not there (yet).
        """
        said = self.said(name)
        with self._lock:
            found = self._found[name].positions
        if found is None:
            raise InputError(f"Expected UMAP of {name}; it is not there. {said['text']}")
        return found

    def close(self) -> None:
        """Stop what is being computed."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.terminate()
        for thread in self._threads:
            thread.join(PATIENCE)  # it removes its temporary files

    def _find(self, name: str) -> None:
        try:
            found = _Umap("ready", MEANING, self._kept_or_computed(name))
        except Exception as error:  # of a thread: nobody else would hear of it
            found = _Umap("none", one_line(str(error) or type(error).__name__))
        with self._lock:
            self._found[name] = found

    def _kept_or_computed(self, name: str) -> Positions:
        vectors = self.spaces[name].vectors
        rows = len(vectors)
        if not LEAST <= rows <= MOST:
            raise InputError(
                f"UMAP is drawn of {LEAST} to {MOST:,} rows; there are {rows:,}. PCA shows them; a table with some of "
                "the rows is explored by its own path."
            )
        if not all(np.isfinite(vectors[start : start + 4096]).all() for start in range(0, rows, 4096)):
            raise InputError(f"UMAP needs finite numbers; some of the {name} are not.")
        reduced, _ = principal(vectors, axes=min(AXES, vectors.shape[1]))
        mark = hashlib.sha256(FORMAT.encode() + str(reduced.shape).encode() + reduced.tobytes()).hexdigest()[
            :16
        ]
        file = self.home / f"umap-{name}-{mark}.npy"
        kept = _kept(file, rows)
        if kept is not None:
            return kept
        if find_spec("umap") is None:
            raise InputError(MISSING)
        with self._turn:
            found = self._computed(reduced)
        self._keep(found, file, name)
        return found

    def _computed(self, vectors: Positions) -> Positions:
        with TemporaryDirectory(prefix="equipoise-umap-") as folder:
            source, target, errors = (Path(folder, name) for name in ("in.npy", "out.npy", "errors"))
            np.save(source, vectors)
            with open(errors, "wb") as told:
                with self._lock:
                    if self._closed:
                        raise InputError("UMAP was stopped.")
                    self._process = subprocess.Popen(
                        [sys.executable, "-P", PROGRAM, source, target],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=told,
                    )
                failed = self._process.wait() != 0
            found = None if failed else _kept(target, len(vectors))
            if found is None:
                last = errors.read_text(errors="replace").strip().splitlines()[-1:] or [
                    "it ended without a word"
                ]
                raise DataError(f"UMAP could not be computed: {last[0]}")
            return found

    def _keep(self, found: Positions, file: Path, name: str) -> None:
        """A folder that cannot be written to costs the time again, nothing else."""
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary, open(temporary, "wb") as opened:
                np.save(opened, found)
            for old in self.home.glob(f"umap-{name}-*.npy"):
                if old != file:
                    old.unlink(missing_ok=True)
        except (DataError, OSError):
            return


def _kept(file: Path, rows: int) -> Positions | None:
    """Positions in a file, if they are of so many rows; None without."""
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)  # its header is looked at before its numbers
        fits = found.shape == (rows, 2) and found.dtype == np.float32
    except (OSError, ValueError, EOFError):
        return None
    return np.array(found) if fits and np.isfinite(found).all() else None
