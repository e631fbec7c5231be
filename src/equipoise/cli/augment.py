"""`equipoise augment`: pairs of generated images that differ in a protected attribute, and what they change."""

# ruff: noqa: B008  (the flags' defaults are frozen)

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.saying import say
from equipoise.cli.settings import (
    DATA,
    EVALUATION,
    FOLDER,
    TEST,
    TRAINING,
    Continuing,
    General,
    Machine,
    Names,
    Splitting,
    Training,
)

__all__ = ["augment"]


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True)
class Pairing:
    """How pairs are made and mixed with the real images."""

    share: float = 0.67
    """Generated images among those trained on."""
    margin: float = 0.0
    """Pairs are kept whose first image has a score at least this far from the threshold."""
    keep: str = "as-meant"
    """as-meant: only pairs whose target stays and whose protected attribute changes, for the classifiers; or all."""
    classifiers: str = "balanced"
    """balanced: attribute classifiers see all cells of target and protected equally often; or plain."""
    sampling: str = "balanced"
    """balanced: real images beside the pairs are drawn so that all cells are equally frequent; or natural."""
    variant: str = "complement"
    """complement, onto, mirror, all_sides or complement_by_side: how latents are edited."""
    latents: int = 10_000
    """Latents that hyperplanes are fitted to; half as many more validate them."""


# As many parameters as there are groups of flags.
def augment(
    data: Annotated[str, Parameter(group=DATA)],
    *,
    target: Annotated[str, Parameter(group=DATA)],
    protected: Annotated[Names, Parameter(group=DATA)],
    generator: Annotated[str | None, Parameter(group=TRAINING, metavar="G")] = None,
    generator_steps: Annotated[int, Parameter(group=TRAINING)] = 6000,
    test_data: Annotated[str | None, Parameter(group=TEST)] = None,
    test_share: Annotated[float, Parameter(group=TEST)] = 0.2,
    validation_share: Annotated[float, Parameter(group=TEST)] = 0.2,
    groups: Annotated[Names, Parameter(group=EVALUATION)] = (),
    controls: Annotated[bool, Parameter(group=EVALUATION)] = True,
    replicates: Annotated[int, Parameter(group=EVALUATION)] = 500,
    show_edits: Annotated[bool, Parameter(group=EVALUATION, negative=(), show_default=False)] = False,
    pairing: Pairing = Pairing(),
    training: Training = Training(),
    reading: Splitting = Splitting(),
    machine: Machine = Machine(),
    out: Annotated[Path, Parameter(group=FOLDER)] = Path("runs/augment"),
    continuing: Continuing = Continuing(),
    general: General = General(),
) -> int:
    """Balance training with pairs of generated images that differ in a protected attribute only, and measure it.

    What is missing is trained: generator, attribute classifiers, the target's classifier with and without pairs.

    Args:
        data: Images with the target and the protected attribute as columns.
        target: Column of the target attribute; with --positive-class the value that has it, else 0 and 1.
        protected: Columns with two values each that pairs shall differ in; or discover, which needs no column.
        generator: Folder of train-generator or of a debiased model, or package.module:callable; else trained here.
        generator_steps: Steps of a generator that is trained here.
        test_data: Test images with the same columns; without, a share of the data is held out.
        test_share: Share held out for testing when no test data are given.
        validation_share: Share held out for thresholds, and to discover groups in.
        groups: Further columns to measure by; training never sees them.
        controls: Train the controls: generated images without edits, and real images with all cells drawn equally.
        replicates: Resamples behind the intervals.
        show_edits: Show edited faces on the page. They are a step of training, not a finding.
        out: Folder for everything that the run leaves behind: report.html, augment.json, the pairs, the models.
    """
    from equipoise import report, run
    from equipoise.cli.conversion import engine_of, groups_of, output_of, reading_of, training_of
    from equipoise.train import GAN

    record = run.augment(
        run.Sources(data=data, test_data=test_data, test_share=test_share, validation_share=validation_share),
        run.Attributes(target, protected),
        how=run.Augmentation(
            generator or GAN(steps=generator_steps), **asdict(pairing), show_edits=show_edits
        ),
        reading=reading_of(reading, groups),
        training=training_of(training),
        measuring=run.Measuring(groups_of(groups), replicates=replicates, controls=controls),
        engine=engine_of(machine, general),
        output=output_of(out, general, continuing),
    )
    say(*report.augment_text(record).split("\n"))
    say("", f"Report: {out / 'report.html'}")
    return 0
