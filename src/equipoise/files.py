"""Files written whole or not at all, and read as what they may be: damaged, huge, or no files.

A part under way is held by a lock and has its process in its name: it is abandoned when neither lives, and then goes
with the next one.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from equipoise.errors import DataError
from equipoise.failures import ADVICE, code_of, refused

try:
    import fcntl
except ImportError:  # Windows: a part is its process's alone
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "alone",
    "held",
    "in_use",
    "open_regular",
    "part_name",
    "read_bytes",
    "read_json",
    "read_tensors",
    "read_text",
    "read_toml",
    "regular",
    "remove_abandoned",
    "replacing",
    "reserve",
    "write_bytes",
    "write_json",
    "write_tensors",
    "write_text",
]

MOST_BYTES = 256 << 20  # of a file that is read as a whole; the largest record that we know of has 20 MB
MOST_TOML = 16 << 20
OTHER_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def regular(path: str | os.PathLike[str]) -> Path:
    """`path`, if an ordinary file lies there or a link to one: what libraries that open by name are to be given.

    Opening a pipe waits for ever, and a device may never end or do something when it is opened, so the kind
    is looked at first.

    Raises:
        OSError: if it is something else, missing or out of reach, as `open` would; `strerror` is the cause.
    """
    _check_regular(path, os.stat(path).st_mode)
    return Path(path)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """An ordinary file, open for reading bytes; see `regular`.

    Raises:
        OSError: as `regular` does.
    """
    _check_regular(path, os.stat(path).st_mode)
    # and not to wait, should something else take its place meanwhile:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_regular(path, os.fstat(handle).st_mode)
        return os.fdopen(handle, "rb")
    except OSError:
        os.close(handle)
        raise


def read_bytes(path: str | os.PathLike[str], *, most: int = MOST_BYTES) -> bytes:
    """The content of an ordinary file of at most `most` bytes.

    Raises:
        OSError: as `regular` does, or if the file is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > most else file.read(most + 1)  # it may grow meanwhile
    if max(size, len(content)) > most:
        found = f"{max(size, len(content)):,} bytes, more than {most:,}"
        raise OSError(errno.EINVAL, found, os.fspath(path))  # EFBIG is what a limit on writing says
    return content


def read_text(path: str | os.PathLike[str], *, most: int = MOST_BYTES) -> str:
    """The content of an ordinary UTF-8 file of at most `most` bytes.

    Raises:
        OSError: as `read_bytes` does.
        UnicodeDecodeError: if it is not UTF-8.
    """
    return read_bytes(path, most=most).decode()


def _check_regular(path: str | os.PathLike[str], mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in OTHER_KINDS if test(mode)), "something else")
        raise OSError(errno.EINVAL, f"{kind}, not a file", os.fspath(path))


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


@contextlib.contextmanager
def alone(folder: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a folder in the block as its only process; others wait for it, once they are told of it."""
    handle = os.open(folder, os.O_RDONLY) if fcntl is not None else None
    try:
        if handle is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def in_use(folder: Path) -> bool:
    """Whether a process holds a folder, see `alone`."""
    if fcntl is None:
        return False
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


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
    # file names that are no UTF-8 come as unpaired surrogates; \\udc80 is what JSON calls them
    write_bytes(path, content.encode("utf-8", "backslashreplace"))


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


def read_json(path: str | os.PathLike[str], what: str, advice: str) -> Any:
    """Strict JSON of a regular file.

    Args:
        path: The file.
        what: What it should be, as in "a run record".
        advice: What to do if it is not.

    Raises:
        DataError: if it cannot be read, is larger than 256 MB, or is not strict JSON.
    """
    try:
        return json.loads(read_bytes(path, most=MOST_BYTES), parse_constant=_not_strict)
    except OSError as error:
        raise DataError(
            f"Expected {what} at {os.fspath(path)}; got: {error.strerror or error}. {advice}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"Expected JSON in {os.fspath(path)}; got something else ({error}). It is damaged, or not {what}. {advice}"
        ) from error


def read_toml(path: str | os.PathLike[str], what: str, advice: str) -> dict[str, Any]:
    """TOML of a regular file. Arguments and errors as `read_json`."""
    import tomllib

    try:
        return tomllib.loads(read_text(path, most=MOST_TOML))
    except OSError as error:
        raise DataError(
            f"Expected {what} at {os.fspath(path)}; got: {error.strerror or error}. {advice}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"Expected TOML in {os.fspath(path)}; got: {error}. {advice}") from error


def read_tensors(
    path: str | os.PathLike[str], what: str, advice: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Torch tensors of a safetensors file, on the CPU, and its header.

    Raises:
        DataError: if it cannot be read, or is not what it says.
    """
    from safetensors import safe_open

    try:
        with safe_open(regular(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = file.metadata() or {}
    except Exception as error:  # the parser of a foreign format tells what is damaged in many ways
        told = error.strerror if isinstance(error, OSError) and error.strerror else f"{error}"
        raise DataError(f"Expected {what} in {os.fspath(path)}; got: {told}. {advice}") from error
    return tensors, header


def _not_strict(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
