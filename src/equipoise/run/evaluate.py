"""Saved models on data: the numbers of a record, without training anything."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from equipoise.data import ImageTable, write_rejected
from equipoise.errors import InputError
from equipoise.report.debias.page import write_report
from equipoise.report.debias.record import RunRecord, write
from equipoise.run.account import data_record, timing_record, versions
from equipoise.run.checks import check_groups, scoring_engine
from equipoise.run.debias.numbers import TITLES, Truth, measure
from equipoise.run.encoder_source import encoder_source
from equipoise.run.folder import RunFolder
from equipoise.run.identity import Identity, Setting, fingerprints, model_digest
from equipoise.run.measuring import Measuring
from equipoise.run.output import Output
from equipoise.run.saved import Saved, load
from equipoise.run.scores import write_scores
from equipoise.run.sources import Reading, Sources, check_attributes, read_one, told
from equipoise.run.windows import check_windows, window_probabilities
from equipoise.seeds import checked_seed
from equipoise.sharing import shared_path
from equipoise.train import Engine, predict
from equipoise.train.classes import told_classes
from equipoise.train.saved_model import has_encoder

__all__ = ["evaluate"]


def evaluate(
    models: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    sources: Sources,
    *,
    encoder: nn.Module | str | None = None,
    reading: Reading = Reading(),
    measuring: Measuring = Measuring(),
    seed: int = 0,
    engine: Engine = Engine(),
    output: Output = Output("runs/evaluate"),
) -> RunRecord:
    """Measure saved models on the same images, by group; the first one is the baseline of the others.

    Args:
        models: Folders with `model.safetensors` and `config.json`: a run's folder, or one of its models'.
        sources: Positives and negatives, or data with both. Positives alone will do, such as the faces of the labs or
            of PPB: then nothing is known of false positives, and no false-positive rate can be matched.
        encoder: What models were trained with in place of the standard CNN, those that were: a network, or
            "package.module:callable" that gives one.
        reading: How sources are read; image size and channels are the models'.
        measuring: Groups, false-positive rate, threshold, replicates; whether pictures are scored by their windows.
        seed: Of the bootstrap.
        engine: The device.
        output: The folder, and who is told.

    Raises:
        InputError: if there is no data, a column is missing, or the models take images of different sizes.
        DataError: if a model or a source cannot be read, or the folder cannot be used.
    """
    began, say = time.perf_counter(), output.say
    sources.check_untested("evaluate")
    measuring, seed, engine = measuring.checked(), checked_seed(seed), scoring_engine(engine, "evaluate")
    if measuring.windows:
        check_windows(sources)
    folders = [models] if isinstance(models, str | os.PathLike) else list(models)
    own = encoder_source(encoder)
    saved = named(loaded(folders, own.network, engine.device))
    titles = titled(saved, folders)
    first = next(iter(saved.values()))
    reading = reading.for_model(first.framing, first.channels)
    settings: dict[str, Setting] = {
        "command": "evaluate",
        "models": [str(Path(folder)) for folder in folders],
        **sources.given,
        "encoder": own.named,
        **reading.settings(),
        **{name: value for name, value in measuring.settings().items() if name != "controls"},
        "seed": seed,
        "device": engine.device,
    }
    brought = {f"model {number}": model_digest(folder) for number, folder in enumerate(folders, 1)}
    with output.open(Identity(settings, brought), resume=True) as folder:
        table = read_test(sources, first, reading, measuring, engine, say)
        folder = folder.settled(fingerprints({"test": table}))
        folder.begin()
        if measuring.windows:
            scores = window_probabilities(saved, table, sources, reading, engine, output)
        else:
            scores = {name: predict(one.model, table, device=engine.device) for name, one in saved.items()}
        truth = Truth.of(table, measuring.groups, reading.positive_class)
        measured = measure(scores, truth, say=say, seed=seed, **measuring.options())
        write_tables(folder, table, saved, scores)
        record = RunRecord(
            command=output.command or "equipoise.run.evaluate(...)",
            recipe=first.recipe,
            settings=dict(settings),
            seed=seed,
            versions=versions(),
            data=data_record({"test": table}, sources.given, measuring.groups),
            fpr=measuring.fpr,
            **measured.titled(titles).parts(),
            resampling=None,
            timing=timing_record(began, steps=0, seconds=0.0),
        )
        write(record, folder.path)
        write_report(folder.path)
    return record


def read_test(
    sources: Sources,
    model: Saved,
    reading: Reading,
    measuring: Measuring,
    engine: Engine,
    say: Callable[[str], None],
) -> ImageTable:
    """The images of the test side, told, of the model's classes, with the columns that are to be compared.

    Raises:
        InputError: if there are none, or a column is missing.
    """
    table: ImageTable | None
    if len(model.class_names) > 2 and sources.data is not None:
        table = read_one(sources.data, None, replace(reading, positive_class=None), progress=engine.progress)
    else:
        table = sources.whole(reading, alone=True, progress=engine.progress)
    if table is None:
        raise InputError(
            "Expected images to evaluate on; got none. Give `positives`, best with `negatives`, or `data`."
        )
    table = model.aligned(reading.side(table, "test"))
    check_attributes(table, measuring.groups)
    check_groups(table, measuring.groups)
    told({"test": table}, say)
    return table


def write_tables(
    folder: RunFolder,
    table: ImageTable,
    saved: Mapping[str, Saved],
    probabilities: Mapping[str, NDArray[np.float64]],
) -> None:
    """Write what lies beside the record; the density is that of the first model that has one."""
    write_rejected(table, folder.path / "rejected.csv")
    write_scores(
        folder.path / "scores.parquet",
        table,
        {f"probability_{name}": values for name, values in probabilities.items()},
        next((one.seen.log_density(table) for one in saved.values() if one.seen), None),
    )


def loaded(folders: Sequence[str | os.PathLike[str]], encoder: nn.Module | None, device: str) -> list[Saved]:
    """The models; the encoder goes to those that were trained with one.

    Raises:
        InputError: if none was.
    """
    own = [encoder if has_encoder(folder) else None for folder in folders]
    if encoder is not None and folders and not any(one is not None for one in own):
        raise InputError(
            f"Expected a model that was trained with an encoder of your own; got `encoder` and "
            f"{', '.join(map(str, folders))}, built by equipoise. Leave `encoder` out."
        )
    return [load(folder, encoder=one, device=device) for folder, one in zip(folders, own, strict=True)]


def named(saved: Sequence[Saved]) -> dict[str, Saved]:
    """Models by the name of their method; a second one of a method gets a number.

    Raises:
        InputError: if they do not take the same images.
    """
    if not saved:
        raise InputError("Expected at least one model's folder; got none. Name the folder of a run.")
    shapes = {(entry.image_size, entry.channels) for entry in saved}
    if len(shapes) > 1:
        raise InputError(
            f"Expected models that take the same images; got (pixels a side, channels) {sorted(shapes)}. "
            "Evaluate them apart."
        )
    framings = sorted({str(entry.framing) for entry in saved})
    if len(framings) > 1:
        raise InputError(
            f"Expected models that take images framed alike; got {', '.join(framings)}. Evaluate them apart."
        )
    if len({entry.class_names for entry in saved}) > 1:
        raise InputError(
            f"Expected models of the same classes; got {told_classes(saved[0].class_names)} and others. Evaluate them "
            "apart."
        )
    names: dict[str, Saved] = {}
    for entry in saved:
        number = 1 + sum(other.method == entry.method for other in names.values())
        names[entry.method if number == 1 else f"{entry.method}-{number}"] = entry
    return names


def titled(saved: Mapping[str, Saved], folders: Sequence[str | os.PathLike[str]]) -> dict[str, str]:
    """What people read for models of which several are of one method: the method, and the shortest name of the run's
    folder that tells them apart. Folders of which none does (or whose names would tell where they lie) get numbers.
    """
    methods = [one.method for one in saved.values()]
    places = [shared_path(str(_run_folder(Path(folder)))).split("/") for folder in folders]
    titles: dict[str, str] = {}
    for (name, one), place in zip(saved.items(), places, strict=True):
        if methods.count(one.method) == 1:
            continue
        rivals = [other for other, method in zip(places, methods, strict=True) if method == one.method]
        for length in range(1, len(place) + 1):
            if sum(other[-length:] == place[-length:] for other in rivals) == 1:
                break
        else:
            length = 1
        said = f"{TITLES.get(one.method, one.method)} ({'/'.join(place[-length:])})"
        used = sum(title.startswith(said) for title in titles.values())
        titles[name] = f"{said} {used + 1}" if used else said
    return titles


def _run_folder(folder: Path) -> Path:
    """The run that a folder of one of its models belongs to."""
    place = Path(os.path.abspath(folder))
    return place.parent.parent if place.parent.name == "models" else place
