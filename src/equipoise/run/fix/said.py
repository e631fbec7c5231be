"""What every last layer says of the test images, a row an image, in scores.parquet."""

from __future__ import annotations

from pathlib import Path

from equipoise.data import ImageTable
from equipoise.nn import Backbone, FeatureStore
from equipoise.probabilities import from_logits
from equipoise.run.fix.layers import Layers, own_logits
from equipoise.run.scores import write_scores
from equipoise.train.featured import logits_of

__all__ = ["write_said"]


def write_said(
    path: Path, backbone: Backbone, layers: Layers, store: FeatureStore, table: ImageTable
) -> None:
    """Write a row a test image: its class, and its probabilities by each last layer that has logits of its classes."""
    own = own_logits(backbone, table, store)
    logits = {
        name: own if one.layer is None else logits_of(one.layer, store) for name, one in layers.every.items()
    }
    write_scores(
        path,
        table,
        {f"probability_{name}": from_logits(of) for name, of in logits.items() if of is not None},
        None,
        split="test",
        made=None if store.folder is None else {"features": store.folder.name},
    )
