"""Single settings of a recipe as text, "resampling.bins=20": what flags and settings files change and record."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from equipoise.errors import InputError
from equipoise.train import RECIPES, Recipe

__all__ = ["lines_of", "tuned", "tuning"]


def tuned(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """A recipe with some settings changed.

    Args:
        recipe: What to start from.
        changes: "key=value"; a key of a part stands behind the part's name, a value is TOML or a bare word.

    Raises:
        InputError: if a change is not of that form, a key is unknown, or a value is out of range.

    Example:
        >>> tuned(RECIPES["mit-2021"], ["resampling.bins=20", "debiased.schedule=one-cycle"]).resampling.bins
        20
    """
    values = recipe.to_dict()
    for change in changes:
        key, equals, text = change.partition("=")
        path = [part.strip().replace("-", "_") for part in key.split(".")]
        if not equals or not all(path) or len(path) > 2:
            raise InputError(
                f"Expected `tune` KEY=VALUE, for example resampling.bins=20; got {change!r}. "
                "`equipoise recipes NAME` prints a recipe's keys."
            )
        target = values
        if len(path) == 2:
            target = values.get(path[0], {})
            if not isinstance(target, dict) or path[0] not in values:
                parts = ", ".join(name for name, value in values.items() if isinstance(value, dict))
                raise InputError(f"Expected a part of a recipe ({parts}) before the dot; got {change!r}.")
        target[path[-1]] = _value(text.strip())
    return Recipe.from_dict(values)


def tuning(recipe: Recipe) -> tuple[str, ...]:
    """The changes that make a recipe out of the published one of its name; none for the published one itself."""
    published = RECIPES.get(recipe.name, Recipe(recipe.name)).to_dict()
    before = dict(_leaves(published))
    return tuple(
        f"{key}={_text(value)}"
        for key, value in _leaves(recipe.to_dict())
        if key != "summary" and before.get(key) != value
    )


def lines_of(recipe: Recipe) -> list[str]:
    """All settings of a recipe as "key=value"."""
    return [
        f"{key}={_text(value)}" for key, value in _leaves(recipe.to_dict()) if key not in ("name", "summary")
    ]


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _value(text: str) -> Any:
    if text == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
