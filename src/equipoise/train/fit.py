"""`fit`: one call from a table to a trained model, on Lightning Fabric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone, Classifier, Objective, architecture_digest, digest_of
from equipoise.notebook import table_html
from equipoise.processors import launched
from equipoise.resample import Draws
from equipoise.seeds import checked_seed
from equipoise.train.alike import check_alike, telling_of_the_lost
from equipoise.train.build import build
from equipoise.train.classes import (
    check_trainable,
    notes_of_shares,
    notes_of_uniform,
    weighted_classes,
)
from equipoise.train.embedding import (
    Embedding,
    embedding_identity,
    timed_vectors,
)
from equipoise.train.engine import Engine
from equipoise.train.errors import found_errors
from equipoise.train.featured import Featured
from equipoise.train.first_weights import check_first_weights
from equipoise.train.given import prepared
from equipoise.train.log import History
from equipoise.train.loop import Job, Outcome, train
from equipoise.train.probe import Fitted, check_backbone, featured_vectors, fitted_probe, trainable
from equipoise.train.processes import train_in_processes
from equipoise.train.recipe import Optimisation, Recipe, Resampling
from equipoise.train.recipes import recipe as find_recipe
from equipoise.train.shared_pass import share_pass

__all__ = ["METHODS", "EncoderNote", "Fit", "TrainingMethod", "fit"]

#: A name of `METHODS`.
TrainingMethod = Literal["debiased", "plain", "plain-same-steps", "uniform"]
#: Name of a training method → what it does.
METHODS: dict[str, str] = {
    "debiased": "what is rare drawn more often",
    "plain": "plain classifier",
    "plain-same-steps": "plain classifier, trained as long as the debiased model",
    "uniform": "losses of the debiased model, uniform sampling",
}


class EncoderNote(NamedTuple):
    """What is noted of a user's encoder, to know it again: its class, and a digest of its architecture."""

    named: str
    architecture: str


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained model and how it came about.

    Args:
        model: In evaluation mode on the CPU.
        recipe: The whole setting.
        method: One of `METHODS`.
        seed: What chance came from.
        history: Losses while training, every 20 steps: "step", "epoch", "learning_rate", "total", and the parts.
        validation: After every epoch: "epoch", "classification", "accuracy"; empty without validation data.
        weights: Class id → sampling weights of the last epoch over the training images of that class, in row order, sum
            1; without classes that were drawn uniformly. Of two classes 1 is the positives, 0 the negatives.
        steps: Optimiser steps.
        seconds: Wall-clock of training, weights included, validation and checkpoints not.
        given: The model was the user's own, `fit(model=...)`.
        draws: Class id → how often each of these images was drawn by weights, those of all epochs.
        encoder: What the user's encoder was, `fit(encoder=...)`.
        class_names: Name of each class by its id.
        notes: What was decided on the way for some of more than two classes, in words: images that are in a batch more
            than once, classes that are drawn uniformly though the recipe weighs them.
    """

    model: nn.Module
    recipe: Recipe
    method: str
    seed: int
    history: History
    validation: History
    weights: dict[int, NDArray[np.float64]]
    steps: int
    seconds: float
    given: bool = False
    draws: dict[int, Draws] = field(default_factory=dict)
    encoder: EncoderNote | None = None
    class_names: tuple[str, ...] = ("negative", "positive")
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        last = [
            f"{part} {values[-1]:.4f}"
            for part, values in self.history.items()
            if part == "total" and len(values)
        ]
        done = f"{self.steps:,} steps in {self.seconds:.1f} s, seed {self.seed}"
        return f"Fit({', '.join([self.method, f'recipe {self.recipe.name}', done, *last])})"

    def _repr_html_(self) -> str:
        rows = [["method", self.method], ["recipe", self.recipe.name], ["steps", f"{self.steps:,}"]]
        rows += [["seconds", f"{self.seconds:.1f}"], ["seed", str(self.seed)]]
        rows += [
            [f"last {part}", f"{values[-1]:.4g}"] for part, values in self.history.items() if len(values)
        ]
        return table_html(f"Fit of {type(self.model).__name__}", ["", ""], rows)


def optimisation_of(chosen: Recipe, method: str) -> Optimisation:
    """The optimisation that a method uses."""
    return chosen.plain if method == "plain" else chosen.debiased


# The public door: what can be brought is independent, and mostly left out; what always travels together is `Engine`.
@telling_of_the_lost()
def fit(
    table: ImageTable,
    recipe: str | Recipe = "equipoise",
    *,
    method: TrainingMethod = "debiased",
    encoder: nn.Module | None = None,
    model: Objective | None = None,
    embedding: Embedding | None = None,
    backbone: Backbone | Featured | None = None,
    validation: ImageTable | None = None,
    seed: int = 0,
    engine: Engine | None = None,
    folder: Path | str | None = None,
    resume: bool = False,
) -> Fit:
    """Train a classifier: of positives against negatives with one logit, or of K > 2 classes with one logit each.

    In a script that `torchrun` starts, each process calls this with the same arguments and gets the same model; the
    first one alone writes.

    Args:
        table: Images with labels 1 (positive) and 0 (negative), or 0…K−1; `class_names` says how many there are.
        recipe: A recipe or its name.
        method: "debiased" (the recipe's objective; positives, or of more classes the images within each, drawn by
            rarity), "uniform" (the same losses without resampling), "plain" (the plain classifier of the recipe) or
            "plain-same-steps" (the plain network, trained as the debiased one is).
        encoder: A network from images (batch, channels, height, width) in [0, 1] to feature vectors (batch, n) that
            replaces the standard CNN; it is copied, not changed.
        model: A model of your own for "plain" and "plain-same-steps", trained whole: anything with `losses` and one
            logit an image (of K > 2 classes, one a class), such as `Classifier(network)` or a wrapped model of
            `equipoise.risk`. It is copied, not changed; its weights are the start. Its architecture is not saved: give
            it to `load_model` again.
        embedding: What rarity is measured in, in place of the DB-VAE's latent codes or the look of the pictures; for
            "debiased", the other methods draw uniformly. A network from images (batch, channels, height, width) in
            [0, 1] to vectors (batch, d), run once before training and left as it is; or the vectors, one row an image
            of the table; or the name of a column that holds them. See `Resampling`. Without one, recipes that take a
            backbone measure rarity in its features.
        backbone: The pretrained network of recipes "probe" and "fine-tune"; it is copied, not changed. A
            `Featured` one knows features of tables already.
        validation: Scored after every epoch; never trained on, and nothing in training is chosen by it.
        seed: The one source of chance; the same seed gives the same model on the same machine and thread count.
        engine: Device, precision, processes; None takes what this machine has.
        folder: Where checkpoints and the history go, one an epoch; None keeps none.
        resume: Continue from the newest checkpoint in `folder`; ends with the same numbers as one uninterrupted run.

    Raises:
        InputError: if a class has no images, there are fewer images than a batch, a setting is not known, or processes
            of `torchrun` were given different things.
        TrainingError: if a loss or weight is not finite; says the step and the last good checkpoint. If another
            process stopped.
        DataError: if the folder cannot be written or a checkpoint cannot be read.
    """
    chosen, seed = find_recipe(recipe), checked_seed(seed)
    how = _checked(chosen, method, encoder, model, resumable=folder is not None or not resume)
    engine = (engine or Engine()).resolved(chosen)
    featured = check_backbone(chosen, backbone, other=model is not None or encoder is not None)
    if chosen.backbone != "frozen":
        check_trainable(table, how.batch_size, engine.processes)
    _check_validation(validation, table.class_names)
    own = {"recipe": chosen.to_dict(), "method": method, "seed": seed, "data": table.fingerprint}
    _share(engine, table, featured, own)
    weighing = _weighing(table, chosen, method, featured, embedding, seed, engine)
    vectors = weighing.vectors
    options: Any = {"seed": seed, "device": engine.device}
    probe = None
    if featured is not None:
        probe = fitted_probe(table, chosen, method, featured, vectors, **options)
    if probe is not None and chosen.backbone == "frozen":
        return _of_probe(probe, chosen, method, seed, weighing.seconds)
    network = _network(table, chosen, method, encoder=encoder, model=model, seed=seed, probe=probe)
    if weighing.resampling is not None and weighing.resampling.warmup and not resume:
        check_first_weights(chosen, table, network, vectors=vectors, **options)
    brought = _brought(network, model, encoder, validation, featured, weighing)
    job = Job(
        title=method,
        model=network,
        table=table,
        validation=validation,
        optimisation=how,
        resampling=weighing.resampling,
        seed=seed,
        weighted=weighing.weighted,
        folder=Path(folder) if folder is not None else None,
        resume=resume,
        settings=own | {"processes": engine.processes, "precision": engine.precision} | brought,
        compiled=engine.compile,
        recordable=model is None and encoder is None and isinstance(network, Classifier),
        tensorboard=engine.tensorboard,
        progress=engine.progress,
        vectors=vectors,
        seconds=weighing.seconds,
    )
    outcome = (train if engine.processes == 1 else train_in_processes)(engine.fabric(), job)
    job.model.to("cpu").eval()
    given = {"given": model is not None, "encoder": _noted(encoder)}
    return _of_job(job, outcome, chosen, method, weighing.weighted, **given)


def _share(engine: Engine, table: ImageTable, featured: Featured | None, own: Any) -> None:
    """Let several processes agree on what they were given, and run the backbone over their shares of the table."""
    if launched() > 1:
        check_alike(engine.fabric().device, "the table, recipe, method and seed", own)
    if featured is not None:
        share_pass(featured, table, engine)


def _of_job(
    job: Job, outcome: Outcome, chosen: Recipe, method: str, weighted: tuple[int, ...], **given: Any
) -> Fit:
    names = job.table.class_names
    notes = notes_of_shares(job.table, job.optimisation.batch_size)
    notes = notes + _notes_of_weights(outcome, names, weighted, chosen)
    told: Any = {**vars(outcome), **given, "class_names": names, "notes": tuple(notes)}
    return Fit(job.model, chosen, method, job.seed, **told)


class _Weighing(NamedTuple):
    """How images are drawn: by what, of which classes, and the seconds that it took to know it."""

    resampling: Resampling | None
    embedding: Embedding | None
    weighted: tuple[int, ...]
    vectors: Any
    seconds: float


def _weighing(
    table: ImageTable,
    chosen: Recipe,
    method: str,
    featured: Featured | None,
    embedding: Embedding | None,
    seed: int,
    engine: Engine,
) -> _Weighing:
    if method != "debiased":
        return _Weighing(None, embedding, (), None, 0.0)
    if chosen.resampling.rule == "errors":
        _check_no_embedding(embedding)
        embedding = found_errors(table, chosen, featured, seed, engine, fit)
    elif embedding is None and featured is not None:
        embedding = featured_vectors(table, chosen, featured, engine.device)
    weighted = weighted_classes(chosen, table.class_names, embedded=embedding is not None)
    vectors, seconds = timed_vectors(chosen, weighted, embedding, table, engine.device)
    return _Weighing(chosen.resampling, embedding, weighted, vectors, seconds)


def _network(
    table: ImageTable,
    chosen: Recipe,
    method: str,
    *,
    encoder: nn.Module | None,
    model: Objective | None,
    seed: int,
    probe: Fitted | None = None,
) -> Any:
    """What is trained: built from the recipe, or the user's own."""
    names = table.class_names
    if probe is not None:
        return trainable(probe.model.backbone)
    if model is not None:
        two = torch.from_numpy(table.batch(first_two(table)))
        return prepared(model, two, seed=seed, classes=len(names))
    shape = table.image_size, table.channels
    return build(chosen, method, *shape, encoder=encoder, seed=seed, class_names=names)


