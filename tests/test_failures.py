"""What the machine refuses, by whatever name."""

import errno
import os
import subprocess
import sys

import pytest
import torch

from equipoise.errors import DataError, InputError, TrainingError
from equipoise.failures import ADVICE, refused


class OutOfMemoryError(RuntimeError):
    """As torch's own, which needs a GPU."""


MEMORY = [
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 400000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError(
        "[enforce fail] data. DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."
    ),
    OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("std::bad_alloc"),
    RuntimeError("can't start new thread"),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
]


@pytest.mark.parametrize("error", MEMORY, ids=lambda error: str(error)[:30])
def test_an_allocator_that_gave_up(error):
    assert refused(error) == "memory"
    wrapped = InputError("The model must take images of shape (batch, 3, 8, 8).")
    wrapped.__cause__ = error
    assert refused(wrapped) == "memory"


def test_torchs_own_words():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 50)
    assert refused(raised.value) == "memory"


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk"),
        (OSError(errno.EFBIG, "File too large"), "file"),
        (OSError(errno.EMFILE, "Too many open files"), "files"),
        (DataError("I/O error: File too large (os error 27)"), "file"),
    ],
)
def test_what_cannot_be_written(error, what):
    assert refused(error) == what
    assert "`ulimit" in ADVICE[what] or "Free" in ADVICE[what] or "free" in ADVICE[what]


@pytest.mark.parametrize(
    "error",
    [
        InputError("got this error: out of memory lane"),  # quotes what a user's code said
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        OSError(errno.ENOENT, "No such file or directory"),
        TrainingError("Expected finite losses"),
        KeyError("memory"),
    ],
)
def test_other_errors_are_none_of_these(error):
    assert refused(error) is None


def test_a_cause_that_was_dealt_with_is_no_cause():
    def hidden():
        try:
            raise MemoryError
        except MemoryError:
            raise InputError("Expected something else.") from None

    with pytest.raises(InputError) as raised:
        hidden()
    assert refused(raised.value) is None


@pytest.mark.parametrize(
    ("limit", "words"),
    [("-v 500000", "raise the limit (`ulimit -v`)"), ("-f 0", "raise the limit (`ulimit -f`)")],
)
def test_limits_of_a_shell(tmp_path, limit, words):
    code = "from equipoise.files import write_text; write_text('there', 'x' * 100)"
    run = f"{sys.executable} -m equipoise recipes" if "-v" in limit else f'{sys.executable} -c "{code}"'
    done = subprocess.run(
        ["bash", "-c", f"ulimit {limit}; exec {run}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert not list(tmp_path.iterdir())
