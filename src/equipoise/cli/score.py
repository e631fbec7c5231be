"""`equipoise score`: a model's opinion of images, a row an image."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import FOLDER, Data, General, Network, Passing, Reading, TrainedEncoder

__all__ = ["score"]


def score(
    model: str,
    images: str | None = None,
    /,
    *,
    data: Data = Data(),
    encoder: TrainedEncoder = TrainedEncoder(),
    network: Network = Network(),
    reading: Reading = Reading(),
    machine: Passing = Passing(),
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("scores.parquet"),
    general: General = General(),
) -> int:
    """Write path, label, probability, log-density and attributes of every image to a Parquet file.

    Args:
        model: A run's folder, RUN/models/NAME, timm:NAME, hf:NAME_OR_FOLDER, onnx:FILE, or package.module:callable that
            gives a torch nn.Module or an nn.Backbone.
        images: Images without labels; those with labels come by --positives, --negatives or --data.
        out: The Parquet file; pictures that cannot be read are listed in OUT.rejected.csv.
    """
    from equipoise import run
    from equipoise.cli.conversion import engine_of, network_of, reading_of, sources_of, teller

    table = run.score(
        network_of(model, network, encoder),
        images,
        sources=sources_of(data),
        reading=reading_of(reading),
        engine=engine_of(machine, general),
        out=out,
        tell=teller(general),
    )
    say(f"{len(table):,} images scored: {out}")
    return 0
