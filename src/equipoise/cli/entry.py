"""`main`: from arguments to an exit code. An error is one clear message; its traceback comes with --debug."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

from cyclopts import CycloptsError

from equipoise.cli.invocation import ARGUMENTS
from equipoise.cli.saying import say_aside
from equipoise.errors import DataError, EquipoiseError, InputError, MissingExtraError
from equipoise.shown import one_line

__all__ = ["main"]

DONE, FAILED, BAD_INPUT, STOPPED, NO_READER = 0, 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        0 done; 1 the work failed; 2 flags, settings or data are not as expected; 130 stopped by Ctrl-C;
        141 whoever read the output has gone.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in arguments and not isinstance(error, CycloptsError | BrokenPipeError):
            import traceback

            _say(*"".join(traceback.format_exception(error)).splitlines())
        return _explain(error, arguments)


def _run(arguments: list[str]) -> int:
    from equipoise.cli.app import app

    if not logging.getLogger().hasHandlers():  # else the engine adds a chatty one of its own
        warnings_only = logging.StreamHandler()
        warnings_only.setLevel(logging.WARNING)
        warnings_only.setFormatter(_OneLine())
        logging.getLogger().addHandler(warnings_only)
    ARGUMENTS.set(tuple(arguments))
    format_before, warnings.formatwarning = warnings.formatwarning, _warning
    try:
        code = app(arguments)
    finally:
        warnings.formatwarning = format_before
    sys.stdout.flush()
    return code if isinstance(code, int) else DONE


def _explain(error: BaseException, arguments: list[str]) -> int:
    """Say on stderr what went wrong, and give the exit code."""
    match error:
        case BrokenPipeError():
            with contextlib.suppress(OSError, ValueError):  # or the interpreter complains as it ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return NO_READER
        case KeyboardInterrupt():
            _say("Stopped.", *_notes(error))
            return STOPPED
        case CycloptsError():
            command = next((word for word in arguments[:1] if not word.startswith("-")), "")
            _say(
                one_line(f"{error}"),
                f"`{' '.join(filter(None, ('equipoise', command)))} --help` lists what there is.",
            )
            return BAD_INPUT
        case EquipoiseError():
            _say(one_line(f"{error}"), *_notes(error))
            wrong = isinstance(error, InputError | DataError | MissingExtraError)
            return BAD_INPUT if wrong and not _disk_full(error) else FAILED
        case OSError() if _disk_full(error):
            where = f" at {one_line(str(error.filename))}" if error.filename else ""
            _say(
                f"Expected room to write{where}; the disk is full. Free some space and try again.",
                *_notes(error),
            )
            return FAILED
        case MemoryError():
            _say("The memory is used up. Try a smaller --batch-size or --image-size.", *_notes(error))
            return FAILED
        case _:
            text = one_line(f"{type(error).__name__}: {error}".strip(": "))
            _say(f"Something unexpected went wrong: {text}", *_notes(error))
            if "--debug" not in arguments:
                _say("The same command with --debug shows where; please report it with that output.")
            return FAILED


def _say(*lines: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        say_aside(*lines)


def _notes(error: BaseException) -> list[str]:
    return [one_line(str(note)) for note in getattr(error, "__notes__", ())]


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


def _warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> str:
    return f"{category.__name__}: {one_line(str(message))}\n"


def _disk_full(error: BaseException) -> bool:
    return any(isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT) for e in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
