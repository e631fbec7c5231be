"""`equipoise audit`: who is badly represented, uncertain, noisy?"""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import (
    EVALUATION,
    FOLDER,
    Continuing,
    Data,
    General,
    Names,
    Network,
    Passing,
    Reading,
    TrainedEncoder,
    Words,
)

__all__ = ["audit"]

RISK = Group.create_ordered("Risk")


@Parameter(name="*", group=RISK)
@dataclass(frozen=True)
class Scoring:
    """How risks are told."""

    reference: str | None = None
    """Training data, with labels, for the methods to learn from; else each half of the images scores the other."""
    methods: Names = ("neighbours", "last_layer", "mve")
    """neighbours, histogram, last_layer and mve work on features that one pass of the network keeps; dropout, ensemble,
    vae and histogram_vae run the network again."""
    epochs: int | None = None
    """Passes of methods that learn; as many as make about 400 steps if not given."""
    expect_accuracy: float | None = None
    """What you know of the model, as 0.74: go on only if the measured accuracy is that, within its interval."""


@Parameter(name="*", group=RISK)
@dataclass(frozen=True)
class Lines:
    """From which percentile on an image is what; the first that holds."""

    bad_picture: float = 0.97
    """By quality."""
    mislabelled: float = 0.9
    """By label noise, if another class is confidently predicted."""
    rare: float = 0.9
    """By representation risk."""
    hard: float = 0.9
    """By epistemic risk."""


# As many parameters as there are groups of flags.
def audit(
    model: str,
    source: str | None = None,
    *,
    data: Data = Data(),
    encoder: TrainedEncoder = TrainedEncoder(),
    network: Network = Network(),
    scoring: Scoring = Scoring(),
    lines: Lines = Lines(),
    groups: Annotated[Names, Parameter(group=EVALUATION)] = (),
    seed: Annotated[int, Parameter(group=EVALUATION)] = 0,
    words: Words = Words(),
    reading: Reading = Reading(),
    machine: Passing = Passing(),
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/audit"),
    overwrite: Annotated[bool, Parameter(group=FOLDER, negative=(), show_default=False)] = False,
    general: General = General(),
) -> int:
    """Score every image by several risks: who is badly represented, uncertain, noisy?

    Args:
        model: A run's folder, RUN/models/NAME, timm:NAME, hf:NAME_OR_FOLDER, onnx:FILE, or package.module:callable that
            gives a torch nn.Module or an nn.Backbone.
        source: One source with labels, as --data.
        groups: Columns whose values are the groups to compare, as in race,gender; or a table of slices.
        seed: Of halves, folds, learning and bootstrap.
        out: Folder for audit.json, report.html, scores.parquet and rejected.csv.
        overwrite: Replace the audit that lies in the folder.
    """
    from equipoise import report, risk, run
    from equipoise.cli.conversion import engine_of, groups_of, network_of, output_of, reading_of, sources_of

    record = run.audit(
        network_of(model, network, encoder),
        sources_of(data, source=source),
        scoring=run.Scoring(
            **asdict(scoring),
            thresholds=risk.Thresholds(**asdict(lines)),
            naming=run.Naming(**asdict(words)),
        ),
        reading=reading_of(reading, groups),
        groups=groups_of(groups),
        seed=seed,
        engine=engine_of(machine, general),
        output=output_of(out, general, Continuing(overwrite=overwrite)),
    )
    say(*report.audit_text(record).split("\n"))
    say("", f"Report: {out / 'report.html'}")
    return 0
