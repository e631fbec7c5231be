"""What the machine refused, told from its many names: memory, room on the disk, the size of a file."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

__all__ = ["ADVICE", "chain", "code_of", "ran_out_of_memory", "refused"]

ADVICE = {
    "disk": "The disk is full: free some space or choose another folder.",
    "file": "The system allows no larger files: raise the limit (`ulimit -f`) or choose another folder.",
    "files": "The system allows no more open files: raise the limit (`ulimit -n`).",
    "memory": "The memory is used up: try a smaller `batch_size` or `image_size`, fewer `workers`, `jobs` or "
    "`processes`, or raise the limit (`ulimit -v`).",
}
"""What was refused → what to do."""

_CODES = {
    errno.ENOSPC: "disk",
    errno.EDQUOT: "disk",
    errno.EFBIG: "file",
    errno.EMFILE: "files",
    errno.ENFILE: "files",
    errno.ENOMEM: "memory",
}
_MEMORY = re.compile(
    r"not enough memory|can't allocate memory|cannot allocate memory|out of memory|bad_alloc|unable to allocate"
    r"|malloc.*failed|failed to allocate|can't start new thread|failed to map segment|alloc_failed",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?:os error|errno) (\d+)", re.IGNORECASE)


def refused(error: BaseException) -> str | None:
    """What the machine refused, a key of `ADVICE`, if that is what the error or one of its causes is about."""
    for one in chain(error):
        if ran_out_of_memory(one):
            return "memory"
        if isinstance(one, OSError) and (code := code_of(one)) in _CODES:
            return _CODES[code]
    return None


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator gave up. Torch, the loader and threads say so in words, each in its own."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and code_of(error) == errno.ENOMEM):
        return True
    # ours quote what they were given, which may say anything
    native = (
        type(error).__module__ in ("builtins", "torch", "torch.cuda") or "OutOfMemory" in type(error).__name__
    )
    return native and isinstance(error, RuntimeError | ImportError) and _MEMORY.search(str(error)) is not None


def code_of(error: BaseException) -> int | None:
    """The system's number of an error, from its field or, where a library hides it, from its text."""
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number
    found = _CODE.search(str(error)) or _CODE.search("os error 28" if "No space left" in str(error) else "")
    return int(found[1]) if found else None


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
