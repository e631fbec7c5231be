"""`main`: from arguments to an exit code. An error is one clear message; its traceback comes with --debug."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

from cyclopts import CycloptsError

from equipoise.cli.flags import with_flags
from equipoise.cli.invocation import ARGUMENTS
from equipoise.cli.saying import say_aside
from equipoise.errors import DataError, EquipoiseError, InputError, MissingExtraError
from equipoise.failures import ADVICE, chain, refused
from equipoise.interruption import Terminated, stopped_by_signals
from equipoise.shown import one_line

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

__all__ = ["main"]

LEAST = 1 << 30  # bytes of address space that loading torch takes, about
DONE, FAILED, BAD_INPUT, STOPPED, NO_READER, BY_SIGNAL = 0, 1, 2, 130, 141, 128


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        0 done; 1 the work failed; 2 flags, settings or data are not as expected; 130 stopped by Ctrl-C; 143 by
        SIGTERM, 129 by SIGHUP; 141 whoever read the output has gone.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    running = ARGUMENTS.set(tuple(arguments))
    try:
        with stopped_by_signals():
            return _run(arguments)
    except SystemExit as error:
        if any(
            isinstance(one, BrokenPipeError) for one in chain(error)
        ):  # rich's way of taking it, with --help
            return NO_READER
        raise
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in arguments and not isinstance(error, CycloptsError | BrokenPipeError):
            import traceback

            with contextlib.suppress(OSError, ValueError):
                _say(*"".join(traceback.format_exception(error)).splitlines())
        return _explain(error, arguments)
    finally:
        ARGUMENTS.reset(running)


def _run(arguments: list[str]) -> int:
    from equipoise.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show × shows ? in its place; a traceback would be worse.
        if (
            stream is None
        ):  # closed before we began, as by `>&-`: the next file that is opened must not take its place
            os.open(os.devnull, os.O_RDWR)
        elif hasattr(stream, "reconfigure") and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="replace")
    if not logging.getLogger().hasHandlers():  # else the engine adds a chatty one of its own
        warnings_only = logging.StreamHandler()
        warnings_only.setLevel(logging.WARNING)
        warnings_only.setFormatter(_OneLine())
        logging.getLogger().addHandler(warnings_only)
    _check_room(arguments)
    format_before, warnings.formatwarning = warnings.formatwarning, _warning
    try:
        code = app(arguments)
    finally:
        warnings.formatwarning = format_before
    if sys.stdout is not None:
        sys.stdout.flush()
    return code if isinstance(code, int) else DONE


def _check_room(arguments: list[str]) -> None:
    """Refuse what torch cannot be loaded in: it ends the process without a word of ours."""
    if not arguments or {"--help", "-h", "--version"} & set(arguments) or resource is None:
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if 0 <= limit < LEAST:
        raise MemoryError(f"{limit:,} bytes of address space")


def _explain(error: BaseException, arguments: list[str]) -> int:
    """Say on stderr what went wrong, and give the exit code."""
    _drop_what_cannot_be_written()
    match error:
        case BrokenPipeError():
            return NO_READER
        case KeyboardInterrupt():
            _say("Stopped.", *_notes(error))
            return BY_SIGNAL + error.number if isinstance(error, Terminated) else STOPPED
        case CycloptsError():
            command = next((word for word in arguments[:1] if not word.startswith("-")), "")
            _say(
                one_line(f"{error}"),
                f"`{' '.join(filter(None, ('equipoise', command)))} --help` lists what there is.",
            )
            return BAD_INPUT
        case _ if what := refused(error):
            told = isinstance(error, EquipoiseError) and what != "memory"
            _say(f"{error}" if told else _refusal(error, what), *_notes(error))
            return FAILED
        case EquipoiseError():
            _say(one_line(f"{error}"), *_notes(error))
            return BAD_INPUT if isinstance(error, InputError | DataError | MissingExtraError) else FAILED
        case _:
            text = one_line(f"{type(error).__name__}: {error}".strip(": "))
            _say(f"Something unexpected went wrong: {text}", *_notes(error))
            if "--debug" not in arguments:
                _say("The same command with --debug shows where; please report it with that output.")
            return FAILED


def _refusal(error: BaseException, what: str) -> str:
    """What the machine refused, where, and what to do."""
    if what == "memory":
        return f"Expected more memory. {ADVICE[what]}"
    names = [one.filename for one in chain(error) if isinstance(one, OSError) and one.filename]
    if what == "disk":
        where = f" at {names[0]}" if names else ""
        return f"Expected room to write{where}; the disk is full. Free some space and try again."
    return f"Expected to write{f' {names[0]}' if names else ''}; got: {error}. {ADVICE[what]}"


def _say(*lines: str) -> None:
    """Say what went wrong; settings by their flags."""
    with contextlib.suppress(OSError, ValueError):
        say_aside(*map(with_flags, lines))


def _notes(error: BaseException) -> list[str]:
    return [one_line(str(note)) for note in getattr(error, "__notes__", ())]


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


def _warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> str:
    return f"{category.__name__}: {one_line(str(message))}\n"


def _drop_what_cannot_be_written() -> None:
    """Send streams nowhere whose reader has gone or whose disk is full, or the interpreter complains as it ends."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not _flushed(stream):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def _flushed(stream: TextIO | Any) -> bool:
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True
