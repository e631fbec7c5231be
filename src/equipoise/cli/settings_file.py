"""The one settings file that can stand in for flags.

It is flat TOML; its keys are the flags without the dashes in front (`batch-size` or `batch_size`).
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from cyclopts.argument import update_argument_collection

from equipoise.cli.settings import names_given
from equipoise.errors import InputError
from equipoise.files import read_toml

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.argument import ArgumentCollection

__all__ = ["apply_config"]


def apply_config(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give the arguments that no flag set the values of --config's file, and refuse empty ones.

    Raises:
        DataError: if the file cannot be read, or is not TOML.
        InputError: if a key is not a setting of the command, or a value is empty.
    """
    _refuse_empty(arguments)
    _apply_file(commands, arguments)
    _refuse_empty(arguments)


def _refuse_empty(arguments: ArgumentCollection) -> None:
    """An empty path would mean the current folder; lists of names may be empty."""
    for argument in arguments:
        empty = any(
            not (token.value.strip() or isinstance(token.implicit_value, bool)) for token in argument.tokens
        )
        if empty and argument.parameter.converter is not names_given:
            raise InputError(
                f"Expected a value for {argument.name}; got an empty one. Give one, or leave it out; the path of this "
                'folder is ".".'
            )


def _apply_file(commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    given = next((a.tokens[0].value for a in arguments if "--config" in a.names and a.tokens), None)
    if given is None or not commands:
        return
    settings = read_toml(given, "a settings file", "Check it, or the path of --config.")
    settings.pop("identity", None)  # what a run was is for the run to compare, not to be given again
    command = settings.pop("command", commands[-1])
    if command != commands[-1]:
        raise InputError(
            f"Expected settings of `equipoise {commands[-1]}` in {given}; got those of `equipoise {command}`. "
            "Choose another file, or take the line `command` out of it."
        )
    known = {name.removeprefix("--") for a in arguments for name in a.parameter.name or () if a.parse}
    known -= {"config", "help", "version"}
    for key in settings:
        if key.replace("_", "-") not in known:
            near = difflib.get_close_matches(key.replace("_", "-"), known, n=1, cutoff=0.0)
            raise InputError(
                f"Expected settings of `equipoise {commands[-1]}` in {given}; got the unknown key {key!r}. "
                f"Did you mean {near[0]!r}? `equipoise {commands[-1]} --help` lists all."
            )
    update_argument_collection(settings, given, arguments, root_keys=(), allow_unknown=False)