def _check_no_embedding(embedding: Embedding | None) -> None:
    if embedding is not None:
        raise InputError(
            "Rule 'errors' draws by what plain models get wrong; got an embedding with it. Leave it out, or take the "
            "rule 'neighbours'."
        )


def _of_probe(probe: Fitted, chosen: Recipe, method: str, seed: int, seconds: float) -> Fit:
    """Nothing was drawn and no step taken."""
    return Fit(
        *(probe.model, chosen, method, seed, {}, {}),
        weights=probe.weights,
        steps=0,
        seconds=seconds + probe.seconds,
        class_names=probe.model.backbone.class_names or (),
    )


def _notes_of_weights(
    outcome: Outcome, names: Sequence[str], weighted: Sequence[int], chosen: Recipe
) -> list[str]:
    if not outcome.weights:
        return []
    return notes_of_uniform(names, set(weighted) - set(outcome.weights), chosen.resampling)


def _brought(
    network: Any,
    model: Objective | None,
    encoder: nn.Module | None,
    validation: ImageTable | None,
    featured: Featured | None,
    weighing: _Weighing,
) -> dict[str, str]:
    """What of the user's own a checkpoint must agree with."""
    found = {} if model is None else {"model": _named(model, network)}
    if encoder is not None:
        found["encoder"] = _named(encoder, encoder)
    if validation is not None and len(validation):
        found["validation"] = validation.fingerprint
    if featured is not None:
        found["backbone"] = f"{featured.backbone.name} {featured.backbone.digest}"
    if weighing.embedding is not None and weighing.vectors is not None:
        found["embedding"] = embedding_identity(weighing.embedding)
    return found


