"""The main job: a plain and a debiased classifier, the controls, and an honest account of what changed.

It reads from top to bottom: settings → data → models → scores → numbers → pictures → record.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from torch import nn

from equipoise.data import ImageTable, Split, write_rejected
from equipoise.report.debias.page import write_report
from equipoise.report.debias.record import RunRecord, read, write
from equipoise.run.account import data_record, timing_record, versions
from equipoise.run.checks import Start, check_models, check_numbers, check_test, embedded_once
from equipoise.run.debias.numbers import measure
from equipoise.run.embedding_source import embedding_source
from equipoise.run.encoder_source import encoder_source
from equipoise.run.engine import Engine
from equipoise.run.enrichment import resampling_record, told_beforehand
from equipoise.run.folder import RunFolder, open_folder
from equipoise.run.identity import Identity, Setting, fingerprints
from equipoise.run.keeping import naming_what_is_kept
from equipoise.run.pictures import write_pictures
from equipoise.run.representation import Representation, represent, save_representation
from equipoise.run.scores import write_scores
from equipoise.run.sources import (
    PLANTED,
    PLANTED_GROUPS,
    Reading,
    Source,
    Sources,
    check_attributes,
    told,
)
from equipoise.run.tuning import tuning
from equipoise.train import METHODS, Embedding, Fit, Recipe, fit, predict, save_model
from equipoise.train import recipe as find_recipe

__all__ = ["debias"]

Tell = Callable[[str], None]


def debias(
    positives: Source = None,
    negatives: Source = None,
    *,
    data: Source = None,
    test_positives: Source = None,
    test_negatives: Source = None,
    test_data: Source = None,
    test_share: float = 0.2,
    validation_share: float = 0.0,
    images: int = 20000,
    reading: Reading | None = None,
    groups: Sequence[str] = (),
    fpr: float = 0.01,
    replicates: int = 2000,
    controls: bool = True,
    recipe: str | Recipe = "equipoise",
    encoder: nn.Module | str | None = None,
    embedding: nn.Module | str | None = None,
    embedding_column: str | None = None,
    seed: int = 0,
    engine: Engine | None = None,
    out: str | os.PathLike[str] = "runs/debias",
    resume: bool = False,
    overwrite: bool = False,
    tell: Tell | None = None,
    command: str = "equipoise.debias(...)",
) -> RunRecord:
    """Train a plain and a debiased classifier and show, by group, what changed.

    Without any data the embedded set is drawn, with its groups "hidden". Without test data a share is
    held out. Everything lands in `out`; `record.json` is written last, so a folder with a record is a whole run.

    Args:
        positives: Images of the class to be found: a path, or a table.
        negatives: Images without it.
        data: One source that holds both, in place of the two.
        test_positives: Test images of the class; none of the test images decides anything.
        test_negatives: Test images without it.
        test_data: One test source that holds both.
        test_share: Share held out when there are no test data.
        validation_share: Share held out for validation curves.
        images: Images of the embedded set.
        reading: How sources are read.
        groups: Columns of the test data whose values are compared. Training never sees them.
        fpr: False-positive rate at which models are compared.
        replicates: Bootstrap replicates.
        controls: Train the controls too: the plain network trained as long, the same losses sampled uniformly.
        recipe: A recipe or its name.
        encoder: A network of the user's in place of the standard CNN, see `fit`; or "package.module:callable" that
            gives one.
        embedding: What rarity is measured in: a network from images in [0, 1] to vectors, or
            "package.module:callable" that gives one. See `fit`.
        embedding_column: In place of it, a column of the training data that holds vectors.
        seed: Decides everything that is left to chance.
        engine: Device, precision, processes.
        out: The run's folder.
        resume: Continue what was interrupted there; ends with the numbers of a run that was not.
        overwrite: Replace the run that lies there.
        tell: Takes a line on every stage; None is silent.
        command: What the record says made it.

    Raises:
        InputError: if a setting, a column or the data are not as expected.
        DataError: if a source cannot be read, or the folder cannot be used.
        TrainingError: if training had to stop.
    """
    began = time.perf_counter()
    seed = check_numbers(fpr=fpr, replicates=replicates, seed=seed)
    chosen, reading = find_recipe(recipe), reading or Reading()
    engine = (engine or Engine()).resolved(chosen)
    own, brought = (
        encoder_source(encoder, seed=seed),
        embedding_source(embedding, embedding_column, seed=seed),
    )
    say: Tell = tell or (lambda line: None)
    sources = Sources(
        *(positives, negatives, data, test_positives, test_negatives, test_data),
        *(test_share, validation_share, images),
    )
    groups = tuple(groups) if groups or sources.given else PLANTED_GROUPS
    settings: dict[str, Setting] = {
        "command": "debias",
        **sources.settings(),
        **reading.settings(),
        "groups": groups,
        "fpr": fpr,
        "replicates": replicates,
        "controls": controls,
        "recipe": chosen.name,
        "tune": tuning(chosen),
        **own.settings(),
        **brought.settings(),
        "seed": seed,
        **engine.settings(),
    }
    identity = Identity(settings, {**own.brought(), **brought.brought()})
    with open_folder(out, identity, resume=resume, overwrite=overwrite) as folder:
        say("Reading the data.")
        first = chosen.split == "first-80"
        tables = sources.split(reading, seed=seed, first=first, stratify=groups, progress=engine.progress)
        told(tables._asdict(), say)
        check_attributes(tables.test, groups)
        folder = folder.settled(fingerprints(tables._asdict()))
        if folder.finished:
            return earlier(folder, say)
        check_test(tables.test, groups)
        methods = methods_of(chosen, controls=controls)
        vectors = embedded_once(brought.embedding, tables.train, chosen, engine.device)
        start = Start(chosen, engine, own.network, vectors, seed)
        check_models(methods, tables.train, start, weights=not folder.resumed)
        folder.begin()
        for note in told_beforehand(chosen.resampling, tables.train, chosen.debiased.batch_size):
            say(note)
        with naming_what_is_kept(folder):
            fits = train_all(
                methods,
                tables,
                chosen,
                folder,
                encoder=own.network,
                embedding=vectors,
                seed=seed,
                engine=engine,
                say=say,
            )
            main = fits["debiased"]
            say("Scoring the test images and measuring.")
            scores = {name: predict(f.model, tables.test, device=engine.device) for name, f in fits.items()}
            seen = represent(main.model, tables.train, bins=chosen.resampling.bins, device=engine.device)
            measured = measure(
                *(scores, tables.test, groups), fits=fits, fpr=fpr, replicates=replicates, seed=seed, say=say
            )
            pictures = write_tables_and_pictures(folder, tables, main, seen, scores, seed=seed)
            resampling = None
            if main.weights is not None:
                resampling = resampling_record(
                    main.weights,
                    tables.train,
                    groups,
                    rule=brought.rule(chosen.resampling),
                    representation=brought.representation(chosen.resampling),
                    negative_weights=main.negative_weights,
                    draws=main.draws,
                    negative_draws=main.negative_draws,
                )
            record = RunRecord(
                command=command,
                recipe=chosen.to_dict(),
                settings=dict(settings),
                seed=seed,
                versions=versions(),
                data=data_record(tables._asdict(), sources.given or {"data": PLANTED}, groups),
                fpr=fpr,
                models=measured.models,
                comparisons=measured.comparisons,
                resampling=resampling,
                timing=timing_record(began, steps=main.steps, seconds=main.seconds),
                pictures=pictures,
            )
            write(record, folder.path)
            write_report(folder.path)
    return record


def methods_of(chosen: Recipe, *, controls: bool) -> list[str]:
    """What is trained, in order. The plain network "trained as long" is left out where plain is that already."""
    if not controls:
        return ["plain", "debiased"]
    same = chosen.plain == chosen.debiased
    more = chosen.objective != "classifier"  # without further losses uniform sampling is plain training
    return ["plain", "debiased", *([] if same else ["plain-same-steps"]), *(["uniform"] if more else [])]


def earlier(folder: RunFolder, say: Tell) -> RunRecord:
    """The record of a run that is already there."""
    record = read(folder.path)
    say(f"{folder.path} holds this run already; it is shown as it is. --overwrite runs it again.")
    write_report(folder.path)
    return record


def train_all(
    methods: Sequence[str],
    tables: Split,
    chosen: Recipe,
    folder: RunFolder,
    *,
    encoder: nn.Module | None,
    embedding: Embedding | None,
    seed: int,
    engine: Engine,
    say: Tell,
) -> dict[str, Fit]:
    """Train the models one after another; those that an earlier start finished come from their checkpoints."""
    fits: dict[str, Fit] = {}
    for number, method in enumerate(methods, 1):
        say(f"Training {number} of {len(methods)}: {METHODS[method]}.")
        fits[method] = fit(
            tables.train,
            chosen,
            method=method,  # type: ignore[arg-type]
            encoder=encoder,
            embedding=embedding,
            validation=tables.validation if len(tables.validation) else None,
            seed=seed,
            folder=folder.checkpoints(method),
            resume=folder.resumed,
            **asdict(engine),
        )
        save_model(
            fits[method],
            folder.model(method),
            image_size=tables.train.image_size,
            channels=tables.train.channels,
        )
    return fits


def write_tables_and_pictures(
    folder: RunFolder,
    tables: Split,
    main: Fit,
    seen: tuple[Representation, NDArray[np.float64]] | None,
    probabilities: Mapping[str, NDArray[np.float64]],
    *,
    seed: int,
) -> dict[str, str]:
    """Write everything that lies beside the record; the pictures' names."""
    representation, common = seen or (None, None)
    if main.weights is not None:
        common = -main.weights  # what is drawn least is what counted as most common
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
    return write_pictures(folder.path, main.model, tables.train, tables.test, common, seed=seed)
