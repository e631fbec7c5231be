"""Plain classifiers of one run: trained one after another, each kept with its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from equipoise.data import ImageTable
from equipoise.run.engine import Engine
from equipoise.run.folder import RunFolder
from equipoise.train import Fit, Recipe, fit, save_model

__all__ = ["Trainer"]


@dataclass(frozen=True, eq=False)
class Trainer:
    """What classifiers of a run have in common.

    Args:
        recipe: Its plain optimisation is used.
        folder: Where models and checkpoints go; those that an earlier start finished are taken from there.
        engine: Device and speed.
        top: Name of the model that lies at the top of the folder.
        say: Takes a line on every model.
    """

    recipe: Recipe
    folder: RunFolder
    engine: Engine
    top: str
    say: Callable[[str], None]

    def fit(self, name: str, title: str, table: ImageTable, *, seed: int) -> Fit:
        """Train one classifier and save it."""
        self.say(f"Training: {title}.")
        fitted = fit(
            table,
            self.recipe,
            method="plain",
            seed=seed,
            folder=self.folder.checkpoints(name),
            resume=self.folder.resumed,
            **asdict(self.engine),
        )
        save_model(
            fitted,
            self.folder.model(name, top=self.top),
            image_size=table.image_size,
            channels=table.channels,
        )
        return fitted
