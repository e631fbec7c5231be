"""Files written whole or not at all; what a killed process left half-written goes with the next one.

A part under way is held by a lock and has its process in its name: it is abandoned when neither lives.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from equipoise.errors import DataError
from equipoise.failures import ADVICE, code_of, refused

try:
    import fcntl
except ImportError:  # Windows: a part is its process's alone
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "held",
    "part_name",
    "remove_abandoned",
    "replacing",
    "reserve",
    "write_bytes",
    "write_json",
    "write_tensors",
    "write_text",
]

PART = ".part"
_OWNED = re.compile(r"\.(?:.*\.)?(?:part)?(\d+)\.\w+(?:\.part)?")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends without an error.

    Whatever goes wrong (an exception, Ctrl-C, a full disk), an earlier file at `path` stays as it was
    and the temporary file goes.

    Raises:
        DataError: if the folder cannot be written or the disk is full.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent, f".{glob.escape(target.name[:80])}.*{PART}")
        prefix = f".{target.name[:80]}.{os.getpid()}."
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=PART, dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise _unwritable(target, error) from error
    temporary = Path(name)
    try:
        with held(temporary):
            yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, target)
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise _unwritable(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def part_name() -> str:
    """How the name of a folder begins that is being built by this process; the rest is for chance."""
    return f"{PART}{os.getpid()}."


@contextlib.contextmanager
def held(part: Path) -> Iterator[None]:
    """Lock a part, a file or a folder, in the block; on a system without locks its name alone tells the owner."""
    handle = None
    with contextlib.suppress(OSError):
        handle = os.open(part, os.O_RDONLY)
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def remove_abandoned(folder: Path, pattern: str = "*") -> None:
    """Remove parts in a folder whose process has gone; parts of living ones, and all other files, stay."""
    for part in folder.glob(pattern):
        owner = _OWNED.fullmatch(part.name)
        if owner is None or PART not in part.name or _alive(int(owner[1])):
            continue
        with contextlib.suppress(OSError):
            handle = os.open(part, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                if fcntl is not None:  # a process on another machine may hold it
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if part.is_dir():
                    shutil.rmtree(part, ignore_errors=True)
                else:
                    part.unlink()
            finally:
                os.close(handle)


def _alive(process: int) -> bool:
    if os.name == "nt":  # where signal 0 is not a question
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def reserve(path: str | os.PathLike[str]) -> None:
    """Take the room on the disk that a file's length says, so that writing to its memory map cannot fail.

    A map of a sparse file on a full disk ends the process by a signal; this is an ordinary error.

    Raises:
        OSError: if there is no room.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with open(path, "rb+") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise


def _unwritable(target: Path, error: OSError) -> DataError:
    if what := refused(error):
        advice = f"{ADVICE[what]} Nothing half-written is left."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = "The folder cannot be written: choose another folder or change its permissions."
    else:
        advice = "Choose another folder."
    return DataError(f"Expected to write {target}; got: {error.strerror or error}. {advice}")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_bytes(path, content.encode())


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write strict JSON atomically: a NaN in it is an error, not an invalid file."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Any], header: Mapping[str, str] | None = None
) -> None:
    """Write torch tensors as safetensors, atomically, from whatever device they lie on."""
    from safetensors import SafetensorError  # late: what needs no tensors loads no torch
    from safetensors.torch import save_file

    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(kept, temporary, metadata=None if header is None else dict(header))
        except SafetensorError as error:  # it hides which error of the system it was
            raise OSError(code_of(error) or errno.EIO, str(error)) from error
