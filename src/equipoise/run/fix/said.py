"""What every last layer says of the test images, a row an image, in scores.parquet; and where the new one is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from equipoise.data import ImageTable
from equipoise.nn import Backbone, FeatureStore
from equipoise.probabilities import from_logits
from equipoise.report.fix.record import AFTER, BEFORE
from equipoise.report.parts.wrong import WrongPictures
from equipoise.run.fix.failing import Failing
from equipoise.run.fix.layers import Layers, logits_by, own_logits
from equipoise.run.scores import write_scores
from equipoise.run.wrong import Cells, Said, by_group, write_wrong
from equipoise.train.featured import logits_of

__all__ = ["write_said", "write_wrong_after"]


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


def write_wrong_after(
    folder: Path,
    said: tuple[Backbone, Layers],
    store: FeatureStore,
    table: ImageTable,
    failing: Failing,
    *,
    attributes: Sequence[str],
    seed: int,
) -> WrongPictures:
    """What the new last layer calls wrong on test images, by class and group; without columns of groups in the slices
    that were found in the data, and without slices by class."""
    backbone, layers = said
    after = layers.every[AFTER]
    title = after.title if after.layer is not None else layers.every[BEFORE].title
    logits = logits_by(own_logits(backbone, table, store), after, store)
    names = table.class_names
    cells = by_group(table.labels, names, [table.groups(name) for name in attributes])
    if not attributes and failing.found is not None and failing.found.slices:
        found = failing.found
        ids = found.assign(store.features, table.labels)
        cells = Cells("slice", [(ids, lambda cell: found.slices[cell].name)])
    return write_wrong(
        folder, table, Said.of(title, np.asarray(from_logits(logits)), names), cells, seed=seed
    )
