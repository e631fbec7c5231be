"""One fix, fitted on everything that there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from equipoise.errors import InputError
from equipoise.fix.axes import AXES, Axes, Coefficients
from equipoise.fix.checks import (
    Features,
    Labels,
    checked_classes,
    checked_ids,
    checked_labels,
    checked_vector,
    paired,
    units_of,
)
from equipoise.fix.registry import Fix, fix_named
from equipoise.fix.rows import FINDING, Known, Rows
from equipoise.seeds import checked_seed, child_seed
from equipoise.threads import one_thread

__all__ = ["cross_fitted", "mean_of_seeds", "refit", "rows_of"]


def refit(
    features: Features,
    labels: Labels,
    method: str = "errors as groups",
    *,
    known: dict[str, ArrayLike] | None = None,
    together: Sequence[Any] = (),
    classes: int | None = None,
    seeds: int = 3,
    seed: int = 0,
    **settings: Any,
) -> nn.Linear:
    """A new last layer, by one method.

    Args:
        features: Shape (n, d), of any float type; they may be memory-mapped. Or what `nn.features` gives.
        labels: Class ids 0…K−1, shape (n,). Or the table itself: then features of other pictures are refused.
        method: A name in `FIXES`.
        known: What the method needs besides: `groups` or `slices` (ids, −1 for none) or `log_density` (nats).
        together: Columns, such as contents and subjects, shape (n,) each: rows with an equal value are never in what
            finds the failing and in what is looked at. None in a column is no value.
        classes: K; None takes the largest label.
        seeds: Layers that are averaged, each with folds of its own.
        seed: Decides the folds.
        settings: Of the method, such as C.

    Returns:
        Features as they are → logits; 1 output for two classes (above 0 is class 1), else K.

    Raises:
        InputError: if something does not fit; says what.

    Example:
        >>> import numpy as np, torch
        >>> chance = np.random.default_rng(0)
        >>> labels = np.arange(200) % 2
        >>> features = (chance.normal(size=(200, 5)) + 2 * labels[:, None]).astype(np.float32)
        >>> layer = refit(features, labels)
        >>> bool(((layer(torch.from_numpy(features))[:, 0] > 0).numpy() == labels).mean() > 0.9)
        True
    """
    fix = fix_named(method)
    axes, rows = rows_of(features, labels, known=known or {}, together=together, classes=classes, seed=seed)
    if not fix.possible(rows.known):
        raise InputError(
            f"Expected {fix.needs} for {method!r}; got none. Give known={{{fix.needs!r}: …}}, or take another method."
        )
    if seeds < 1:
        raise InputError(f"seeds must be at least 1; got {seeds}. 3 is the usual number.")
    return axes.layer(mean_of_seeds(fix, rows, settings, seeds))


def cross_fitted(
    features: Features,
    labels: Labels,
    *,
    C: float = 1e-3,
    together: Sequence[Any] = (),
    classes: int | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Logits of each row from a plain last layer that was fitted on the other folds.

    Args:
        features: As `refit` takes them; so are `labels`, `together` and `classes`.
        C: Strength of the layer.
        seed: Decides the folds.

    Returns:
        Shape (n,) of two classes, above 0 is class 1; else (n, K).

    Raises:
        InputError: if something does not fit, or a class has fewer different rows than folds.
    """
    _, rows = rows_of(features, labels, known={}, together=together, classes=classes, seed=seed)
    with one_thread():
        logits = rows.first_stage(C, False)
    return logits[:, 0] if logits.shape[1] == 1 else logits


def mean_of_seeds(fix: Fix, rows: Rows, settings: Any, seeds: int) -> Coefficients:
    """The mean layer of a fix over folds of several seeds."""
    with one_thread():
        many = [
            fix(rows.seeded(child_seed(rows.seed, "refit", number)), **settings) for number in range(seeds)
        ]
    total: Coefficients = sum(many[1:], many[0]) / seeds
    return total


def rows_of(
    features: Features,
    labels: Labels,
    *,
    known: dict[str, Any],
    together: Sequence[Any],
    classes: int | None,
    seed: int,
    fewest: int = FINDING,
) -> tuple[Axes, Rows]:
    """Features and labels, checked, on their axes."""
    values, given_ids = paired(features, labels)
    axes, many = Axes.of(values, most=AXES), len(values)
    ids = checked_labels(given_ids, many)
    units = units_of(many, together)
    found = checked_classes(ids, classes, units, max(fewest, FINDING))
    unknown = sorted(set(known) - {"groups", "slices", "log_density"})
    if unknown:
        raise InputError(
            f"Expected groups, slices or log_density in `known`; got {unknown[0]!r}. Write one of these."
        )
    given = Known(
        groups=_ids(known.get("groups"), many, "groups"),
        slices=_ids(known.get("slices"), many, "slices"),
        log_density=None
        if known.get("log_density") is None
        else checked_vector(known["log_density"], many, "log_density"),
    )
    return axes, Rows(axes(values), ids, found, units, given, checked_seed(seed))


def _ids(values: Any, rows: int, what: str) -> Any:
    return None if values is None else checked_ids(values, rows, what, lowest=-1)
