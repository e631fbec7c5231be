"""`augment`: pairs of generated images that differ in a protected attribute join the real ones, and what that changed.

It reads from top to bottom: settings → data → protected attributes → attribute classifiers → generator → hyperplanes
→ pairs → classifiers of the target → numbers → record.

Source: V. V. Ramaswamy, S. S. Y. Kim, O. Russakovsky, Fair Attribute Classification through Latent Space De-biasing,
CVPR 2021. Differs from it in: attribute classifiers that see all cells equally often, thresholds on generated images
at the share of the real ones, pairs that did not do what they should are left out, equal training steps, and controls.
"""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from equipoise.data import ImageTable, Split, write_rejected
from equipoise.errors import InputError
from equipoise.files import write_tensors
from equipoise.nn import digest_of
from equipoise.report.augment.page import write_augment_report
from equipoise.report.augment.record import AugmentRecord, PlaneRecord, read_augment, write_augment
from equipoise.run.account import peak_rss_bytes, versions
from equipoise.run.augment.account import (
    augmented_data,
    generator_record,
    measured_by,
    model_record,
    pairs_record,
    protected_record,
    write_augment_pictures,
)
from equipoise.run.augment.attribute_classifiers import AttributeClassifiers, attribute_classifiers
from equipoise.run.augment.augmentation import Attributes, Augmentation
from equipoise.run.augment.checks import check_tables
from equipoise.run.augment.making_pairs import Made, make_pairs
from equipoise.run.augment.numbers import EDGES, numbers_and_changes
from equipoise.run.augment.protected import Protected, annotated, discovered
from equipoise.run.augment.target_models import TargetModel, judged_models, target_models
from equipoise.run.checks import need
from equipoise.run.folder import RunFolder
from equipoise.run.generator_source import GeneratorSource, generator_source, trained_generator
from equipoise.run.identity import Identity, Setting, fingerprints
from equipoise.run.keeping import naming_what_is_kept
from equipoise.run.measuring import Measuring
from equipoise.run.output import Output
from equipoise.run.scores import write_scores
from equipoise.run.sources import Reading, Sources, check_attributes, told
from equipoise.run.training import Start, Trainer, Training
from equipoise.run.unused import check_unused
from equipoise.seeds import child_seed
from equipoise.train import GAN, Engine

__all__ = ["augment"]

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Asked:
    """What a run was asked to do, resolved."""

    sources: Sources
    attributes: Attributes
    how: Augmentation
    reading: Reading
    measuring: Measuring
    start: Start

    def settings(self) -> dict[str, Setting]:
        """What the run's settings say."""
        return {
            "command": "augment",
            **{name: value for name, value in self.sources.settings().items() if name != "images"},
            **self.reading.settings(),
            "target": self.attributes.target,
            "protected": tuple(self.attributes.protected),
            **self.how.settings(),
            **{name: value for name, value in self.measuring.settings().items() if name != "fpr"},
            **self.start.settings(brings=False),
        }

    def child_seed(self, name: str) -> int:
        """The seed of a part of the run."""
        return child_seed(self.start.seed, name)


@dataclass(frozen=True, eq=False)
class Making:
    """Everything that was trained and drawn.

    Args:
        known: The protected attributes, annotated or discovered.
        eyes: Classifiers of the attributes.
        maker: The generator.
        made: The pairs.
        judged: Classifiers of the target, with their scores of the test images.
        notes: What was left out.
    """

    known: list[Protected]
    eyes: AttributeClassifiers
    maker: GeneratorSource
    made: Made
    judged: dict[str, TargetModel]
    notes: list[str]


