"""A saved model's opinion of images, a row an image."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from torch import nn

from equipoise.data import ImageTable, write_rejected
from equipoise.errors import InputError
from equipoise.run.checks import scoring_engine
from equipoise.run.saved import load
from equipoise.run.scores import write_scores
from equipoise.run.sources import Reading, Source, Sources, read_one, told
from equipoise.train import Engine, predict

__all__ = ["score"]


def score(
    model: str | os.PathLike[str],
    unlabelled: Source = None,
    *,
    sources: Sources = Sources(),
    encoder: nn.Module | str | None = None,
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
        model: Folder with `model.safetensors` and `config.json`.
        unlabelled: Images of which nothing is known.
        sources: In place of them, images with labels: positives, negatives or data; one class will do.
        encoder: What the model was trained with in place of the standard CNN, if it was: a network, or
            "package.module:callable" that gives one.
        reading: How sources are read; image size and channels are the model's.
        engine: The device.
        out: The Parquet file, replaced atomically.
        tell: Takes a line on every stage; None is silent.

    Returns:
        The images scored.

    Raises:
        InputError: if there are no images, or both kinds of sources, images of classes that are not the model's, or the
            encoder is not that of the model.
        DataError: if the model or a source cannot be read, or the file cannot be written.
    """
    engine = scoring_engine(engine, "score")
    device, progress = engine.device, engine.progress
    sources.check_untested("score")
    saved = load(model, encoder=encoder, device=device)
    reading = reading.for_model(saved.framing, saved.channels)
    reading.check_unsplit("score")
    labelled = bool(sources.given)
    if (unlabelled is not None) == labelled:
        raise InputError(
            f"Expected images to score; got {'two kinds of sources' if labelled else 'none'}. "
            "Give one path behind the model, or `positives`, `negatives` or `data` for images with labels."
        )
    if unlabelled is not None:
        table = read_one(unlabelled, 0, reading, progress=progress)
    else:
        given = ((sources.positives, 1), (sources.negatives, 0), (sources.data, None))
        table = ImageTable.concat(
            [
                read_one(source, label, reading, progress=progress)
                for source, label in given
                if source is not None
            ]
        )
    if labelled:
        table = saved.aligned(table)
    told({"images": table} if labelled else {}, tell or (lambda line: None))
    target = Path(out)
    if table.rejected:
        write_rejected(table, target.with_name(f"{target.name}.rejected.csv"))
    write_scores(
        target,
        table,
        {"probability": predict(saved.model, table, device=device)},
        saved.seen.log_density(table) if saved.seen else None,
        labelled=labelled,
        class_names=saved.class_names,
    )
    return table
