"""One model, trained on everything that was given: no test, no comparison."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from equipoise.data import ImageTable, write_rejected
from equipoise.report.debias.record import ResamplingRecord, write_resampling
from equipoise.run.checks import check_models
from equipoise.run.enrichment import sampled, sampled_by_class, told_beforehand
from equipoise.run.identity import Identity, Setting, fingerprints
from equipoise.run.keeping import naming_what_is_kept
from equipoise.run.output import Output
from equipoise.run.representation import represent, save_representation
from equipoise.run.sources import PLANTED_GROUPS, Reading, Sources, check_attributes, embedded, told
from equipoise.run.training import Start, Trainer, Training
from equipoise.train import Engine, Fit, TrainingMethod
from equipoise.train.classes import notes_of_shares
from equipoise.train.fit import optimisation_of

__all__ = ["Trained", "train"]


@dataclass(frozen=True, eq=False)
class Trained:
    """What `train` gives back.

    Args:
        fit: The model and how it came about.
        resampling: How the sampling weights came out, by group; None if nothing was resampled, and of more than two
            classes.
        resampling_by_class: Class name → the same of its images; without classes that were drawn uniformly.
        folder: Where the model lies.
    """

    fit: Fit
    resampling: ResamplingRecord | None
    folder: Path
    resampling_by_class: dict[str, ResamplingRecord]


def train(
    sources: Sources = Sources(),
    *,
    method: TrainingMethod = "debiased",
    reading: Reading = Reading(),
    training: Training = Training(),
    groups: Sequence[str] = (),
    engine: Engine = Engine(),
    output: Output = Output("runs/train"),
) -> Trained:
    """Train one model on all images given, and save it with its density of the training positives (of more than two
    classes, of all images, or of those that carry the VAE).

    Args:
        sources: What to train on: positives and negatives, or data; without any the embedded set is drawn.
        method: "debiased", "plain", "plain-same-steps" or "uniform".
        groups: Columns of the training data whose share of the draws is reported. Training never sees them.

    The other arguments are those of `debias`.

    Raises:
        InputError: if a setting, a column or the data are not as expected.
        DataError: if a source cannot be read, or the folder cannot be used.
        TrainingError: if training had to stop.
    """
    sources.check_untested("train")
    say = output.say
    start = training.start(engine, reading, say)
    reading = start.backbone.reading(reading)
    groups = tuple(groups) if groups or sources.given else PLANTED_GROUPS
    settings: dict[str, Setting] = {
        "command": "train",
        **sources.given,
        "images": None if sources.given else sources.images,
        **reading.settings(),
        "groups": groups,
        "method": method,
        **start.settings(),
    }
    with output.open(Identity(settings, start.brought()), last="config.json") as folder:
        table = read_training(sources, reading, groups, start, say)
        folder = folder.settled(fingerprints({"train": table}))
        if method == "debiased":
            start = start.embedded(table)
        check_models([method], table, start, weights=not folder.resumed)
        folder.begin()
        known = beforehand(method, table, start)
        for note in known:
            say(note)
        write_rejected(table, folder.path / "rejected.csv")
        with naming_what_is_kept(folder):
            trainer = Trainer(start, folder, say, top=method)
            fitted = trainer.fit(method, table, method=method)
            bins = start.recipe.resampling.bins
            seen = represent(fitted.model, table, bins=bins, device=start.engine.device)
            if seen:
                save_representation(seen[0], folder.path)
            for note in fitted.notes:
                if note not in known:
                    say(note)
            resampling = sampled(fitted, table, groups, start)
            by_class = sampled_by_class(fitted, table, groups, start)
            if resampling is not None or by_class:
                write_resampling(resampling or by_class, folder.path)
            trainer.keep(method, fitted, table)
    return Trained(fitted, resampling, folder.path, by_class)


def beforehand(method: TrainingMethod, table: ImageTable, start: Start) -> list[str]:
    """What is known of the batches before training, in words; a probe draws none."""
    if start.recipe.backbone == "frozen":
        return []
    batch = optimisation_of(start.recipe, method).batch_size
    if method == "debiased":
        return told_beforehand(start.recipe.resampling, table, batch)
    return notes_of_shares(table, batch)


def read_training(
    sources: Sources, reading: Reading, groups: Sequence[str], start: Start, say: Callable[[str], None]
) -> ImageTable:
    """The images of the training side, told, with the columns that are to be reported."""
    say("Reading the data.")
    table = sources.whole(reading, many=True, progress=start.engine.progress)
    table = embedded(sources.images, reading, start.seed) if table is None else table
    table = reading.side(table, "train")
    check_attributes(table, groups, what="training data")
    told({"train": table}, say)
    return table
