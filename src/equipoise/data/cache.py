"""The cache's folder, and folders that appear whole or not at all and are believed only while they stay so."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from equipoise.errors import DataError, InputError
from equipoise.files import held, in_use, open_regular, part_name, read_bytes, remove_abandoned, write_json

__all__ = [
    "Cleared",
    "appearing",
    "cache_folder",
    "changes_of",
    "clear",
    "place",
    "remove",
    "seal",
    "sound",
    "unwritable",
]

PART = ".part"
SEAL = "seal.json"
PIECE = 1 << 20  # bytes read at a time
ABANDONED_S = 24 * 3600
DRAWN = re.compile(r"[0-9a-f]{20}/(images\.npy|digests\.npy|table\.parquet|seal\.json)")
FLOORS = {
    "index": re.compile(r"[0-9a-f]{32}\.json"),
    "pixels": re.compile(
        r"[0-9a-f]{32}/(images\.u8|files\.bin|ends\.npy|digests\.npy|kept\.npy|rejected\.json|remarks\.json|seal\.json)"
    ),
    "features": re.compile(
        r"[0-9a-f]{32}(\.part)?/(features\.npy|logits\.npy|progress\.json|store\.json|shard-\d{12}-\d{12}\.parquet)"
    ),
    "planted": DRAWN,
    "shortcut": DRAWN,
}
"""Folder in the cache → what its files are called."""


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Where decoded pictures are kept: `cache`, else $EQUIPOISE_CACHE, else the user's cache folder.

    The folder can be deleted at any time; what is missing is built again.
    """
    chosen = cache or os.environ.get("EQUIPOISE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        home = Path.home() / "Library" / "Caches"
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "equipoise"


@contextlib.contextmanager
def appearing(parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent` to build in; whatever is left of it when the block ends goes.

    The block moves it to its place with `place`. Killed builds leave such folders behind; the next build in the same
    parent removes them.

    Raises:
        DataError: if the folder cannot be written or the disk is full.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=part_name(), dir=parent))
    except OSError as error:
        raise unwritable(parent, error) from error
    try:
        with held(building):
            _sweep(parent)
            yield building
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise unwritable(parent, error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def place(building: Path, target: Path) -> None:
    """Move a finished folder to its place; if another process was faster, its folder stays, equal to ours."""
    for file in building.iterdir():
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
    building.chmod(0o777 & ~_umask())
    with contextlib.suppress(FileExistsError):
        try:
            building.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise


def seal(building: Path) -> None:
    """Write down what a finished folder holds, for `sound`."""
    write_json(building / SEAL, {file.name: _sealed(file) for file in building.iterdir()})


def sound(folder: Path) -> bool:
    """Whether the files of a folder are those that `seal` saw, no more, no fewer and none changed.

    A file that looks untouched from outside (`changes_of`) is believed; of any other the content decides.
    """
    try:
        sealed = json.loads(read_bytes(folder / SEAL))
        names = {file.name for file in folder.iterdir()} - {SEAL}
        if names != set(sealed):
            return False
        touched = [name for name in names if list(changes_of(folder / name)) != sealed[name]["looks"]]
        if any(_digest(folder / name) != sealed[name]["digest"] for name in touched):
            return False
        if touched:
            with contextlib.suppress(DataError):  # a cache that cannot be written: looked at again next time
                write_json(folder / SEAL, {**sealed, **{name: _sealed(folder / name) for name in touched}})
        return True
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def changes_of(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """What changes when a file's content does: size, times of change, and which file it is; not its content.

    Anyone can set the modification time, but not the time of the last change to the entry itself.

    Raises:
        OSError: if it is not there.
    """
    state = os.stat(path)
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def _sealed(file: Path) -> dict[str, object]:
    return {"looks": list(changes_of(file)), "digest": _digest(file)}


def _digest(path: Path) -> str:
    if stat.S_ISLNK(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "a link in the cache", str(path))
    digest = hashlib.blake2b(digest_size=16)
    with open_regular(path) as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def remove(folder: Path) -> None:
    """Take a broken folder out of the way at once, then delete it."""
    trash = Path(tempfile.mkdtemp(prefix=part_name(), dir=folder.parent))
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        folder.rename(trash / "broken")
    shutil.rmtree(trash, ignore_errors=True)


@dataclass(frozen=True)
class Cleared:
    """What `clear` took away.

    Args:
        folder: The cache.
        files: Files that were removed, with `bytes` in them.
        bytes: Their sizes together.
        left: Files that are not the cache's, or that an unfinished build holds, and stay.
    """

    folder: Path
    files: int
    bytes: int
    left: int


def clear(cache: str | os.PathLike[str] | None = None) -> Cleared:
    """Remove what lies in the cache: only files that are the cache's own by place and name, no link, and no build that
    goes on.

    Args:
        cache: Its folder; see `cache_folder`.

    Raises:
        InputError: if the folder is no cache: it holds something, but nothing of a cache.
        DataError: if a file cannot be removed.
    """
    folder = cache_folder(cache)
    if not os.path.lexists(folder):
        return Cleared(folder, 0, 0, 0)
    if not folder.is_dir() or (
        any(folder.iterdir()) and not any((folder / floor).is_dir() for floor in FLOORS)
    ):
        raise InputError(
            f"Expected a cache of equipoise, a folder with {', '.join(FLOORS)}, at {folder}; got something else. "
            "Nothing was removed. Give the folder of `cache`, or set EQUIPOISE_CACHE."
        )
    files = size = 0
    for floor, named in FLOORS.items():
        place = folder / floor
        if place.is_symlink() or not place.is_dir():
            continue
        _sweep(place)
        for file in sorted(place.glob("*") if floor == "index" else place.glob("*/*")):
            own = named.fullmatch(file.relative_to(place).as_posix()) and not file.parent.is_symlink()
            if own and not in_use(file.parent) and stat.S_ISREG((state := os.lstat(file)).st_mode):
                _unlink(file)
                files, size = files + 1, size + state.st_size
        for empty in (*place.glob("*/"), place):
            with contextlib.suppress(OSError):  # something else lies in it
                empty.rmdir()
    left = sum(not path.is_dir() for path in folder.rglob("*"))
    return Cleared(folder, files, size, left)


def _unlink(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"Expected to remove {file}; got: {error.strerror or error}. Change its permissions; what was removed "
            "before it is built again when it is needed."
        ) from error


def unwritable(folder: Path, error: OSError) -> DataError:
    """The error of a cache that cannot be written, with what to do."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "Free some space" if full else "Change its permissions"
    return DataError(
        f"Expected to write decoded pictures to {folder}; got: {error.strerror or error}. {advice}, or choose "
        "another folder with the option cache or the variable EQUIPOISE_CACHE. Nothing half-written is left."
    )


def _sweep(parent: Path) -> None:
    remove_abandoned(parent, f"{PART}*")
    for left in parent.glob(f"{PART}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
