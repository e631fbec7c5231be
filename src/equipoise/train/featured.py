"""A backbone with the features of tables, and the model that a last layer on them makes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from equipoise.data import ImageTable
from equipoise.nn import Backbone, BackboneClassifier, FeatureStore, Pace, features, slices, with_last_layer
from equipoise.nn.features import Elsewhere

__all__ = ["Featured", "Probe", "logits_of"]

ROWS = 8192  # of features worked on at a time


@dataclass(frozen=True, eq=False)
class Featured:
    """A backbone with what it made of tables so far: each is passed through it once.

    Args:
        backbone: Any network.
        cache: Folder to keep features in, see `nn.features`; None keeps them in memory alone.
        told: See `nn.features`.
    """

    backbone: Backbone
    cache: str | os.PathLike[str] | None = None
    told: Callable[[Pace], None] = lambda pace: None
    stores: dict[str, FeatureStore] = field(default_factory=dict, repr=False)

    def of(
        self, table: ImageTable, device: torch.device | None = None, elsewhere: Elsewhere | None = None
    ) -> FeatureStore:
        """Features of a table.

        Raises: what `nn.features` does.
        """
        found = self.stores.get(table.fingerprint)
        if found is None:
            how: Any = {"cache": self.cache, "device": device, "told": self.told}
            found = features(self.backbone, table, **how, elsewhere=elsewhere)
            self.stores[table.fingerprint] = found
        return found


class Probe(BackboneClassifier):
    """A last layer on the features of a backbone, which stays as it is: pictures in [0, 1] → logits.

    Args:
        featured: The backbone, and its features of tables.
        layer: Features → logits.
        class_names: Of the logits, by id.
    """

    def __init__(self, featured: Featured, layer: nn.Linear, class_names: tuple[str, ...]) -> None:
        super().__init__(with_last_layer(featured.backbone, layer, class_names))
        self._fitted = featured, layer  # in a tuple: no part of the weights a second time

    def logits_of(self, table: ImageTable, device: torch.device | None = None) -> NDArray[np.float32]:
        """Logits of a table by its features, shape (n,) or (n, K): the network runs once for all such models."""
        return logits_of(self._fitted[1], self.features(table, device))

    def features(self, table: ImageTable, device: torch.device | None = None) -> FeatureStore:
        """What its last layer takes."""
        return self._fitted[0].of(table, device)

    def with_layer(self, layer: nn.Linear) -> Probe:
        """Another last layer on the same features."""
        return Probe(self._fitted[0], layer, self.backbone.class_names or ())


def logits_of(layer: nn.Linear, store: FeatureStore) -> NDArray[np.float32]:
    """Logits of features, shape (n,) of a layer with one, else (n, K)."""
    found = np.empty((len(store), layer.out_features), np.float32)
    with torch.inference_mode():
        for place in slices(len(store), ROWS):
            some = torch.from_numpy(np.asarray(store.features[place], np.float32))
            found[place] = layer(some).numpy()
    return found[:, 0] if layer.out_features == 1 else found
