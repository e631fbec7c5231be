"""`equipoise score`: a saved model's opinion of images, a row an image."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import ENGINE, FOLDER, Data, General, Reading, TrainedEncoder

__all__ = ["score"]


def score(
    model: Path,
    images: str | None = None,
    /,
    *,
    data: Data = Data(),
    encoder: TrainedEncoder = TrainedEncoder(),
    reading: Reading = Reading(),
    device: Annotated[str, Parameter(group=ENGINE)] = "auto",
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("scores.parquet"),
    general: General = General(),
) -> int:
    """Write path, label, probability, log-density and attributes of every image to a Parquet file.

    Args:
        model: Folder of the model: a run's folder, or RUN/models/NAME.
        images: Images without labels; those with labels come by --positives, --negatives or --data.
        device: auto, cpu, cuda or mps.
        out: The Parquet file; pictures that cannot be read are listed in OUT.rejected.csv.
    """
    from equipoise import run
    from equipoise.cli.conversion import engine_of, reading_of, sources_of, teller

    table = run.score(
        model,
        images,
        sources=sources_of(data),
        encoder=encoder.encoder,
        reading=reading_of(reading),
        engine=engine_of(device, general),
        out=out,
        tell=teller(general),
    )
    say(f"{len(table):,} images scored: {out}")
    return 0
