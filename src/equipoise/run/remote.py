"""A pass of a network over pictures on a cluster: what travels are names and places, and workers load the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.cluster import Cluster, Columns, ShardFolder, cluster_of, computed
from equipoise.data import ImageTable
from equipoise.errors import InputError
from equipoise.nn import Backbone, digest_of, features, slices
from equipoise.nn.export import by_onnx
from equipoise.nn.feature_store import Layout, pictures_digest
from equipoise.nn.features import Elsewhere, as_kept, usual_batch_size
from equipoise.nn.features import computed as computed_features
from equipoise.run.backbone_source import backbone_source
from equipoise.run.model_source import ModelSource, Network
from equipoise.run.reading import Reading
from equipoise.train.device import device_of
from equipoise.train.logits import model_logits

__all__ = [
    "ONNX",
    "Loading",
    "OnnxFeatures",
    "RemoteFeatures",
    "remote_features",
    "remote_scores",
    "shards_of",
]

ONNX = "onnx"
"""As `Engine.on`: by onnxruntime on this machine."""


@dataclass(frozen=True, eq=False)
class Loading:
    """What a job was given of a network, from which any process can load the same.

    Args:
        network: The name and its options, or a network in memory, which then travels.
        reading: How the user asked for pictures.
        fixed: Loaded as what is to get another last layer, else as what is to be looked at.
    """

    network: Network
    reading: Reading
    fixed: bool = False

    def source(self, device: str) -> ModelSource:
        """As a job that looks at it loads it."""
        return self.network.loaded(self.reading, device=device)[0]

    def backbone(self, table: ImageTable) -> Backbone:
        """As the pass over a table runs it."""
        if not self.fixed:
            return self.source("auto").on(table)
        featured = backbone_source(self.network, self.reading).featured
        if featured is None:
            raise InputError("Expected a network; got none. Name one.")
        return featured.backbone


@dataclass(frozen=True, eq=False)
class FeatureWork:
    """Features and logits of a table's pictures, see `cluster.Work`."""

    loading: Loading
    table: ImageTable
    layout: Layout
    device: str

    def opened(self) -> Callable[[NDArray[np.int64]], Columns]:
        """Load the network, and see that it is the same.

        Raises:
            InputError: if it is another one here.
        """
        backbone, device = self.loading.backbone(self.table), device_of(self.device)
        _check_same(backbone.name, backbone.digest, self.layout.backbone)
        dtype = cast(Literal["float16", "float32"], self.layout.dtype)

        def of(rows: NDArray[np.int64]) -> Columns:
            store = features(backbone, self.table.take(rows), device=device, dtype=dtype)
            return {"features": store.features, **({} if store.logits is None else {"logits": store.logits})}

        return of


@dataclass(frozen=True, eq=False)
class ScoreWork:
    """Logits, and the log-density of a run's model, of a table's pictures, see `cluster.Work`."""

    loading: Loading
    table: ImageTable
    digest: str
    device: str

    def opened(self) -> Callable[[NDArray[np.int64]], Columns]:
        """Load the model, and see that it is the same.

        Raises:
            InputError: if it is another one here.
        """
        source = self.loading.source(self.device)
        _check_same(source.title, source.digest, self.digest)
        model, seen = source.logits(), None if source.saved is None else source.saved.seen

        def of(rows: NDArray[np.int64]) -> Columns:
            some = self.table.take(rows)
            logits = model_logits(model, some, device=device_of(self.device))
            return {"logits": logits, **({} if seen is None else {"log_density": seen.log_density(some)})}

        return of


def _check_same(name: str, here: str, there: str) -> None:
    if here != there:
        raise InputError(
            f"Expected {name} with the weights that it has where the job was started; a worker of the cluster loads "
            "others. Put the same files on every machine, or in a folder that all share."
        )