def augment(
    sources: Sources,
    attributes: Attributes,
    *,
    how: Augmentation = Augmentation(),
    reading: Reading = Reading(),
    training: Training = Training(),
    measuring: Measuring = Measuring(replicates=500),
    engine: Engine = Engine(),
    output: Output = Output("runs/augment"),
) -> AugmentRecord:
    """Train a classifier of a target attribute on real images and balanced pairs, and one without, and compare.

    All classifiers of the target take equally many steps. Everything lands in `output.out`; `augment.json` is written
    last.

    Args:
        sources: `data`, images with the target and the protected attributes as columns, and `test_data`; without,
            `test_share` is held out. `validation_share`, above 0, is for thresholds, and to discover groups in.
        attributes: Target and protected attributes.
        how: Generator, and how pairs are made and mixed.
        reading: How sources are read.
        training: Recipe and seed.
        measuring: Further columns to measure by, replicates, and whether to train the controls too: the first images
            of the pairs without their edits, and the real images with all cells equally often.
        engine: Device, precision, processes.
        output: The run's folder, and who is told.

    Raises:
        InputError: if a setting, a column, the generator or the data are not as expected.
        DataError: if something cannot be read or written.
        TrainingError: if training had to stop.
        MissingExtraError: without scikit-learn.
    """
    began, say = time.perf_counter(), output.say
    check_asked(sources, training, measuring)
    measuring = measuring.checked()
    need("sklearn", "latent", "augment")
    start = training.start(engine)
    attributes = attributes.checked(reading, how.variant)
    asked = Asked(sources, attributes, how, reading, measuring, start)
    with output.open(Identity(asked.settings(), how.brought()), last="augment.json") as folder:
        tables, known = read_annotated(asked, say)
        maker, named = given_generator(asked, tables.train)
        folder = folder.settled(fingerprints(tables._asdict()), named)
        if folder.finished:
            return earlier(folder.path, say)
        check_tables(tables, known, measuring.groups, how, start)
        folder.begin()
        write_rejected(ImageTable.concat(list(tables)), folder.path / "rejected.csv")
        with naming_what_is_kept(folder):
            found = make(asked, tables, known, maker, Trainer(start, folder, say, top="augmented"))
            record = measured_record(asked, tables, found, folder, output, began)
            write_augment(record, folder.path)
            write_augment_report(folder.path)
    return record


def check_asked(sources: Sources, training: Training, measuring: Measuring) -> None:
    """Whether nothing is asked of the job that it does not do.

    Raises:
        InputError: if something is, or there are no images.
    """
    others = ("positives", "negatives", "test_positives", "test_negatives", "images")
    check_unused("augment", sources, *others, why="takes one source with columns, `data`")
    check_unused(
        *("augment", training, "encoder", "embedding", "embedding_column"),
        why="trains the standard CNN alone",
    )
    check_unused(
        "augment", measuring, "fpr", "threshold", "windows", why="has thresholds at the share of positives"
    )
    if sources.data is None:
        raise InputError("Expected images with attributes as columns; got none. Give them as `data`.")


def read_annotated(asked: Asked, say: Tell) -> tuple[Split, list[Protected]]:
    """The three sides, told, and the protected attributes that somebody wrote down."""
    say("Reading the data.")
    columns, start = asked.attributes.columns, asked.start
    tables = asked.sources.split(
        replace(asked.reading, label_column=asked.attributes.target),
        seed=start.seed,
        stratify=columns,
        progress=start.engine.progress,
    )
    told(tables._asdict(), say)
    check_attributes(tables.test, asked.measuring.groups)
    return tables, annotated(tables._asdict(), columns)


def given_generator(asked: Asked, train: ImageTable) -> tuple[GeneratorSource | None, dict[str, str]]:
    """The generator that was given, and what of it could not be known before it was loaded."""
    given = asked.how.generator
    if isinstance(given, GAN):
        return None, {}
    maker = generator_source(given, train, device=asked.start.engine.device, seed=asked.start.seed)
    return maker, {} if Path(maker.source).is_dir() else {"generator": digest_of(maker.generator)}


