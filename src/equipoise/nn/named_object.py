"""What `package.module:name` stands for."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

import torch
from torch import nn

from equipoise.errors import InputError, MissingExtraError
from equipoise.seeds import child_seed

__all__ = ["as_network", "is_named", "made_by", "named_network", "named_object"]

NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_named(text: str) -> bool:
    """Whether a text has the form package.module:name."""
    return NAMED.fullmatch(text) is not None


def named_object(text: str) -> Any:
    """Import a module, also one that lies in the working directory, and give what is called so in it.

    Raises:
        InputError: if the module has no such name.
        MissingExtraError: if there is no such module.
    """
    module, _, attribute = text.partition(":")
    here = os.getcwd()
    added = here not in sys.path
    if added:  # as `python -m` does, so that a file beside the user is found
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Expected the module {module!r} of {text!r}; got: {error}. Install it, or start from its folder."
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(f"{module} has no {attribute!r}. Check what stands behind the colon.")
        found = getattr(found, part)
    return found


def made_by(text: str, *, seed: int = 0) -> Any:
    """What a name stands for, or what that makes if it is a function or a class.

    Weights that it draws from torch's generator come from the seed, so that every start gets the same ones.
    """
    found = named_object(text)
    if not callable(found) or isinstance(found, nn.Module):
        return found
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(child_seed(seed, "brought", text))
        return found()


def named_network(text: str, *, seed: int = 0) -> nn.Module:
    """The network that a name stands for, or that what it stands for makes without arguments, see `made_by`.

    Raises:
        InputError: if it gives none.
        MissingExtraError: if there is no such module.
    """
    return as_network(made_by(text, seed=seed), text)


def as_network(made: Any, text: str) -> nn.Module:
    """What a name gave, if it is a network.

    Raises:
        InputError: if it is none.
    """
    if not isinstance(made, nn.Module):
        raise InputError(
            f"Expected {text} to give a torch nn.Module; got {type(made).__name__}. Name a class or function that "
            "makes one without arguments."
        )
    return made
