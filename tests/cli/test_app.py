"""The commands under one roof: each file of a command is one of them, and helps."""

from pathlib import Path

import pytest

import equipoise.cli
from equipoise.cli import main
from equipoise.cli.app import app

ROOM = Path(equipoise.cli.__file__).parent
COMMANDS = sorted(
    path.stem.replace("_", "-")
    for path in ROOM.glob("*.py")
    if f"def {path.stem}(" in path.read_text(encoding="utf-8") and path.stem != "app"
)


def test_every_command_is_there_and_no_other():
    assert len(COMMANDS) == 16
    assert sorted(name for name in app if not name.startswith("-")) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_its_help_names_it_and_what_it_does(command, capsys):
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"Usage: equipoise {command}" in said
    assert "--debug" in said


def test_the_whole_names_the_commands_and_the_exit_codes(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(command in said for command in COMMANDS)
    assert "Exit codes: 0 done;" in said
