"""`augment`: pairs of generated images that differ in a protected attribute join the real ones, and what that changed.

It reads from top to bottom: settings → data → protected attributes → attribute classifiers → generator → hyperplanes
→ pairs → classifiers of the target → numbers → record.

Source: V. V. Ramaswamy, S. S. Y. Kim, O. Russakovsky, Fair Attribute Classification through Latent Space De-biasing,
CVPR 2021. Differs from it in: attribute classifiers that see all cells equally often, thresholds on generated images
at the share of the real ones, pairs that did not do what they should are left out, equal training steps, and controls.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.data import ImageTable, Split, contact_sheet, write_rejected
from equipoise.files import write_bytes, write_tensors
from equipoise.groups import Groups
from equipoise.latent import Generator
from equipoise.latent.generator import decoded, sampled
from equipoise.latent.labelled import as_stored
from equipoise.nn import digest_of
from equipoise.report.augment.page import write_augment_report
from equipoise.report.augment.record import (
    AugmentedData,
    AugmentedModel,
    AugmentRecord,
    GeneratorRecord,
    PairsRecord,
    PlaneRecord,
    ProtectedRecord,
    read_augment,
    write_augment,
)
from equipoise.run.account import peak_rss_bytes, versions
from equipoise.run.augment.attribute_classifiers import attribute_classifiers
from equipoise.run.augment.checks import check_tables, checked_names
from equipoise.run.augment.making_pairs import Augmentation, Made, make_pairs
from equipoise.run.augment.numbers import EDGES, Measured, numbers_and_changes
from equipoise.run.augment.protected import DISCOVER, Protected, annotated, discovered
from equipoise.run.augment.target_models import judged_models, target_models
from equipoise.run.checks import Start, check_numbers, need
from equipoise.run.engine import Engine
from equipoise.run.folder import open_folder
from equipoise.run.generator_source import generator_source, trained_generator
from equipoise.run.identity import Identity, Setting, fingerprints, model_digest
from equipoise.run.keeping import naming_what_is_kept
from equipoise.run.plain_training import Trainer
from equipoise.run.scores import write_scores
from equipoise.run.sources import Reading, Source, Sources, check_attributes, told
from equipoise.run.tuning import tuning
from equipoise.seeds import child_seed
from equipoise.train import GAN, Recipe
from equipoise.train import recipe as find_recipe

__all__ = ["Augmentation", "augment"]

Tell = Callable[[str], None]
Ints = NDArray[np.int64]
STEPS = 6000  # of a generator that is trained on the spot
SHOWN = 32  # samples on the page, and pairs with show_edits


def augment(
    data: Source,
    target: str,
    protected: Sequence[str],
    *,
    generator: str | os.PathLike[str] | Generator | None = None,
    generator_settings: GAN | None = None,
    test_data: Source = None,
    test_share: float = 0.2,
    validation_share: float = 0.2,
    reading: Reading | None = None,
    groups: Sequence[str] = (),
    how: Augmentation | None = None,
    controls: bool = True,
    show_edits: bool = False,
    replicates: int = 500,
    recipe: str | Recipe = "equipoise",
    seed: int = 0,
    engine: Engine | None = None,
    out: str | os.PathLike[str] = "runs/augment",
    resume: bool = False,
    overwrite: bool = False,
    tell: Tell | None = None,
    command: str = "equipoise.run.augment(...)",
) -> AugmentRecord:
    """Train a classifier of a target attribute on real images and balanced pairs, and one without, and compare.

    All classifiers of the target take equally many steps. Everything lands in `out`; `augment.json` is written last.

    Args:
        data: Images with the target and the protected attributes as columns.
        target: Column with the target attribute: 0 and 1, or `reading.positive_class` says which value has it.
        protected: Columns with two values each, that pairs shall differ in; or "discover" alone.
        generator: What `generator_source` takes; None trains one on the training images.
        generator_settings: How that one is trained.
        test_data: Test images; without, `test_share` is held out.
        validation_share: Share held out of the rest for thresholds, and for the choice of discovered groups.
        groups: Further columns to measure by; training never sees them.
        how: How pairs are made and mixed.
        controls: Train the controls too: the first images of the pairs without their edits, and the real images with
            all cells equally often.
        show_edits: Put pairs of edited images on the page.
        replicates: Resamples behind the intervals.

    The other arguments are those of `debias`.

    Raises:
        InputError: if a setting, a column, the generator or the data are not as expected.
        DataError: if something cannot be read or written.
        TrainingError: if training had to stop.
        MissingExtraError: without scikit-learn.
    """
    began = time.perf_counter()
    seed = check_numbers(replicates=replicates, seed=seed)
    need("sklearn", "latent", "augment")
    chosen, how, reading = find_recipe(recipe), how or Augmentation(), reading or Reading()
    engine = (engine or Engine()).resolved(chosen)
    say: Tell = tell or (lambda line: None)
    names = checked_names(target, protected, reading, how)
    making = generator_settings or GAN(steps=STEPS)
    sources = Sources(
        data=data, test_data=test_data, test_share=test_share, validation_share=validation_share
    )
    settings: dict[str, Setting] = {
        "command": "augment",
        **{name: value for name, value in sources.settings().items() if name != "images"},
        **reading.settings(),
        "target": target,
        "protected": names,
        "generator": _source(generator),
        "generator_steps": making.steps if generator is None else None,
        "groups": tuple(groups),
        **asdict(how),
        "controls": controls,
        "show_edits": show_edits,
        "replicates": replicates,
        "recipe": chosen.name,
        "tune": tuning(chosen),
        "seed": seed,
        **engine.settings(),
    }
    with open_folder(
        out,
        Identity(settings, _brought(generator, making)),
        resume=resume,
        overwrite=overwrite,
        last="augment.json",
    ) as folder:
        say("Reading the data.")
        tables = sources.split(
            replace(reading, label_column=target),
            seed=seed,
            stratify=[name for name in names if name != DISCOVER],
            progress=engine.progress,
        )
        told(tables._asdict(), say)
        check_attributes(tables.test, groups)
        known = [] if names == (DISCOVER,) else annotated(tables._asdict(), names)
        maker = None
        if generator is not None:
            maker = generator_source(generator, tables.train, device=engine.device, seed=seed)
        named = (
            {} if maker is None or Path(maker.source).is_dir() else {"generator": digest_of(maker.generator)}
        )
        folder = folder.settled(fingerprints(tables._asdict()), named)
        if folder.finished:
            return _earlier(folder.path, say)
        start = Start(chosen, engine, seed=seed)
        check_tables(tables, known, groups, how, start, making if maker is None else None)
        folder.begin()
        write_rejected(ImageTable.concat(list(tables)), folder.path / "rejected.csv")
        with naming_what_is_kept(folder):
            trainer = Trainer(chosen, folder, engine, "augmented", say)
            if not known:
                known = [
                    discovered(
                        tables._asdict(),
                        trainer,
                        names=_names(target, reading),
                        seed=child_seed(seed, "discover"),
                    )
                ]
            eyes = attribute_classifiers(tables, target, known, trainer, learning=how.classifiers, seed=seed)
            if maker is None:
                maker = trained_generator(
                    tables.train, making, folder, seed=child_seed(seed, "generator"), engine=engine, say=say
                )
            say("Fitting hyperplanes and making pairs.")
            made = make_pairs(
                maker.generator,
                eyes.on(engine.device),
                eyes.natural,
                round(how.share / (1 - how.share) * len(tables.train)),
                how,
                folder=folder.path / "pairs",
                seed=child_seed(seed, "pairs"),
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
                tables, known, made, trainer, sampling=how.sampling, controls=controls, seed=seed
            )
            say("Scoring the test images and measuring.")
            judged, notes = judged_models(models, tables, known, engine.device)
            measured = _measured(tables, known, groups)
            numbers, changes = numbers_and_changes(
                {name: one.judged for name, one in judged.items()},
                tables.test.labels,
                tables.train.labels,
                measured,
                replicates=replicates,
                seed=seed,
                say=notes.append,
            )
            for note in notes:
                say(note)
            write_scores(
                folder.path / "scores.parquet",
                tables.test,
                {f"probability_{name}": one.judged.probabilities for name, one in judged.items()}
                | {f"side_{one.name}": one.ids["test"] for one in known if not one.annotated},
                None,
                split="test",
            )
            record = AugmentRecord(
                command=command,
                settings=dict(settings),
                seed=seed,
                versions=versions(),
                target=target,
                protected={
                    one.name: ProtectedRecord(
                        list(one.sides),
                        one.found,
                        _agreement(one, tables.train, groups),
                        eyes.accuracy[one.name],
                    )
                    for one in known
                },
                measured=list(measured),
                data=_data(tables, sources.given, measured, known),
                generator=GeneratorRecord(
                    maker.source,
                    maker.generator.latent,
                    tables.train.image_size,
                    generator is None,
                    maker.steps,
                    maker.seconds,
                ),
                planes={
                    name: PlaneRecord(plane.accuracy, plane.auroc, made.shares[name])
                    for name, plane in made.planes.items()
                },
                pairs=PairsRecord(
                    count=len(np.unique(np.asarray(made.table.column("pair")))),
                    keep=how.keep,
                    variant=how.variant,
                    as_meant=made.as_meant,
                    target_kept=made.target_kept,
                    changed=made.changed,
                    share=len(made.table) / (len(made.table) + len(tables.train)),
                    cosines=made.cosines,
                    table="pairs",
                ),
                edges=list(EDGES),
                models={
                    name: AugmentedModel(
                        title=one.title,
                        role=one.role,
                        sees=one.sees,
                        threshold=one.judged.threshold_probability,
                        steps=one.fit.steps,
                        seconds=one.fit.seconds,
                        numbers=numbers[name],
                        changes=changes[name],
                    )
                    for name, one in judged.items()
                },
                notes=notes,
                wall_s=time.perf_counter() - began,
                peak_rss_bytes=peak_rss_bytes(),
                pictures=_pictures(folder.path, maker.generator, made, seed, edits=show_edits),
            )
            write_augment(record, folder.path)
            write_augment_report(folder.path)
    return record


def _names(target: str, reading: Reading) -> tuple[str, str]:
    """What the negative and the positive class are called."""
    positive = target if reading.positive_class is None else reading.positive_class
    return f"not {positive}", positive


def _source(generator: str | os.PathLike[str] | Generator | None) -> str | None:
    if generator is None or isinstance(generator, str | os.PathLike):
        return None if generator is None else os.fspath(generator)
    return type(generator).__name__


def _brought(generator: str | os.PathLike[str] | Generator | None, making: GAN) -> dict[str, str]:
    """What can be known of the generator before the data are read: its files, or what its settings do not say."""
    if generator is None:
        usual = replace(GAN(), steps=making.steps) == making
        return {} if usual else {"generator_settings": digest_of(asdict(making))}
    return (
        {"generator": model_digest(generator)}
        if isinstance(generator, str | os.PathLike) and Path(generator).is_dir()
        else {}
    )


def _earlier(path: Path, say: Tell) -> AugmentRecord:
    """The record of a run that is already there."""
    record = read_augment(path)
    say(f"{path} holds this run already; it is shown as it is. --overwrite runs it again.")
    write_augment_report(path)
    return record


def _measured(tables: Split, known: Sequence[Protected], groups: Sequence[str]) -> dict[str, Measured]:
    """What models are measured by, what the headline is about first: annotated before discovered."""
    sides = {one.name: Measured(*one.groups("test"), one.groups("train")) for one in known}
    columns = {}
    for name in groups:
        if name not in sides:
            trained = name in tables.train.attributes.column_names
            columns[name] = Measured(
                *_column(tables.test, name), _column(tables.train, name) if trained else None
            )
    return sides | columns if all(one.annotated for one in known) else columns | sides


def _column(table: ImageTable, name: str) -> tuple[Groups, Ints]:
    """Groups of the rows that have a value, and these rows."""
    values = table.column(name)
    rows = np.flatnonzero([value is not None and value == value for value in values])
    return Groups.from_column([values[row] for row in rows], attribute=name), rows


def _agreement(one: Protected, train: ImageTable, groups: Sequence[str]) -> dict[str, float]:
    if one.annotated:
        return {}
    columns = [name for name in groups if name in train.attributes.column_names]
    return {name: one.agreement("train", train.groups(name), train.labels) for name in columns}


def _data(
    tables: Split, given: dict[str, str], measured: Mapping[str, Measured], known: Sequence[Protected]
) -> AugmentedData:
    cells: dict[str, dict[str, dict[str, list[int]]]] = {}
    sides = {one.name: one for one in known}
    for part, table in tables._asdict().items():
        cells[part] = {}
        for name in measured:
            if name in sides:
                groups, rows = sides[name].groups(part)
            elif name in table.attributes.column_names:
                groups, rows = _column(table, name)
            else:
                continue
            labels = table.labels[rows]
            cells[part][name] = {
                group: [int(((groups.ids == i) & (labels == label)).sum()) for label in (0, 1)]
                for i, group in enumerate(groups.names)
            }
    rejected = {(item.path, item.reason) for table in tables for item in table.rejected}
    fingerprint = {part: table.fingerprint for part, table in tables._asdict().items()}
    return AugmentedData(fingerprint, given, cells, len(rejected))


def _pictures(folder: Path, generator: Generator, made: Made, seed: int, *, edits: bool) -> dict[str, str]:
    """Samples; edited images only if they were asked for."""
    latents = sampled(generator, SHOWN, seed=child_seed(seed, "samples"))
    sheets = {"samples": contact_sheet(as_stored(decoded(generator, latents)), columns=8)}
    if edits:
        pair = np.asarray(made.table.column("pair"))
        rows = np.flatnonzero(np.isin(pair, np.unique(pair)[:SHOWN]))
        sheets["edits"] = contact_sheet(
            made.table.batch(rows), columns=4 * len(rows) // len(np.unique(pair[rows]))
        )
    for name, png in sheets.items():
        write_bytes(folder / "pictures" / f"{name}.png", png)
    return {name: f"pictures/{name}.png" for name in sheets}
