"""`equipoise recipes`: what there is to train by."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from equipoise.cli.saying import say
from equipoise.cli.settings import General

__all__ = ["recipes"]


def recipes(name: str | None = None, /, *, general: General = General()) -> int:
    """List the recipes, or print all settings of one as KEY=VALUE, the form that --tune takes.

    Args:
        name: A recipe.
    """
    from equipoise.run import lines_of
    from equipoise.train import RECIPES, recipe

    if name is None:
        width = max(map(len, RECIPES))
        for entry in RECIPES.values():
            say(f"{entry.name:{width}}  {entry.summary}")
    else:
        chosen = recipe(name)
        if not general.quiet:
            say(f"# {chosen.name}: {chosen.summary}")
        say(*lines_of(chosen))
    return 0
