"""The command as a record holds it."""

import shlex

from equipoise.cli import main
from equipoise.cli.invocation import ARGUMENTS, command_line


def test_a_shell_takes_it_back():
    token = ARGUMENTS.set(("debias", "--groups", "skin tone", "--out", "it's"))
    try:
        assert shlex.split(command_line()) == ["equipoise", *ARGUMENTS.get()]
    finally:
        ARGUMENTS.reset(token)


def test_it_is_that_of_the_command_that_runs_and_of_none_afterwards(asked, monkeypatch):
    job = asked("score", [])
    monkeypatch.setattr("sys.argv", ["something", "else"])
    assert main(["score", "a model", "pictures"]) == 0
    assert job
    assert command_line() == "equipoise"