@dataclass(frozen=True, eq=False)
class RemoteFeatures:
    """Features on a cluster, see `nn.features.Elsewhere`.

    Args:
        cluster: Where.
        loading: Of the network.
        device: Of a worker.
    """

    cluster: Cluster
    loading: Loading
    device: str

    @property
    def batch_size(self) -> None:
        """Shards come in any order, and are kept themselves."""

    def __call__(
        self, table: ImageTable, layout: Layout, folder: Path | None, first: int
    ) -> Iterator[tuple[slice, Columns]]:
        """Every row from `first` on, in any order."""
        work = FeatureWork(self.loading, _bare(table), layout, self.device)
        key = digest_of({**layout.settings(), "device": self.device})
        yield from computed(work, layout.rows, key, folder, self.cluster, device=self.device, first=first)

    def clear(self, folder: Path | None) -> None:
        """Remove shards that are in the store."""
        if folder is not None:
            ShardFolder(folder, "").clear()


@dataclass(eq=False)
class OnnxFeatures:
    """Features by onnxruntime on this machine, see `nn.features.Elsewhere`.

    Args:
        loading: Of the network.
        batch_size: Pictures at a time, known once it runs.
    """

    loading: Loading
    batch_size: int | None = None
    _ready: tuple[Backbone, Backbone] | None = None  # as it was loaded, and by onnxruntime: made once

    def made_ready(self, backbone: Backbone) -> tuple[Backbone, Backbone]:
        """It, and it by onnxruntime, written here.

        Raises: what `nn.export.by_onnx` does.
        """
        self._ready = backbone, by_onnx(backbone)
        return self._ready

    def __call__(
        self, table: ImageTable, layout: Layout, folder: Path | None, first: int
    ) -> Iterator[tuple[slice, Columns]]:
        """Every row from `first` on, in order."""
        backbone, quick = self._ready or self.made_ready(self.loading.backbone(table))
        _check_same(backbone.name, backbone.digest, layout.backbone)
        self.batch_size = usual_batch_size(backbone, table, None)
        rest = (
            slice(one.start + first, one.stop + first) for one in slices(len(table) - first, self.batch_size)
        )
        for place, found in computed_features(quick, table, rest):
            kept = {"features": as_kept(found.features, layout.dtype, backbone.name)}
            yield place, kept if found.logits is None else kept | {"logits": found.logits.numpy()}

    def clear(self, folder: Path | None) -> None:
        """Nothing but the store itself was kept."""


def remote_features(
    on: str | None, loading: Loading, device: str, known: Backbone | None, say: Callable[[str], None]
) -> Elsewhere | None:
    """Where features are computed; None is this process as it is.

    Args:
        known: The network, where it is known before pictures are read: whether it can be told in ONNX is then found out
            at once.
        say: Takes a line.

    Raises: what `cluster_of` and `nn.export.by_onnx` do.
    """
    if on == ONNX:
        found = OnnxFeatures(loading)
        if known is not None:
            say(f"Writing {known.name} as ONNX.")
            found.made_ready(known)
        return found
    return None if on is None else RemoteFeatures(cluster_of(on), loading, device)


def shards_of(out: str | os.PathLike[str]) -> Path:
    """Where shards of scores lie until all are there."""
    return Path(f"{os.fspath(out)}.shards")


def remote_scores(
    cluster: Cluster, loading: Loading, source: ModelSource, table: ImageTable, device: str, folder: Path
) -> Mapping[str, NDArray[np.float64]]:
    """Logits of all pictures, shape (n,) or (n, K), and their log-density where the model has one.

    Args:
        cluster: Where.
        loading: Of the model.
        source: It, loaded here.
        table: The pictures.
        device: Of a worker.
        folder: Where shards are kept until the scores are written.

    Raises: what `cluster.computed` does, and `train.predict` of pictures.
    """
    work = ScoreWork(loading, _bare(table), source.digest, device)
    reading = source.reading(loading.reading)
    of = {
        "model": source.digest,
        "how": source.preprocessing(reading),
        "output": source.output,
        "device": device,
    }
    key = digest_of({**of, "pictures": pictures_digest(table.digests)})
    found: dict[str, NDArray[np.float64]] = {}
    for place, columns in computed(work, len(table), key, folder, cluster, device=device):
        for name, values in columns.items():
            if name not in found:
                found[name] = np.empty((len(table), *np.shape(values)[1:]), np.float64)
            found[name][place] = values
    return found


def _bare(table: ImageTable) -> ImageTable:
    """What of a table is needed to read its pictures, and to name one."""
    named = [name for name in ("path",) if name in table.attributes.column_names]
    return replace(table, attributes=table.attributes.select(named), rejected=(), notes=())
