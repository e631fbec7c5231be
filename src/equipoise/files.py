"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from equipoise.errors import DataError
from equipoise.failures import ADVICE, code_of, refused

__all__ = ["replacing", "write_bytes", "write_json", "write_tensors", "write_text"]


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
