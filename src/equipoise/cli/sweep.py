"""`equipoise sweep`: the main job over several settings and seeds."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import (
    ENGINE,
    EVALUATION,
    FOLDER,
    Continuing,
    Data,
    Evaluation,
    General,
    Machine,
    Planted,
    Splitting,
    Test,
    Training,
)

__all__ = ["sweep"]

SWEEP = Group.create_ordered("Sweep")


# As many parameters as there are groups of flags.
def sweep(
    *,
    vary: Annotated[
        tuple[str, ...], Parameter(group=SWEEP, negative=(), metavar="KEY=V1,V2", show_default=False)
    ] = (),
    data: Data = Data(),
    planted: Planted = Planted(),
    test: Test = Test(),
    evaluation: Evaluation = Evaluation(),
    controls: Annotated[bool, Parameter(group=EVALUATION)] = False,
    training: Training = Training(),
    reading: Splitting = Splitting(),
    machine: Machine = Machine(),
    jobs: Annotated[int, Parameter(group=ENGINE)] = 1,
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/sweep"),
    continuing: Continuing = Continuing(),
    general: General = General(),
) -> int:
    """Run `debias` for every combination of values, in parallel; one table and one plot of what they change.

    Values are compared on test images: choosing one by them makes its numbers optimistic. A run that has finished
    is never run again; one that failed is told, and tried again by the same command.

    Args:
        vary: A setting of the recipe, as of --tune, or recipe, seed, ess, max-weight, epochs, batch-size, and its
            values, as in resampling.smoothing=0.1,0.01; repeatable. Seeds are repetitions: means and intervals are
            over them.
        controls: Train the controls of every run too.
        jobs: Runs at a time; they share the processors.
        out: Folder for sweep.json, sweep.csv, report.html and the run of every point.
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

    record = run.sweep(
        run.varied(vary),
        sources=sources_of(data, planted, test),
        reading=reading_of(reading, evaluation.groups),
        training=training_of(training),
        measuring=measuring_of(evaluation, controls=controls),
        engine=engine_of(machine, general),
        jobs=jobs,
        output=output_of(out, general, continuing),
    )
    say(*report.sweep_text(record).split("\n"))
    say("", f"Report: {out / 'report.html'}")
    return 1 if any(one.error is not None for one in record.runs) else 0
