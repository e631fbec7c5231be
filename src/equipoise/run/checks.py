"""What can be known to be wrong before anything is trained, and before an earlier run is replaced."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from equipoise.data import ImageTable
from equipoise.fairness.scored import fraction, replicate_count
from equipoise.run.engine import Engine
from equipoise.seeds import child_seed
from equipoise.train import Embedding, Recipe, check_trainable
from equipoise.train.embedding import check_embedding, weighted_rows
from equipoise.train.fit import build, optimisation_of
from equipoise.train.rarity import check_resampling

__all__ = ["check_models", "check_numbers"]


def check_numbers(*, fpr: float = 0.01, replicates: int = 2000, seed: int = 0) -> None:
    """Whether the numbers of a run can be used.

    Raises:
        InputError: if one is out of range.
    """
    fraction(fpr, "The false-positive rate")
    replicate_count(replicates)
    child_seed(seed)


def check_models(
    methods: Sequence[str],
    table: ImageTable,
    chosen: Recipe,
    engine: Engine,
    encoder: nn.Module | None,
    embedding: Embedding | None = None,
) -> None:
    """Whether every method's network can be built for these images, its batches filled, and images be embedded.

    Raises:
        InputError: if one cannot.
    """
    for method in methods:
        check_trainable(table, optimisation_of(chosen, method).batch_size, engine.processes)
        build(chosen, method, table.image_size, table.channels, encoder=encoder)
        if method == "debiased":
            check_resampling(chosen.resampling, embedded=embedding is not None)
            if embedding is not None:
                both = chosen.resampling.classes == "both"
                check_embedding(embedding, table, weighted_rows(table, both=both))
