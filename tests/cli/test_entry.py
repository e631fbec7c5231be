"""Exit codes and messages: what people see when something is not as it should be."""

import errno
import os
import subprocess
import sys

import pytest

from equipoise import errors
from equipoise.cli import entry, main

HEAVY = ("numpy", "torch", "pyarrow", "matplotlib", "jinja2", "PIL", "lightning_fabric")
COMMANDS = ("debias", "train", "evaluate", "score", "audit", "report", "recipes", "data", "train-generator")


@pytest.fixture
def failing(monkeypatch):
    """A command that raises whatever it is told to."""

    def arrange(error):
        def command(arguments):
            raise error

        monkeypatch.setattr(entry, "_run", command)

    return arrange


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys; from equipoise.cli import main; "
        f"code = main({[command] * bool(command) + ['--help']!r}); "
        f"print('heavy:', [m for m in {HEAVY!r} if m in sys.modules]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout
    assert "Usage: equipoise" in done.stdout


def test_what_trains_alone_waits_for_what_trains():
    late = ("lightning_fabric", "torch._dynamo", "transformers", "sklearn", "pandas")
    code = (
        "import sys, equipoise.fix, equipoise.risk, equipoise.slices, equipoise.train; "
        f"print([m for m in {late!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_version(capsys):
    import equipoise

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == equipoise.__version__


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["debais"], 'Did you mean "debias"'),
        (["debias", "--epoch", "3"], "Did you mean --epochs"),
        (["debias", "--fpr", "much"], "--fpr"),
        (["debias", "stray"], "stray"),
        (["train", "--method", "debias"], "--method"),
        (["evaluate"], "--predictions"),
    ],
)
def test_a_wrong_command_line(capsys, arguments, words):
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert words in output.err
    assert "--help` lists" in output.err
    assert "Traceback" not in output.err
    assert output.out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("expected this; got that. Do so."), 2),
        (errors.DataError("expected this; got that. Do so."), 2),
        (errors.MissingExtraError("expected this; got that. Do so."), 2),
        (errors.TrainingError("expected this; got that. Do so."), 1),
        (errors.NotFittedError("expected this; got that. Do so."), 1),
    ],
)
def test_our_errors_are_their_message(failing, capsys, error, code):
    failing(error)
    assert main(["debias"]) == code
    assert capsys.readouterr().err == "expected this; got that. Do so.\n"


def test_a_full_disk_is_a_failure_whoever_noticed(failing, capsys):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/file")
    wrapped = errors.DataError("Expected to write; the disk is full.")
    wrapped.__cause__ = full
    for error, words in ((full, "/somewhere/file; the disk is full"), (wrapped, "Expected to write")):
        failing(error)
        assert main(["debias"]) == 1
        assert words in capsys.readouterr().err


def test_a_defect_says_how_to_see_the_traceback(failing, capsys):
    failing(ZeroDivisionError("division by zero"))
    assert main(["debias"]) == 1
    message = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in message
    assert "--debug" in message
    assert "Traceback" not in message


def test_debug_shows_the_traceback(failing, capsys):
    failing(errors.InputError("expected this"))
    assert main(["debias", "--debug"]) == 2
    message = capsys.readouterr().err
    assert "Traceback" in message
    assert message.count("expected this") >= 2


def test_ctrl_c_says_what_is_kept(failing, capsys):
    error = KeyboardInterrupt()
    error.add_note("Kept in runs/debias: finished: plain.")
    failing(error)
    assert main(["debias"]) == 130
    assert capsys.readouterr().err == "Stopped.\nKept in runs/debias: finished: plain.\n"


def test_a_reader_that_has_gone():
    code = (
        "import sys; from equipoise.cli import entry; "
        "entry._run = lambda arguments: print('a line', flush=True); sys.exit(entry.main([]))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


def shell(command, **environment):
    """What a shell makes of a command: the exit code of its first part, what it wrote to both streams."""
    done = subprocess.run(
        ["bash", "-c", f"{command}; echo codes ${{PIPESTATUS[@]}} >&2"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    said, _, codes = done.stderr.rpartition("codes ")
    return int(codes.split()[0]), done.stdout, said


PROGRAM = f"{sys.executable} -m equipoise"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("--version | true", (0, 141)),
        ("debias --help | true", (0, 141)),
        ("--version >&-", (0,)),
        ("--version 2>&-", (0,)),
        ("debais >&- 2>&-", (2,)),
        ("debais 2>&1 | true", (2,)),
        ("--version >/dev/full", (1,)),
    ],
)
def test_streams_that_are_closed_or_full(command, code):
    ended, _, said = shell(f"{PROGRAM} {command}")
    assert ended in code
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert "unexpected" not in said


def test_a_terminal_of_few_letters_is_written_to_all_the_same():
    ended, out, said = shell(f"{PROGRAM} --help", PYTHONIOENCODING="ascii")
    assert (ended, said) == (0, "")
    assert "Usage: equipoise" in out
    assert "?" in out  # a box's corner


@pytest.mark.parametrize(("number", "code"), [(15, 143), (1, 129)])
def test_a_signal_to_end_is_an_interruption(failing, capsys, number, code):
    from equipoise.interruption import Terminated

    error = Terminated(number)
    error.add_note("Kept in runs/debias: finished: plain.")
    failing(error)
    assert main(["debias"]) == code
    assert capsys.readouterr().err == "Stopped.\nKept in runs/debias: finished: plain.\n"


def test_used_up_memory_says_what_to_do_and_what_is_kept(failing, capsys):
    wrapped = errors.InputError(
        "The model must take images of shape (batch, 3, 8, 8); got this error from it."
    )
    wrapped.__cause__ = RuntimeError(
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    wrapped.add_note("Kept in runs/debias: finished: plain.")
    for error in (MemoryError(), wrapped):
        failing(error)
        assert main(["debias"]) == 1
        said = capsys.readouterr().err
        assert "smaller --batch-size" in said
    assert said.endswith("Kept in runs/debias: finished: plain.\n")
