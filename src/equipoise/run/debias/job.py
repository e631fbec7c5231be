"""The main job: a plain and a debiased classifier, the controls, and an honest account of what changed.

It reads from top to bottom: settings → data → models → scores → numbers → pictures → record.
"""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data import ImageTable, Split, write_rejected
from equipoise.report.debias.page import write_report
from equipoise.report.debias.record import RunRecord, read, write
from equipoise.run.account import data_record, timing_record, versions
from equipoise.run.checks import check_models, check_test
from equipoise.run.debias.numbers import Truth, measure
from equipoise.run.debias.second_stage import Refitted, SecondStage, holding_out, stages_of, told_stage
from equipoise.run.enrichment import sampled, sampled_by_class, told_beforehand
from equipoise.run.folder import RunFolder
from equipoise.run.identity import Identity, Setting, fingerprints
from equipoise.run.keeping import naming_what_is_kept
from equipoise.run.measuring import Measuring
from equipoise.run.output import Output
from equipoise.run.pictures import write_pictures
from equipoise.run.representation import represent, represented_rows, save_representation
from equipoise.run.scores import write_scores
from equipoise.run.sources import PLANTED, Reading, Sources, check_attributes, told
from equipoise.run.training import Start, Trainer, Training
from equipoise.run.wrong import with_wrong
from equipoise.train import METHODS, Engine, Fit, Recipe, TrainingMethod, predict
from equipoise.train.classes import weighted_rows

__all__ = ["debias"]

Tell = Callable[[str], None]
TEACHES = (
    "The embedded set, in which two groups of faces are rare, teaches how far rarity finds groups that nobody named: "
    "how much more often they are drawn (enrichment), at what effective sample size (ESS), and what errors that mends."
)


def debias(
    sources: Sources = Sources(),
    *,
    reading: Reading = Reading(),
    training: Training = Training(),
    measuring: Measuring = Measuring(),
    second_stage: bool = False,
    engine: Engine = Engine(),
    output: Output = Output("runs/debias"),
) -> RunRecord:
    """Train a plain and a debiased classifier, compare them by group, and leave a report that shows what changed.

    Everything lands in `output.out`; `record.json` is written last, so a folder that holds one is whole.

    Args:
        sources: What to train and test on; without any the embedded set is drawn, with its groups "hidden". None of
            the test images decides anything.
        reading: How sources are read.
        training: Recipe, what is brought, seed.
        measuring: Groups, false-positive rate, replicates; its controls are the plain network trained as long, and the
            same losses sampled uniformly.
        second_stage: Choose another last layer for what was trained, as `fix` does, as a further model. Of trained
            networks on the validation side, for which a fifth of the data is held out where there is none; on a
            backbone that stays as it is, on the training images.
        engine: Device, precision, processes.
        output: The run's folder, and who is told.

    Raises:
        InputError: if a setting, a column or the data are not as expected.
        DataError: if a source cannot be read, or the folder cannot be used.
        TrainingError: if training had to stop.
    """
    began = time.perf_counter()
    measuring, say = measuring.of(sources), output.say
    start = training.start(engine, reading, say)
    reading = start.backbone.reading(reading)
    if second_stage:
        sources = holding_out(sources, start, say)
    settings = _settings(sources, reading, measuring, start, second_stage)
    with output.open(Identity(settings, start.brought())) as folder:
        tables = read_sides(sources, reading, measuring, start, say)
        folder = folder.settled(fingerprints(tables._asdict()))
        if folder.finished:
            return earlier(folder, say)
        methods = methods_of(start.recipe, controls=measuring.controls)
        stage = SecondStage.of(tables, start, reading) if second_stage else None
        start = checked(methods, tables, measuring, start, weights=not folder.resumed)
        folder.begin()
        with naming_what_is_kept(folder):
            trainer = Trainer(start, folder, say)
            fits = train_all(methods, tables, trainer)
            refitted = refit_all(stage, fits, tables, trainer, controls=measuring.controls)
            fits |= {name: one.fit for name, one in refitted.items() if one.fit is not None}
            say("Scoring the test images and measuring.")
            scores = scored(fits, tables.test, start)
            truth = Truth.of(tables.test, measuring.groups, reading.positive_class)
            measured = measure(scores, truth, fits=fits, say=say, seed=start.seed, **measuring.options())
            main = fits["debiased"]
            pictures = write_tables_and_pictures(folder, tables, main, scores, start)
            record = RunRecord(
                command=output.command or "equipoise.run.debias(...)",
                recipe=start.recipe.to_dict(),
                settings=dict(settings),
                seed=start.seed,
                versions=versions(),
                data=data_record(tables._asdict(), sources.given or {"data": PLANTED}, measuring.groups),
                fpr=measuring.fpr,
                **measured.parts(),
                resampling=sampled(main, tables.train, measuring.groups, start),
                class_resampling=sampled_by_class(main, tables.train, measuring.groups, start),
                timing=timing_record(began, steps=main.steps, seconds=main.seconds),
                pictures=pictures,
                second_stage={name: one.measured(scores, name, truth) for name, one in refitted.items()},
            )
            record = with_wrong(record, folder.path, tables.test, scores, measuring)
            write(record, folder.path)
            write_report(folder.path)
    return record


