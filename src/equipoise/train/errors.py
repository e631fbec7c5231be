"""Which images a plain model gets wrong that was not trained on them: groups that nobody had to name."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import FeatureStore, fit_linear
from equipoise.seeds import child_seed
from equipoise.train.classes import weighted_classes, weighted_rows
from equipoise.train.device import device_of
from equipoise.train.embedding import Embedded
from equipoise.train.engine import Engine
from equipoise.train.featured import Featured, logits_of
from equipoise.train.predict import predict
from equipoise.train.recipe import Recipe, epochs_of

__all__ = ["Calls", "found_errors", "linear_calls", "two_halves", "wrong_by_halves"]

Calls = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]


def two_halves(table: ImageTable, seed: int) -> NDArray[np.bool_]:
    """Whether each image is in the second half: half of each class, equal images on one side, shape (n,)."""
    chance = np.random.default_rng(child_seed(seed, "halves"))
    _, first, unit = np.unique(table.digests, return_index=True, return_inverse=True)
    order = chance.permutation(len(first))
    order = order[np.argsort(table.labels[first[order]], kind="stable")]
    second = np.zeros(len(first), bool)
    second[order[1::2]] = True
    return second[unit.reshape(-1)]


def wrong_by_halves(table: ImageTable, calls: Calls, seed: int) -> NDArray[np.bool_]:
    """Which images are called another class by a model that learned from the other half, shape (n,).

    Args:
        table: The images.
        calls: Rows to learn from, rows to call → class ids of the latter.
        seed: Of the halves.

    Raises:
        InputError: if a class has fewer than four different images.
    """
    second = two_halves(table, seed)
    names = table.class_names
    for half in (second, ~second):
        counts = np.bincount(table.labels[half], minlength=len(names))
        if counts.min() < 2:
            raise InputError(
                f"Errors are found by models of one half on the other; class {names[int(counts.argmin())]!r:.60} has "
                f"{counts.min()} different images in one. Add images, or use another rule."
            )
    found = np.zeros(len(table), bool)
    for half in (second, ~second):
        learn, call = np.flatnonzero(half), np.flatnonzero(~half)
        found[call] = calls(learn, call) != table.labels[call]
    return found


def linear_calls(table: ImageTable, store: FeatureStore, C: float) -> Calls:
    """By a last layer on features."""

    def calls(learn: NDArray[np.int64], call: NDArray[np.int64]) -> NDArray[np.int64]:
        layer = fit_linear(store.vectors(learn), table.labels[learn], C=C, classes=len(table.class_names))
        logits = logits_of(layer, FeatureStore(store.vectors(call), None, store.layout))
        return np.asarray(logits > 0 if logits.ndim == 1 else logits.argmax(1), np.int64)

    return calls


def found_errors(
    table: ImageTable,
    chosen: Recipe,
    featured: Featured | None,
    seed: int,
    engine: Engine,
    fit: Callable[..., Any],
) -> Embedded:
    """1 for each image of the weighted classes that a plain model of the other half gets wrong, else 0, in the place of
    an embedding's vectors.

    Args:
        table: What is trained on.
        chosen: The recipe.
        featured: Its backbone, of which last layers find them; None: its plain classifier, trained a third as long.
        seed: Of the run.
        engine: Where models are trained.
        fit: Trains one.

    Raises: what `wrong_by_halves` does.
    """
    began = time.perf_counter()
    if featured is not None:
        calls = linear_calls(table, featured.of(table, device_of(engine.device)), chosen.C)
    else:
        calls = _trained_calls(table, chosen, seed, engine, fit)
    wrong = wrong_by_halves(table, calls, seed)
    rows = weighted_rows(table, weighted_classes(chosen, table.class_names, embedded=True))
    flags = wrong[rows].astype(np.float32)[:, None]
    return Embedded(flags, rows, "errors", time.perf_counter() - began)


def _trained_calls(
    table: ImageTable, chosen: Recipe, seed: int, engine: Engine, fit: Callable[..., Any]
) -> Calls:
    """By the recipe's plain classifier, trained a third as long: what it gets wrong, it has not learned by heart."""

    def calls(learn: NDArray[np.int64], call: NDArray[np.int64]) -> NDArray[np.int64]:
        some = table.take(learn)
        many = epochs_of(chosen.plain, len(some) // chosen.plain.batch_size)
        short = replace(chosen, plain=replace(chosen.plain, epochs=max(1, round(many / 3))))
        chance = child_seed(seed, "errors", int(learn[0]))
        found = fit(some, short, method="plain", seed=chance, engine=engine)
        told = predict(found.model, table.take(call), device=engine.device)
        return np.asarray(told > 0.5 if told.ndim == 1 else told.argmax(1), np.int64)

    return calls