def make(
    asked: Asked, tables: Split, known: list[Protected], maker: GeneratorSource | None, trainer: Trainer
) -> Making:
    """Train what is missing, make pairs, and train the classifiers of the target with and without them."""
    how, start, folder, say = asked.how, asked.start, trainer.folder, trainer.say
    target, device = asked.attributes.target, start.engine.device
    if not known:
        names = asked.attributes.classes(asked.reading)
        known = [discovered(tables._asdict(), trainer, names=names, seed=asked.child_seed("discover"))]
    eyes = attribute_classifiers(tables, target, known, trainer, learning=how.classifiers, seed=start.seed)
    if maker is None:
        making, seed = how.making or GAN(), asked.child_seed("generator")
        maker = trained_generator(tables.train, making, folder, seed=seed, engine=start.engine, say=say)
    say("Fitting hyperplanes and making pairs.")
    made = make_pairs(
        maker.generator,
        eyes.on(device),
        eyes.natural,
        round(how.share / (1 - how.share) * len(tables.train)),
        how,
        folder=folder.path / "pairs",
        seed=asked.child_seed("pairs"),
        say=say,
    )
    write_tensors(
        folder.path / "hyperplanes.safetensors",
        {
            f"{name}.{part}": torch.tensor(np.atleast_1d(values))
            for name, plane in made.planes.items()
            for part, values in (("weight", plane.weight), ("bias", plane.bias))
        },
    )
    models = target_models(
        *(tables, known, made, trainer),
        sampling=how.sampling,
        controls=asked.measuring.controls,
        seed=start.seed,
    )
    say("Scoring the test images and measuring.")
    judged, notes = judged_models(models, tables, known, device)
    return Making(known, eyes, maker, made, judged, notes)


def measured_record(
    asked: Asked, tables: Split, found: Making, folder: RunFolder, output: Output, began: float
) -> AugmentRecord:
    """Measure all models, write what lies beside the record, and put the record together."""
    groups, made, notes = asked.measuring.groups, found.made, list(found.notes)
    measured = measured_by(tables, found.known, groups)
    numbers, changes = numbers_and_changes(
        {name: one.judged for name, one in found.judged.items()},
        tables.test.labels,
        tables.train.labels,
        measured,
        replicates=asked.measuring.replicates,
        seed=asked.start.seed,
        say=notes.append,
    )
    for note in notes:
        output.say(note)
    write_scores(
        folder.path / "scores.parquet",
        tables.test,
        {f"probability_{name}": one.judged.probabilities for name, one in found.judged.items()}
        | {f"side_{one.name}": one.ids["test"] for one in found.known if not one.annotated},
        None,
        split="test",
    )
    size, trained = tables.train.image_size, asked.how.making is not None
    return AugmentRecord(
        command=output.command or "equipoise.run.augment(...)",
        settings=dict(asked.settings()),
        seed=asked.start.seed,
        versions=versions(),
        target=asked.attributes.target,
        protected={one.name: protected_record(one, tables.train, groups, found.eyes) for one in found.known},
        measured=list(measured),
        data=augmented_data(tables, asked.sources.given, measured, found.known),
        generator=generator_record(found.maker, size, trained=trained),
        planes={
            name: PlaneRecord(plane.accuracy, plane.auroc, made.shares[name])
            for name, plane in made.planes.items()
        },
        pairs=pairs_record(made, asked.how, len(tables.train)),
        edges=list(EDGES),
        models={name: model_record(one, numbers[name], changes[name]) for name, one in found.judged.items()},
        notes=notes,
        wall_s=time.perf_counter() - began,
        peak_rss_bytes=peak_rss_bytes(),
        pictures=write_augment_pictures(
            folder.path, found.maker.generator, made, asked.start.seed, edits=asked.how.show_edits
        ),
    )


def earlier(path: Path, say: Tell) -> AugmentRecord:
    """The record of a run that is already there."""
    record = read_augment(path)
    say(f"{path} holds this run already; it is shown as it is. `overwrite` runs it again.")
    write_augment_report(path)
    return record
