"""Files written whole or not at all, and read as what they may be: damaged, huge, or no files."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from equipoise.errors import DataError

__all__ = [
    "open_regular",
    "read_bytes",
    "read_json",
    "read_tensors",
    "read_text",
    "read_toml",
    "regular",
    "replacing",
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
    regular(path)  # and not to wait, should something else take its place meanwhile:
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
        raise OSError(errno.EFBIG, found, os.fspath(path))
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
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:80]}.", suffix=".part", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise _unwritable(target, error) from error
    temporary = Path(name)
    try:
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


def _unwritable(target: Path, error: OSError) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "The disk is full: free some space or choose another folder; nothing half-written is left."
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
            code = errno.ENOSPC if "No space" in str(error) else errno.EIO
            raise OSError(code, str(error)) from error


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
        return json.loads(read_bytes(path), parse_constant=_not_strict)
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
