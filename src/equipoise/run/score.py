"""A model's opinion of images, a row an image."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.cluster import ShardFolder, cluster_of
from equipoise.data import ImageTable, write_rejected
from equipoise.errors import InputError
from equipoise.probabilities import Probabilities, from_logits
from equipoise.run.checks import scoring_engine
from equipoise.run.compared_models import say_numbered
from equipoise.run.model_source import Model, ModelSource, Network
from equipoise.run.remote import Loading, remote_scores, shards_of
from equipoise.run.scores import write_scores
from equipoise.run.sources import Reading, Source, Sources, first_look, read_one, told
from equipoise.train import Engine, predict

__all__ = ["score"]


def score(
    model: Model,
    unlabelled: Source = None,
    *,
    sources: Sources = Sources(),
    reading: Reading = Reading(),
    engine: Engine = Engine(),
    out: str | os.PathLike[str] = "scores.parquet",
    tell: Callable[[str], None] | None = None,
) -> ImageTable:
    """Write path, label, probability, log-density and attributes of every image to a Parquet file.

    Of more than two classes there is a probability of each, `probability_NAME`, and beside it `logit_NAME`, its
    log-odds against all others.

    Pictures that cannot be read are listed beside it, in `<out>.rejected.csv`.

    Args:
        model: A run's folder, a name as `nn.named_backbone` takes it, a network or an `nn.Backbone`; or one of these
            with what it needs to be read, `Network`.
        unlabelled: Images of which nothing is known.
        sources: In place of them, images with labels: positives, negatives or data; one class will do.
        reading: How sources are read; a model that knows how its pictures must come decides size, framing and channels
            itself.
        engine: The device, and where the model runs: on a cluster, shards of what it finds are kept in `<out>.shards`
            until all are there, and another start goes on with them.
        out: The Parquet file, replaced atomically.
        tell: Takes a line on every stage; None is silent.

    Returns:
        The images scored.

    Raises:
        InputError: if there are no images, or both kinds of sources, or model and images do not fit together.
        DataError: if the model or a source cannot be read, or the file cannot be written.
    """
    engine = scoring_engine(engine, "score")
    device, progress = engine.device, engine.progress
    sources.check_untested("score")
    loading = Loading(model if isinstance(model, Network) else Network(model), reading)
    source = loading.source(device)
    reading = source.reading(reading)
    reading.check_unsplit("score")
    labelled = bool(sources.given)
    if (unlabelled is not None) == labelled:
        raise InputError(
            f"Expected images to score; got {'two kinds of sources' if labelled else 'none'}. "
            "Give one path behind the model, or `positives`, `negatives` or `data` for images with labels."
        )
    say = tell or (lambda line: None)
    outputs = source.outputs(reading.framing, reading.channels)
    table = _scored(source, unlabelled, sources, reading, progress)
    if labelled:
        say_numbered(source, table.class_names, say)
    told({"images": table} if labelled else {}, say)
    target = Path(out)
    if table.rejected:
        write_rejected(table, target.with_name(f"{target.name}.rejected.csv"))
    probabilities, density = _opinion(loading, source, table, engine, target)
    numbers = tuple(map(str, range(max(2, outputs))))
    write_scores(
        target,
        table,
        {"probability": probabilities},
        density,
        labelled=labelled,
        class_names=source.class_names or (table.class_names if labelled else numbers),
        made={"probability": source.told(reading)},
    )
    if engine.on is not None:
        ShardFolder(shards_of(target), "").clear()
    return table


def _opinion(
    loading: Loading, source: ModelSource, table: ImageTable, engine: Engine, out: Path
) -> tuple[Probabilities, NDArray[np.float64] | None]:
    """Probabilities and log-density, by this process or a cluster; what a cluster finds is kept beside `out`."""
    if engine.on is not None:
        cluster, folder = cluster_of(engine.on), shards_of(out)
        found = remote_scores(cluster, loading, source, table, engine.device, folder)
        return from_logits(found["logits"]), found.get("log_density")
    seen = source.saved and source.saved.seen
    probabilities = predict(source.logits(), table, device=engine.device)
    return probabilities, seen.log_density(table) if seen else None


def _scored(
    source: ModelSource, unlabelled: Source, sources: Sources, reading: Reading, progress: bool
) -> ImageTable:
    """The images, with the class ids of the model if they have labels; other classes are told before any is decoded."""
    if unlabelled is not None:
        table = read_one(unlabelled, 0, reading, progress=progress)
        source.check_pictures(table)
        return table
    look = first_look(sources.data, reading)
    if look is not None:
        source.checked(look)
    given = ((sources.positives, 1), (sources.negatives, 0), (sources.data, None))
    tables = [read_one(one, label, reading, progress=progress) for one, label in given if one is not None]
    return source.checked(ImageTable.concat(tables))