def _settings(
    sources: Sources, reading: Reading, measuring: Measuring, start: Start, second_stage: bool
) -> dict[str, Setting]:
    """What makes the run this one."""
    return {
        "command": "debias",
        **sources.settings(),
        **reading.settings(),
        **measuring.settings(),
        **start.settings(),
        "second_stage": second_stage or None,
    }


def scored(fits: Mapping[str, Fit], test: ImageTable, start: Start) -> dict[str, NDArray[Any]]:
    """What each model says of the test images."""
    return {name: predict(one.model, test, device=start.engine.device) for name, one in fits.items()}


def read_sides(sources: Sources, reading: Reading, measuring: Measuring, start: Start, say: Tell) -> Split:
    """The three sides, told, with the columns that are to be compared."""
    say("Reading the data." if sources.given else TEACHES)
    first, groups = start.recipe.split == "first-80", measuring.groups
    tables = sources.split(
        reading, seed=start.seed, first=first, stratify=groups, many=True, progress=start.engine.progress
    )
    told(tables._asdict(), say)
    check_attributes(tables.test, groups)
    return tables


def checked(
    methods: Sequence[TrainingMethod], tables: Split, measuring: Measuring, start: Start, *, weights: bool
) -> Start:
    """What models are trained with, once it is known that all of them can be trained and measured.

    Raises:
        InputError: if one cannot.
    """
    check_test(tables.test, measuring.groups)
    start = start.embedded(tables.train)
    check_models(methods, tables.train, start, weights=weights)
    return start


def methods_of(chosen: Recipe, *, controls: bool) -> list[TrainingMethod]:
    """What is trained, in order. The plain network "trained as long" is left out where plain is that already."""
    if not controls:
        return ["plain", "debiased"]
    methods: list[TrainingMethod] = ["plain", "debiased"]
    if chosen.plain != chosen.debiased:
        methods.append("plain-same-steps")
    if (
        chosen.backbone == "frozen"
    ):  # plain lets every image count alike, uniform every class; there are no steps
        return ["plain", "debiased", "uniform"]
    if chosen.objective != "classifier":  # without further losses uniform sampling is plain training
        methods.append("uniform")
    return methods


def earlier(folder: RunFolder, say: Tell) -> RunRecord:
    """The record of a run that is already there."""
    record = read(folder.path)
    say(f"{folder.path} holds this run already; it is shown as it is. `overwrite` runs it again.")
    write_report(folder.path)
    return record


def train_all(methods: Sequence[TrainingMethod], tables: Split, trainer: Trainer) -> dict[str, Fit]:
    """Train the models one after another; those that an earlier start finished come from their checkpoints."""
    chosen = trainer.start.recipe
    for note in told_beforehand(chosen.resampling, tables.train, chosen.debiased.batch_size):
        trainer.say(note)
    fits: dict[str, Fit] = {}
    for number, method in enumerate(methods, 1):
        trainer.say(f"Training {number} of {len(methods)}: {METHODS[method]}.")
        fitted = trainer.fit(method, tables.train, method=method, validation=tables.validation)
        for note in dict.fromkeys(fitted.notes):
            trainer.say(note)
        fits[method] = trainer.keep(method, fitted, tables.train)
    return fits


def refit_all(
    stage: SecondStage | None, fits: Mapping[str, Fit], tables: Split, trainer: Trainer, *, controls: bool
) -> dict[str, Refitted]:
    """The second stage of the models, if it was asked for, each saved where it changed something."""
    start, found = trainer.start, dict[str, Refitted]()
    if stage is None:
        return found
    for name, method in stages_of(controls=controls).items():
        trainer.say(f"Second stage: trying other last layers of {method} on {len(stage.table):,} images.")
        one = stage.refitted(method, fits[method], seed=start.seed, device=start.engine.device)
        trainer.say(told_stage(one.record))
        if one.fit is not None:
            trainer.keep(name, one.fit, tables.train)
        found[name] = one
    return found


def write_tables_and_pictures(
    folder: RunFolder,
    tables: Split,
    main: Fit,
    probabilities: Mapping[str, NDArray[np.float64]],
    start: Start,
) -> dict[str, str]:
    """Write everything that lies beside the record; the pictures' names."""
    bins, device = start.recipe.resampling.bins, start.engine.device
    found = represent(main.model, tables.train, bins=bins, device=device)
    representation = None if found is None else found[0]
    write_rejected(ImageTable.concat([tables.train, tables.test]), folder.path / "rejected.csv")
    write_scores(
        folder.path / "scores.parquet",
        tables.test,
        {f"probability_{name}": values for name, values in probabilities.items()},
        representation.log_density(tables.test) if representation else None,
        split="test",
    )
    if representation:
        save_representation(representation, folder.path)
    seen = commonness(main, tables.train, None if found is None else found[1])
    return write_pictures(folder.path, main.model, tables.train, tables.test, seen, seed=start.seed)


def commonness(
    main: Fit, train: ImageTable, log_density: NDArray[np.float64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Rows of training images, and how common each counted as: by its weight within its class, else by its density.

    What is drawn least is what counted as most common. Of two classes only positives are told.
    """
    classes = [1] if train.two_classes else sorted(main.weights)
    if set(classes) & set(main.weights):
        rows = [weighted_rows(train, [class_id]) for class_id in classes]
        times = [-main.weights[class_id] * len(main.weights[class_id]) for class_id in classes]
        return np.concatenate(rows), np.concatenate(times)
    return None if log_density is None else (represented_rows(main.model, train), log_density)
