"""What can be known to be wrong before anything is trained, and before an earlier run is replaced."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from torch import nn

from equipoise.data import ImageTable
from equipoise.errors import EquipoiseError, InputError, MissingExtraError
from equipoise.failures import refused
from equipoise.fairness.scored import fraction, replicate_count
from equipoise.nn import pixels
from equipoise.run.engine import Engine
from equipoise.seeds import checked_seed
from equipoise.train import Embedding, Recipe, check_trainable
from equipoise.train.embedding import Embedded, embedded, weighted_rows
from equipoise.train.first_weights import check_first_weights
from equipoise.train.fit import build, fabric_of, optimisation_of
from equipoise.train.rarity import check_resampling

__all__ = ["Start", "check_groups", "check_models", "check_numbers", "check_test", "embedded_once", "need"]


@dataclass(frozen=True, eq=False)
class Start:
    """What models are trained with.

    Args:
        recipe: The recipe.
        engine: Device and speed.
        encoder: Of the user's own; None = the standard CNN.
        embedding: What rarity is measured in; None = as the recipe says.
        seed: Of the run.
    """

    recipe: Recipe
    engine: Engine
    encoder: nn.Module | None = None
    embedding: Embedding | None = None
    seed: int = 0


def check_numbers(*, fpr: float = 0.01, replicates: int = 2000, seed: Any = 0) -> int:
    """Whether the numbers of a run can be used; the seed as a plain int.

    Raises:
        InputError: if one is out of range.
    """
    fraction(fpr, "The false-positive rate")
    replicate_count(replicates)
    return checked_seed(seed)


def need(package: str, extra: str, what: str) -> None:
    """Whether an optional package is there.

    Raises:
        MissingExtraError: if it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(
            f"{what} needs the package {package}, which is not installed. Run: pip install 'equipoise[{extra}]'"
        )


def check_groups(table: ImageTable, groups: Sequence[str]) -> None:
    """Whether columns hold values that images can be grouped by.

    Raises:
        InputError: if one holds something else, such as vectors.
    """
    for name in groups:
        kind = table.attributes.column(name).type
        if pa.types.is_nested(kind):
            raise InputError(
                f"Expected a column of names or numbers for --groups; {name!r} holds {kind}. Choose another column."
            )


def check_test(table: ImageTable, groups: Sequence[str]) -> None:
    """Whether models can be measured on these images.

    Raises:
        InputError: if a class is missing, or a column cannot be grouped by.
    """
    if not (len(table.positives) and len(table.negatives)):
        raise InputError(
            f"Expected positives and negatives among the test images; got {len(table.positives)} and "
            f"{len(table.negatives)}. Give more images, or a larger --test-share."
        )
    check_groups(table, groups)


def embedded_once(
    embedding: Embedding | None, table: ImageTable, chosen: Recipe, device: str
) -> Embedding | None:
    """The vectors of all images that are weighted, for the checks and for training; None without an embedding.

    Raises:
        InputError: if one of them cannot be had.
    """
    if embedding is None:
        return None
    rows = weighted_rows(table, both=chosen.resampling.classes == "both")
    return embedded(embedding, table, rows, device=device)


def check_models(methods: Sequence[str], table: ImageTable, start: Start, *, weights: bool = True) -> None:
    """Whether every model can be built for these images, its batches filled, and its images be weighed.

    Args:
        methods: Of `METHODS`, those that are to be trained.
        table: What they are trained on.
        start: With what.
        weights: Weigh the images too; False where an earlier start has.

    Raises:
        InputError: if one cannot.
        MissingExtraError: if something needs a package that is not installed.
    """
    chosen, engine = start.recipe, start.engine
    fabric_of(engine.device, engine.precision, engine.processes)
    if engine.tensorboard:
        need("tensorboard", "tensorboard", "--tensorboard")
    if "debiased" in methods:  # the cheapest first: what settings alone say
        embedded = start.embedding is not None
        check_resampling(chosen.resampling, embedded=embedded, codes=chosen.objective == "db-vae")
    for method in methods:
        check_trainable(table, optimisation_of(chosen, method).batch_size, engine.processes)
    shape = table.image_size, table.channels
    for method in methods:
        model = build(chosen, method, *shape, encoder=start.encoder, seed=start.seed)
        if start.encoder is not None:
            _check_step(build(chosen, method, *shape, encoder=start.encoder), table)
        if method == "debiased" and weights:
            given = start.embedding
            vectors = given.vectors if isinstance(given, Embedded) else None
            check_first_weights(chosen, table, model, vectors=vectors, seed=start.seed, device=engine.device)


def _check_step(model: Any, table: ImageTable) -> None:
    """Whether a user's encoder can be trained: one image of each class there and back."""
    two = [int(table.negatives[0]), int(table.positives[0])]
    images = pixels(torch.from_numpy(table.batch(torch.tensor(two).numpy())))
    try:
        with torch.random.fork_rng(devices=[]):
            model.train().losses(images, torch.tensor([0, 1]), generator=torch.Generator()).total.backward()
    except EquipoiseError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        if refused(error):
            raise
        raise InputError(
            f"The encoder must be trained on images of shape (batch, {', '.join(map(str, images.shape[1:]))}) in "
            f"[0, 1]; got this error from it: {error}. Adapt it."
        ) from error
