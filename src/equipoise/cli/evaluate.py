"""`equipoise evaluate`: models on data."""

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
    Networks,
    Predicted,
    Splitting,
    TrainedEncoder,
)
from equipoise.errors import InputError
from equipoise.run.unused import check_unused

__all__ = ["evaluate"]


# As many parameters as there are groups of flags.
def evaluate(
    models: Annotated[tuple[str, ...], Parameter(negative=(), consume_multiple=True)] = (),
    *,
    predicted: Predicted = Predicted(),
    data: Data = Data(),
    encoder: TrainedEncoder = TrainedEncoder(),
    network: Networks = Networks(),
    evaluation: Measured = Measured(),
    seed: Annotated[int, Parameter(group=EVALUATION)] = 0,
    reading: Splitting = Splitting(),
    device: Annotated[str, Parameter(group=ENGINE)] = "auto",
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/evaluate"),
    overwrite: Annotated[bool, Parameter(group=FOLDER, negative=(), show_default=False)] = False,
    general: General = General(),
) -> int:
    """Measure models, or tables of predictions, on the same images, by class and by group; the first one is the
    baseline of the others.

    Args:
        models: Runs' folders, RUN/models/NAME, timm:NAME, hf:NAME_OR_FOLDER, onnx:FILE or package.module:callable. With
            --split-column the test side is measured. Positives alone will do, as the labs' faces or PPB: then nothing
            is known of false positives.
        seed: Of the bootstrap.
        device: auto, cpu, cuda or mps.
        out: Folder for record.json, report.html and scores.parquet.
        overwrite: Replace the evaluation that lies in the folder.
    """
    if predicted.predictions:
        check_unread(models, data=data, reading=reading, encoder=encoder, network=network)
        return evaluate_tables(predicted, reading, evaluation, seed, out, overwrite, general)
    check_unused("models", predicted, *vars(predicted), why="are asked what they predict")
    if not models:
        raise InputError(
            "Expected models, or tables of `predictions`; got neither. Name a run's folder, a network, or a table; "
            "`equipoise evaluate --help` lists what else there is."
        )
    from equipoise import report, run
    from equipoise.cli.conversion import (
        engine_of,
        measuring_of,
        networks_of,
        output_of,
        reading_of,
        sources_of,
    )

    record = run.evaluate(
        networks_of(models, network),
        sources_of(data),
        encoder=encoder.encoder,
        reading=reading_of(reading, evaluation.groups),
        measuring=measuring_of(evaluation),
        seed=seed,
        engine=engine_of(device, general),
        output=output_of(out, general, Continuing(overwrite=overwrite)),
    )
    say(*report.text(record).split("\n"))
    say("", f"Report: {out / 'report.html'}")
    return 0


def check_unread(models: tuple[str, ...], **given: Data | Splitting | TrainedEncoder | Networks) -> None:
    """Whether nothing was asked that needs a network or pictures.

    Raises:
        InputError: if something was.
    """
    if models:
        raise InputError(
            f"Expected models, or tables of `predictions`; got both ({models[0]}). Leave one of them out."
        )
    for flags in given.values():
        names = [name for name in vars(flags) if name not in ("label_column", "positive_class", "slices")]
        check_unused("tables of predictions", flags, *names, why="hold no pictures")


# What tables are asked is in as many groups of flags.
def evaluate_tables(
    predicted: Predicted,
    reading: Splitting,
    evaluation: Measured,
    seed: int,
    out: Path,
    overwrite: bool,
    general: General,
) -> int:
    """`evaluate` of tables: neither pictures nor torch are touched."""
    from equipoise import report, run
    from equipoise.cli.conversion import measuring_of, output_of, reading_of

    tables = run.PredictionTables(
        predicted.predictions,
        label_column=reading.label_column,
        score_column=predicted.score_column,
        predicted_column=predicted.predicted_column,
        positive_class=reading.positive_class,
        logits=predicted.logits,
        slices=reading_of(reading, evaluation.groups).slices,
    )
    record = run.evaluate_predictions(
        tables,
        measuring=measuring_of(evaluation),
        seed=seed,
        output=output_of(out, general, Continuing(overwrite=overwrite)),
    )
    say(*report.text(record).split("\n"))
    say("", f"Report: {out / 'report.html'}")
    return 0
