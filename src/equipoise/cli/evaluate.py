"""`equipoise evaluate`: saved models on data."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import (
    ENGINE,
    EVALUATION,
    FOLDER,
    Continuing,
    Data,
    General,
    Measured,
    Splitting,
    TrainedEncoder,
)

__all__ = ["evaluate"]


# As many parameters as there are groups of flags.
def evaluate(
    models: Annotated[tuple[Path, ...], Parameter(negative=(), consume_multiple=True)],
    *,
    data: Data = Data(),
    encoder: TrainedEncoder = TrainedEncoder(),
    evaluation: Measured = Measured(),
    seed: Annotated[int, Parameter(group=EVALUATION)] = 0,
    reading: Splitting = Splitting(),
    device: Annotated[str, Parameter(group=ENGINE)] = "auto",
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/evaluate"),
    overwrite: Annotated[bool, Parameter(group=FOLDER, negative=(), show_default=False)] = False,
    general: General = General(),
) -> int:
    """Measure saved models on the same images, by group; the first one is the baseline of the others.

    Args:
        models: Folders of models: a run's folder, or RUN/models/NAME. With --split-column the test side is measured.
            Positives alone will do, as the labs' faces or PPB: then nothing is known of false positives.
        seed: Of the bootstrap.
        device: auto, cpu, cuda or mps.
        out: Folder for record.json, report.html and scores.parquet.
        overwrite: Replace the evaluation that lies in the folder.
    """
    from equipoise import report, run
    from equipoise.cli.conversion import engine_of, measuring_of, output_of, reading_of, sources_of

    record = run.evaluate(
        models,
        sources_of(data),
        encoder=encoder.encoder,
        reading=reading_of(reading),
        measuring=measuring_of(evaluation),
        seed=seed,
        engine=engine_of(device, general),
        output=output_of(out, general, Continuing(overwrite=overwrite)),
    )
    say(*report.text(record).split("\n"))
    say("", f"Report: {out / 'report.html'}")
    return 0
