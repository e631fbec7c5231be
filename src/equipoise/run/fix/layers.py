"""The last layers that a fix is held against, and what each calls images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from equipoise import fix as fixes
from equipoise.data import ImageTable
from equipoise.nn import Backbone, FeatureStore
from equipoise.train.featured import logits_of

__all__ = ["Layer", "Layers", "called", "group_ids", "layers_of", "logits_by", "own_logits"]

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layer:
    """A last layer; None is the network's own."""

    title: str
    role: str
    layer: nn.Linear | None


@dataclass(frozen=True, eq=False)
class Layers:
    """By name, "before" and "after" first."""

    every: dict[str, Layer]


def own_logits(backbone: Backbone, table: ImageTable, store: FeatureStore) -> NDArray[np.float32] | None:
    """Logits of the network as it is, in the order of the table's classes; None if its last layer is of others.

    Classes are told by name where both sides have names, else by number.
    """
    logits, names = store.logits, table.class_names
    if logits is None or max(2, logits.shape[1]) != len(names):
        return None
    order = list(range(len(names)))
    if backbone.class_names is not None and table.classes:
        if set(backbone.class_names) != set(names):
            return None
        order = [backbone.class_names.index(name) for name in names]
    if logits.shape[1] == 1:
        found: NDArray[np.float32] = np.asarray(logits[:, 0])
        return found if order == [0, 1] else -found
    return np.asarray(logits[:, order])


def group_ids(table: ImageTable, attributes: Sequence[str]) -> Ids | None:
    """Ids of the values that images have of these columns together, −1 where one is unknown; None without columns,
    or where nothing is known."""
    if not attributes:
        return None
    found, known = np.zeros(len(table), np.int64), np.ones(len(table), bool)
    for name in attributes:
        groups = table.groups(name)
        found = found * len(groups.names) + groups.ids
        known &= np.asarray(groups.known)
    if not known.any():
        return None
    found[known] = np.unique(found[known], return_inverse=True)[1].reshape(-1)
    found[~known] = -1
    return found


def layers_of(
    choice: fixes.Choice,
    store: FeatureStore,
    table: ImageTable,
    attributes: Sequence[str],
    seed: int,
) -> Layers:
    """Before, after, and the controls: every image alike, every class alike, thresholds alone; and where training
    images have groups, a layer that was told them."""
    options: dict[str, Any] = {
        "together": [table.digests],
        "classes": len(table.class_names),
        "seed": seed,
    }
    left = choice.left
    own = choice.layer is None or "C" not in left.settings
    every = {
        "before": Layer("the network as it is", "before", None)
        if own
        else Layer("plain last layer", "before", _fitted("plain", left.settings, store, table, options)),
        "after": Layer("left as it is" if choice.layer is None else choice.name, "after", choice.layer),
    }
    if own:
        every["plain"] = Layer("plain last layer", "control", _best(choice, "plain", store, table, options))
    for name, title in (
        ("classes equal", "classes equal"),
        ("thresholds a class", "only thresholds moved"),
    ):
        every[name] = Layer(title, "control", _best(choice, name, store, table, options))
    ids = group_ids(table, [name for name in attributes if name in table.columns])
    if ids is not None and len(np.unique(table.labels[ids >= 0])) == len(np.unique(table.labels)):
        layer = _best(choice, "groups equal", store, table, {**options, "known": {"groups": ids}})
        every["groups equal"] = Layer("training groups equal (oracle)", "oracle", layer)
    return Layers(every)


def _best(
    choice: fixes.Choice,
    method: str,
    store: FeatureStore,
    table: ImageTable,
    options: dict[str, Any],
) -> nn.Linear:
    """A control at the strength that the choice found best for it."""
    tried = [one for one in choice.candidates if one.method == method]
    settings = max(tried, key=lambda one: one.merit).settings if tried else {}
    return _fitted(method, settings, store, table, options)


def _fitted(
    method: str, settings: dict[str, Any], store: FeatureStore, table: ImageTable, options: dict[str, Any]
) -> nn.Linear:
    return fixes.refit(store, table, method, **{**options, **settings})


def logits_by(own: NDArray[np.float32] | None, layer: Layer, store: FeatureStore) -> NDArray[np.float32]:
    """Logits that a last layer gives images, shape (n,) of two classes, (n, K) of more."""
    logits = logits_of(layer.layer, store) if layer.layer is not None else own
    if logits is None:
        raise ValueError(f"{layer.title} has no logits of these classes")
    return logits


def called(logits: NDArray[np.float32]) -> Ids:
    """Class ids that logits call images."""
    return np.asarray((logits > 0) if logits.ndim == 1 else logits.argmax(1), np.int64)
