"""How a job's models are trained: what the user asked for, and that loaded and resolved."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import nn

from equipoise.data import ImageTable
from equipoise.nn import Backbone
from equipoise.run.backbone_source import BackboneSource, backbone_source
from equipoise.run.embedding_source import EmbeddingSource, embedding_source
from equipoise.run.encoder_source import EncoderSource, encoder_source
from equipoise.run.folder import RunFolder
from equipoise.run.identity import Setting
from equipoise.run.model_source import Network
from equipoise.run.reading import Reading
from equipoise.run.tuning import tuning
from equipoise.seeds import checked_seed
from equipoise.train import Engine, Fit, Recipe, TrainingMethod, fit, save_model
from equipoise.train import recipe as find_recipe
from equipoise.train.classes import weighted_classes, weighted_rows
from equipoise.train.embedding import embedded
from equipoise.train.probe import check_backbone, featured_vectors

__all__ = ["Start", "Trainer", "Training"]


@dataclass(frozen=True, eq=False)
class Training:
    """How models are trained.

    Args:
        recipe: A recipe or its name; None takes "probe" with a backbone, else "equipoise".
        encoder: A network of the user's in place of the standard CNN, see `fit`; or "package.module:callable" that
            gives one.
        embedding: What rarity is measured in: a network from images in [0, 1] to vectors, or
            "package.module:callable" that gives one. See `fit`.
        embedding_column: In place of it, a column of the training data that holds vectors.
        backbone: The network of recipes "probe" and "fine-tune": a name as `nn.named_backbone` takes it, a run's
            folder, a network or an `nn.Backbone`; or one of these with what it needs to be read, `Network`.
        seed: Decides everything that is left to chance.
    """

    recipe: str | Recipe | None = None
    encoder: nn.Module | str | None = None
    embedding: nn.Module | str | None = None
    embedding_column: str | None = None
    backbone: Network | Backbone | nn.Module | str | None = None
    seed: int = 0

    @property
    def chosen(self) -> Recipe:
        """The recipe.

        Raises:
            InputError: if there is none of that name.
        """
        return find_recipe(self.recipe or ("equipoise" if self.backbone is None else "probe"))

    def start(
        self, engine: Engine, reading: Reading = Reading(), say: Callable[[str], None] = lambda line: None
    ) -> Start:
        """What was named, loaded, and what "auto" means, resolved.

        Args:
            engine: Device and speed.
            reading: How pictures are to be read, where a backbone does not say it itself.
            say: Takes lines on how far long passes are.

        Raises:
            InputError: if something named is not there, or not what is needed.
            MissingExtraError: if a module is not installed.
        """
        seed = checked_seed(self.seed)
        chosen = self.chosen
        brought = backbone_source(self.backbone, reading, say)
        check_backbone(chosen, brought.featured, other=self.encoder is not None)
        return Start(
            chosen,
            engine.resolved(chosen),
            seed,
            encoder_source(self.encoder, seed=seed),
            embedding_source(self.embedding, self.embedding_column, seed=seed),
            brought,
        )


@dataclass(frozen=True, eq=False)
class Start:
    """What models are trained with.

    Args:
        recipe: The recipe.
        engine: Device and speed, resolved.
        seed: Of the run.
        encoder: Of the user's own, or none.
        embedding: What rarity is measured in, or as the recipe says.
        backbone: The network that models are made of, or none.
    """

    recipe: Recipe
    engine: Engine
    seed: int = 0
    encoder: EncoderSource = field(default_factory=EncoderSource)
    embedding: EmbeddingSource = field(default_factory=EmbeddingSource)
    backbone: BackboneSource = field(default_factory=BackboneSource)

    def settings(self, *, brings: bool = True) -> dict[str, Setting]:
        """What a run's settings say about it; without what may be brought, for a job that takes nothing."""
        own = {}
        if brings:
            own = {**self.encoder.settings(), **self.embedding.settings(), **self.backbone.settings()}
        recipe: dict[str, Setting] = {"recipe": self.recipe.name, "tune": tuning(self.recipe)}
        return {**recipe, **own, "seed": self.seed, **self.engine.settings()}

    def brought(self) -> dict[str, str]:
        """What a run's identity says about it."""
        return {**self.encoder.brought(), **self.embedding.brought(), **self.backbone.brought()}

    def embedded(self, table: ImageTable) -> Start:
        """The same with the vectors of all images that are weighted, for the checks and for training.

        Raises:
            InputError: if one of them cannot be had.
        """
        if self.recipe.resampling.rule == "errors":
            return self  # found when training begins
        given, featured = self.embedding.embedding, self.backbone.featured
        if given is None and featured is not None:
            own = featured_vectors(table, self.recipe, featured, self.engine.device)
            return replace(
                self, embedding=EmbeddingSource(own, title=f"features of {featured.backbone.name}")
            )
        if given is None:
            return self
        rows = weighted_rows(table, weighted_classes(self.recipe, table.class_names, embedded=True))
        vectors = embedded(given, table, rows, device=self.engine.device)
        return replace(self, embedding=replace(self.embedding, embedding=vectors))


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains the models of a run one after another, each kept with its checkpoints.

    Args:
        start: What they are trained with.
        folder: Where models and checkpoints go; those that an earlier start finished are taken from there.
        say: Takes a line on every model.
        top: Name of the model that lies at the top of the folder.
    """

    start: Start
    folder: RunFolder
    say: Callable[[str], None]
    top: str = "debiased"

    def fit(
        self,
        name: str,
        table: ImageTable,
        *,
        method: TrainingMethod = "plain",
        seed: int | None = None,
        validation: ImageTable | None = None,
    ) -> Fit:
        """Train one model.

        Args:
            name: What its folder is called.
            table: What it learns from.
            method: One of `METHODS`.
            seed: None takes that of the run.
            validation: Scored after every epoch; None or empty for none.
        """
        return fit(
            table,
            self.start.recipe,
            method=method,
            encoder=self.start.encoder.network,
            embedding=self.start.embedding.embedding,
            backbone=self.start.backbone.featured,
            validation=validation if validation is not None and len(validation) else None,
            seed=self.start.seed if seed is None else seed,
            engine=self.start.engine,
            folder=self.folder.checkpoints(name),
            resume=self.folder.resumed,
        )

    def keep(self, name: str, fitted: Fit, table: ImageTable) -> Fit:
        """Save a model that was trained on a table."""
        where = self.folder.model(name, top=self.top)
        shape = {"image_size": table.image_size, "channels": table.channels}
        save_model(fitted, where, **shape, framing=table.framing)
        return fitted

    def plain(self, name: str, title: str, table: ImageTable, *, seed: int) -> Fit:
        """Train a plain classifier, say so, and save it."""
        self.say(f"Training: {title}.")
        return self.keep(name, self.fit(name, table, seed=seed), table)
