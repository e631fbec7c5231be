"""`equipoise debias`: the main job."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import (
    EVALUATION,
    FOLDER,
    TRAINING,
    Backbone,
    Continuing,
    Data,
    Embedding,
    Encoder,
    Evaluation,
    General,
    Machine,
    Planted,
    Splitting,
    Test,
    Training,
)

__all__ = ["debias"]


# As many parameters as there are groups of flags.
def debias(
    *,
    data: Data = Data(),
    planted: Planted = Planted(),
    test: Test = Test(),
    evaluation: Evaluation = Evaluation(),
    controls: Annotated[bool, Parameter(group=EVALUATION)] = True,
    training: Training = Training(),
    second_stage: Annotated[bool, Parameter(group=TRAINING, negative=(), show_default=False)] = False,
    encoder: Encoder = Encoder(),
    embedding: Embedding = Embedding(),
    backbone: Backbone = Backbone(),
    reading: Splitting = Splitting(),
    machine: Machine = Machine(),
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/debias"),
    continuing: Continuing = Continuing(),
    general: General = General(),
) -> int:
    """Train a plain and a debiased classifier and show, by group, what changed.

    Without any data an embedded set is drawn whose hidden rare groups are known.

    Args:
        controls: Train what tells the causes of a change apart: the plain network trained as long, and the debiased
            model's losses with uniform sampling.
        second_stage: After training, choose another last layer as `equipoise fix` does, without group labels, as a
            further model; of trained networks on the validation side, for which a fifth of the data is held out where
            --validation-share and --split-column name none.
        out: Folder for everything that the run leaves behind: report.html, record.json, the models, scores.parquet.
    """
    from equipoise import report, run
    from equipoise.cli.conversion import (
        engine_of,
        measuring_of,
        output_of,
        reading_of,
        sources_of,
        training_of,
    )

    record = run.debias(
        sources_of(data, planted, test),
        reading=reading_of(reading, evaluation.groups),
        training=training_of(training, encoder, embedding, backbone=backbone),
        measuring=measuring_of(evaluation, controls=controls),
        second_stage=second_stage,
        engine=engine_of(machine, general),
        output=output_of(out, general, continuing),
    )
    say(*report.text(record).split("\n"))
    say("", f"Report: {out / 'report.html'}")
    return 0
