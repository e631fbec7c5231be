"""The points of a sweep: every combination of the values given, each with the recipe that it means."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.errors import EquipoiseError, InputError
from equipoise.run.tuning import lines_of, tuned, tuning
from equipoise.seeds import child_seed
from equipoise.train import Recipe
from equipoise.train import recipe as find_recipe

__all__ = ["Point", "grid", "varied"]

RECIPE, SEED = "recipe", "seed"
SHORT = {
    "ess": ("resampling.ess",),
    "max_weight": ("resampling.max_weight",),
    "epochs": ("plain.epochs", "debiased.epochs"),
    "batch_size": ("plain.batch_size", "debiased.batch_size"),
}
"""Short names for settings of a recipe, as the command line has them."""
LONGEST = 100  # characters of a folder's name


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Args:
        number: Place in the grid, from 1.
        values: Setting → its value, as text; without the seed.
        seed: Seed of the run.
        recipe: What is trained.
    """

    number: int
    values: Mapping[str, str]
    seed: int
    recipe: Recipe

    @property
    def title(self) -> str:
        """What people read: "resampling.smoothing=0.1, seed=2"."""
        return ", ".join(f"{key}={value}" for key, value in {**self.values, SEED: self.seed}.items())

    @property
    def folder(self) -> str:
        """Name of its folder; the number tells apart what a file system would not."""
        words = [f"{key}={value}" for key, value in {**self.values, SEED: self.seed}.items()]
        return re.sub(r"[^\w.=+-]", "_", "-".join([f"{self.number:03}", *words]))[:LONGEST]


def varied(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What `vary` says: "key=value,value", one a text; a list in brackets is one value.

    Raises:
        InputError: if a text is not of that form, or a key comes twice.

    Example:
        >>> varied(["resampling.smoothing=0.1,0.01", 'debiased.augmentation=[],["flip","light"]'])
        {'resampling.smoothing': ('0.1', '0.01'), 'debiased.augmentation': ('[]', '["flip","light"]')}
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, equals, listed = text.partition("=")
        key = _key(key)
        # A comma splits unless a closing bracket follows before any opening one.
        values = tuple(value.strip() for value in re.split(r",(?![^\[\]]*\])", listed))
        if not equals or not key or not all(values):
            raise InputError(
                f"Expected `vary` KEY=VALUE,VALUE, for example resampling.smoothing=0.1,0.01; got {text!r}. "
                "`equipoise recipes NAME` prints a recipe's keys."
            )
        if key in found:
            raise InputError(
                f"Expected each setting once; got `vary` {key} twice. Put all its values into one `vary`."
            )
        found[key] = values
    return found


def grid(base: str | Recipe, vary: Mapping[str, Sequence[Any]], *, seed: int = 0) -> list[Point]:
    """Every combination, the first setting turning slowest and the seed fastest.

    Args:
        base: What all have in common. Where "recipe" is varied, its changes to the published recipe of its name.
        vary: Setting → values. Settings of a recipe as in `tuned`, and "recipe", "seed", "ess", "max_weight",
            "epochs", "batch_size".
        seed: Of all runs, where seeds are not varied.

    Raises:
        InputError: if nothing is varied, a setting is unknown, a value out of range, or two points are the same.

    Example:
        >>> [point.title for point in grid("mit-2021", {"latent": [10, 20], "seed": [0, 1]})]
        ['latent=10, seed=0', 'latent=10, seed=1', 'latent=20, seed=0', 'latent=20, seed=1']
    """
    base = find_recipe(base)
    texts = {_key(key): [_text(value) for value in values] for key, values in vary.items()}
    _check(base, texts)
    seeds = [_seed(text) for text in texts.pop(SEED, [str(seed)])]
    points: list[Point] = []
    for combination in itertools.product(*texts.values()):
        values = dict(zip(texts, combination, strict=True))
        chosen = _recipe(base, values)
        points += [Point(len(points) + i, values, one, chosen) for i, one in enumerate(seeds, 1)]
    for i, point in enumerate(points):
        for other in points[:i]:
            if (point.recipe, point.seed) == (other.recipe, other.seed):
                raise InputError(
                    f"Expected points that differ; got the same settings twice ({other.title}; {point.title}). "
                    "Take one of the values away."
                )
    return points


def _check(base: Recipe, texts: Mapping[str, Sequence[str]]) -> None:
    if not texts:
        raise InputError(
            "Expected something to vary; got nothing. Give `vary` KEY=VALUE,VALUE, for example "
            "`vary` resampling.smoothing=0.1,0.05,0.01,0.001 and `vary` seed=0,1,2."
        )
    known = [RECIPE, SEED, *SHORT, *(line.partition("=")[0] for line in lines_of(base))]
    for key, values in texts.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.0)[0]
            raise InputError(
                f"Expected a setting of a recipe, or one of {', '.join([RECIPE, SEED, *SHORT])}, to vary; got {key!r}. "
                f"Did you mean {near!r}? `equipoise recipes NAME` prints a recipe's keys."
            )
        if not values:
            raise InputError(f"Expected values of {key}; got none. Give at least one, as in {key}=A,B.")
    for name, paths in SHORT.items():
        for path in paths:
            if name in texts and path in texts:
                raise InputError(
                    f"Expected each setting once; got {name} and {path}, which are one. Vary one."
                )


def _recipe(base: Recipe, values: Mapping[str, str]) -> Recipe:
    changes = [
        f"{path}={value}" for key, value in values.items() if key != RECIPE for path in SHORT.get(key, (key,))
    ]
    try:
        chosen = tuned(find_recipe(values[RECIPE]), tuning(base)) if RECIPE in values else base
        return tuned(chosen, changes)
    except EquipoiseError as error:
        raise InputError(
            f"`vary` cannot be met at {', '.join(f'{k}={v}' for k, v in values.items())}. {error}"
        ) from error


def _seed(text: str) -> int:
    try:
        seed = int(text)
    except ValueError as error:
        raise InputError(
            f"Expected whole numbers as seeds; got {text!r}. Write `vary` seed=0,1,2."
        ) from error
    child_seed(seed)
    return seed


def _key(text: str) -> str:
    return text.strip().removeprefix("--").replace("-", "_")


def _text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
