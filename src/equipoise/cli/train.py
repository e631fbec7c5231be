"""`equipoise train`: one model."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    General,
    Machine,
    Names,
    Planted,
    Splitting,
    Training,
)
from equipoise.shown import one_line

__all__ = ["train"]

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equipoise.report.debias.record import ResamplingRecord

MOST_CLASSES = 10  # that are told on a terminal


# As many parameters as there are groups of flags.
def train(
    *,
    data: Data = Data(),
    planted: Planted = Planted(),
    method: Annotated[
        Literal["debiased", "plain", "plain-same-steps", "uniform"], Parameter(group=TRAINING)
    ] = "debiased",
    training: Training = Training(),
    encoder: Encoder = Encoder(),
    embedding: Embedding = Embedding(),
    backbone: Backbone = Backbone(),
    groups: Annotated[Names, Parameter(group=EVALUATION)] = (),
    reading: Splitting = Splitting(),
    machine: Machine = Machine(),
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/train"),
    continuing: Continuing = Continuing(),
    general: General = General(),
) -> int:
    """Train one model on everything given, without a test.

    Args:
        method: debiased; plain; plain-same-steps (the plain network trained as the debiased one is); or uniform (the
            debiased model's losses without its sampling).
        groups: Columns of which it is said how often each value was drawn.
        out: Folder for the model, its checkpoints and its logs.
    """
    from equipoise import report, run
    from equipoise.cli.conversion import engine_of, groups_of, output_of, reading_of, sources_of, training_of

    trained = run.train(
        sources_of(data, planted),
        method=method,
        reading=reading_of(reading, groups),
        training=training_of(training, encoder, embedding, backbone=backbone),
        groups=groups_of(groups),
        engine=engine_of(machine, general),
        output=output_of(out, general, continuing),
    )
    steps, seconds = trained.fit.steps, trained.fit.seconds
    say(f"{steps:,} steps in {seconds:.0f} s ({steps / max(seconds, 1e-9):.0f} steps/s)")
    if trained.resampling:
        say("", *report.resampling_text(trained.resampling).split("\n"), "")
    elif trained.resampling_by_class:
        say(*class_lines(trained.resampling_by_class))
    say(f"Model: {out / 'model.safetensors'}")
    return 0


def class_lines(by_class: Mapping[str, ResamplingRecord]) -> list[str]:
    """How the images of each of more than two classes were drawn, a line a class, most unevenly drawn first."""
    uneven = sorted(by_class.items(), key=lambda item: item[1].ess)
    lines = [
        f"{one_line(name)}: effective sample size {made.ess:.2f}, largest weight {made.max_weight:.1f} times the mean. "
        f"{made.verdict}"
        for name, made in uneven[:MOST_CLASSES]
    ]
    rest = len(uneven) - len(lines)
    return [*lines, *([f"{rest} more classes: resampling.json"] if rest else [])]
