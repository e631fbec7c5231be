"""Saved models on data: the numbers of a record, without training anything."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from equipoise.data import write_rejected
from equipoise.errors import InputError
from equipoise.report.debias.page import write_report
from equipoise.report.debias.record import RunRecord, write
from equipoise.run.account import data_record, timing_record, versions
from equipoise.run.checks import check_groups, check_numbers
from equipoise.run.debias.numbers import measure
from equipoise.run.encoder_source import encoder_source
from equipoise.run.folder import open_folder
from equipoise.run.identity import Identity, Setting, fingerprints, model_digest
from equipoise.run.saved import Saved, load
from equipoise.run.scores import write_scores
from equipoise.run.sources import Reading, Source, check_attributes, describe, read_source, told
from equipoise.train import predict
from equipoise.train.saved_model import has_encoder

__all__ = ["evaluate"]


def evaluate(
    models: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    positives: Source = None,
    negatives: Source = None,
    *,
    data: Source = None,
    encoder: nn.Module | str | None = None,
    reading: Reading | None = None,
    groups: Sequence[str] = (),
    fpr: float = 0.01,
    replicates: int = 2000,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    out: str | os.PathLike[str] = "runs/evaluate",
    overwrite: bool = False,
    tell: Callable[[str], None] | None = None,
    command: str = "equipoise.run.evaluate(...)",
) -> RunRecord:
    """Measure saved models on the same images, by group; the first one is the baseline of the others.

    Args:
        models: Folders with `model.safetensors` and `config.json`: a run's folder, or one of its models'.
        encoder: What models were trained with in place of the standard CNN, those that were: a network, or
            "package.module:callable" that gives one.
        reading: How sources are read; image size and channels are the models'.
        seed: Of the bootstrap.

    The other arguments are those of `debias`.

    Raises:
        InputError: if there is no data, a column is missing, or the models take images of different sizes.
        DataError: if a model or a source cannot be read, or the folder cannot be used.
    """
    began = time.perf_counter()
    say: Callable[[str], None] = tell or (lambda line: None)
    seed = check_numbers(fpr=fpr, replicates=replicates, seed=seed)
    folders = [models] if isinstance(models, str | os.PathLike) else list(models)
    own = encoder_source(encoder)
    saved = named(loaded(folders, own.network, device))
    first = next(iter(saved.values()))
    given = {"positives": positives, "negatives": negatives, "data": data}
    sources = {name: describe(source) for name, source in given.items() if source is not None}
    reading = replace(reading or Reading(), image_size=first.image_size, channels=first.channels)
    settings: dict[str, Setting] = {
        "command": "evaluate",
        "models": [str(Path(folder)) for folder in folders],
        **sources,
        "encoder": own.named,
        **reading.settings(),
        "groups": tuple(groups),
        "fpr": fpr,
        "replicates": replicates,
        "seed": seed,
        "device": device,
    }
    identity = Identity(
        settings, {f"model {number}": model_digest(folder) for number, folder in enumerate(folders, 1)}
    )
    with open_folder(out, identity, resume=not overwrite, overwrite=overwrite) as folder:
        table = read_source(positives, negatives, data, reading, progress=progress)
        if table is None:
            raise InputError(
                "Expected images to evaluate on; got none. Give --positives and --negatives, or --data."
            )
        table = reading.side(table, "test")
        check_attributes(table, groups)
        check_groups(table, groups)
        told({"test": table}, say)
        folder = folder.settled(fingerprints({"test": table}))
        folder.begin()
        probabilities = {name: predict(entry.model, table, device=device) for name, entry in saved.items()}
        measured = measure(
            probabilities,
            table,
            groups,
            fpr=fpr,
            replicates=replicates,
            seed=seed,
            say=say,
        )
        write_rejected(table, folder.path / "rejected.csv")
        write_scores(
            folder.path / "scores.parquet",
            table,
            {f"probability_{name}": values for name, values in probabilities.items()},
            next((entry.seen.log_density(table) for entry in saved.values() if entry.seen), None),
        )
        record = RunRecord(
            command=command,
            recipe=first.recipe,
            settings=dict(settings),
            seed=seed,
            versions=versions(),
            data=data_record({"test": table}, sources, groups),
            fpr=fpr,
            models=measured.models,
            comparisons=measured.comparisons,
            resampling=None,
            timing=timing_record(began, steps=0, seconds=0.0),
        )
        write(record, folder.path)
        write_report(folder.path)
    return record


def loaded(folders: Sequence[str | os.PathLike[str]], encoder: nn.Module | None, device: str) -> list[Saved]:
    """The models; the encoder goes to those that were trained with one.

    Raises:
        InputError: if none was.
    """
    own = [encoder if has_encoder(folder) else None for folder in folders]
    if encoder is not None and folders and not any(one is not None for one in own):
        raise InputError(
            f"Expected a model that was trained with an encoder of your own; got --encoder and "
            f"{', '.join(map(str, folders))}, built by equipoise. Leave --encoder out."
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
    names: dict[str, Saved] = {}
    for entry in saved:
        number = 1 + sum(other.method == entry.method for other in names.values())
        names[entry.method if number == 1 else f"{entry.method}-{number}"] = entry
    return names