def _noted(encoder: nn.Module | None) -> EncoderNote | None:
    return None if encoder is None else EncoderNote(type(encoder).__name__, architecture_digest(encoder))


def _named(given: Any, weights: nn.Module | Objective) -> str:
    return f"{type(given).__name__} {digest_of(weights)}"


def _checked(
    chosen: Recipe, method: str, encoder: nn.Module | None, model: Objective | None, *, resumable: bool
) -> Optimisation:
    """The optimisation of the method, once it goes together with what was brought."""
    if method not in METHODS:
        raise InputError(f"A method must be one of {', '.join(METHODS)}; got {method!r}. Choose one of them.")
    if not resumable:
        raise InputError(
            "To resume, the folder of the first start is needed; got none. Give the same folder again."
        )
    if model is not None and (encoder is not None or method not in ("plain", "plain-same-steps")):
        raise InputError(
            f"A model of your own is trained by itself, as it is; got it with "
            f"{'an encoder' if encoder is not None else f'method {method!r}'}. "
            "Give model= with method='plain' or 'plain-same-steps', and no encoder."
        )
    how = optimisation_of(chosen, method)
    if model is not None and how.average is not None:
        raise InputError(
            f"A model of your own may hold statistics that cannot be averaged; got average {how.average}. "
            "Use a recipe whose optimisation has average=None."
        )
    return how


def first_two(table: ImageTable) -> NDArray[np.int64]:
    """The first image of class 0 and that of class 1."""
    return np.array([int((table.labels == class_id).argmax()) for class_id in (0, 1)])


def _check_validation(validation: ImageTable | None, names: Sequence[str]) -> None:
    if validation is not None and validation.labels.max(initial=0) >= len(names):
        raise InputError(
            f"Expected validation images of the {len(names)} classes that are trained; got class ids up to "
            f"{validation.labels.max()}. Leave those images out, or number the classes alike."
        )
