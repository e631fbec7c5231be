"""`equipoise fix`: another last layer, for those whom a network fails."""

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
    Splitting,
    Test,
    TrainedEncoder,
)

__all__ = ["fix"]

CHOICE = Group.create_ordered("Choice")


@Parameter(name="*", group=CHOICE)
@dataclass(frozen=True)
class Choosing:
    """How a fix is chosen."""

    validation_groups: Names = ()
    """Columns of the data whose values, of the rows that have one, are chosen by; else no group label is."""
    methods: Names = ()
    """Methods to try, as in "errors as groups,plain"; all that are possible if not given."""
    seen: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """The network was trained on these images, so that its predictions on them say nothing: in the choice a plain last
    layer stands for it."""
    price: float | None = None
    """Most that accuracy over all images of the data may fall, a share such as 0.01: safer, and mends less; no limit if
    not given."""


# As many parameters as there are groups of flags.
def fix(
    model: str,
    *,
    data: Data = Data(),
    test: Test = Test(),
    encoder: TrainedEncoder = TrainedEncoder(),
    network: Network = Network(),
    choosing: Choosing = Choosing(),
    groups: Annotated[Names, Parameter(group=EVALUATION)] = (),
    seed: Annotated[int, Parameter(group=EVALUATION)] = 0,
    reading: Splitting = Splitting(),
    machine: Passing = Passing(),
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/fix"),
    overwrite: Annotated[bool, Parameter(group=FOLDER, negative=(), show_default=False)] = False,
    general: General = General(),
) -> int:
    """Give a network another last layer that is better for those whom the old one fails, chosen without group labels
    and without test data, and show what changed.

    Args:
        model: timm:NAME, hf:NAME_OR_FOLDER, onnx:FILE, package.module:callable, a run's folder or RUN/models/NAME.
        groups: Columns whose values are the groups to compare on test images, as in place,gender; they only measure.
        seed: Of the split, the folds and the choice.
        out: Folder for the network with its new layer, fix.json and report.html.
        overwrite: Replace the run that lies in the folder.
    """
    from equipoise import report, run
    from equipoise.cli.conversion import engine_of, groups_of, network_of, output_of, reading_of, sources_of

    record = run.fix(
        network_of(model, network, encoder),
        sources_of(data, test),
        reading=reading_of(reading, (*groups, *choosing.validation_groups)),
        choosing=run.Choosing(
            groups_of(groups),
            **asdict(choosing) | {"validation_groups": groups_of(choosing.validation_groups)},
        ),
        seed=seed,
        engine=engine_of(machine, general),
        output=output_of(out, general, Continuing(overwrite=overwrite)),
    )
    say(*report.fix_text(record).split("\n"))
    say("", f"Report: {out / 'report.html'}")
    return 0
