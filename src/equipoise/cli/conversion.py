"""From flags to the objects that a run takes. Imports torch: commands import it when they run, not before."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from equipoise import run
from equipoise.cli.saying import say_aside
from equipoise.cli.settings import General, Machine, Reading, Training
from equipoise.train import Recipe, recipe

__all__ = ["engine_of", "reading_of", "recipe_of", "teller"]


def reading_of(flags: Reading) -> run.Reading:
    """How sources are read."""
    return run.Reading(**dataclasses.asdict(flags))


def engine_of(flags: Machine, general: General) -> run.Engine:
    """Where models are trained; --quiet hides the bars too."""
    return run.Engine(**dataclasses.asdict(flags), progress=not general.quiet)


def recipe_of(flags: Training) -> Recipe:
    """The recipe with what --tune changes, then what the flags of their own name change."""
    chosen = run.tuned(recipe(flags.recipe), flags.tune)
    optimisation = _given(epochs=flags.epochs, batch_size=flags.batch_size)
    return dataclasses.replace(
        chosen,
        plain=dataclasses.replace(chosen.plain, **optimisation),
        debiased=dataclasses.replace(chosen.debiased, **optimisation),
        resampling=dataclasses.replace(
            chosen.resampling, **_given(ess=flags.ess, max_weight=flags.max_weight)
        ),
    )


def _given(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if value is not None}


def teller(general: General) -> Callable[[str], None]:
    """Where lines about the stages of a run go: to stderr, or with --quiet nowhere."""
    return lambda line: None if general.quiet else say_aside(line)
