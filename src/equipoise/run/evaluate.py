"""Models on data: the numbers of a record, without training anything."""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from equipoise.data import ImageTable, write_rejected
from equipoise.errors import InputError
from equipoise.nn import Backbone
from equipoise.report.debias.page import write_report
from equipoise.report.debias.record import RunRecord, write
from equipoise.run.account import data_record, timing_record, versions
from equipoise.run.checks import check_groups, scoring_engine
from equipoise.run.compared_models import ComparedModels, loaded, titled
from equipoise.run.debias.numbers import Truth, measure
from equipoise.run.encoder_source import encoder_source
from equipoise.run.folder import RunFolder
from equipoise.run.identity import Identity, Setting, fingerprints
from equipoise.run.measuring import Measuring
from equipoise.run.model_source import Model, Network, is_run
from equipoise.run.output import Output
from equipoise.run.scores import write_scores
from equipoise.run.sources import Reading, Sources, check_attributes, first_look, read_one, told
from equipoise.run.windows import check_windows, window_probabilities
from equipoise.run.wrong import with_wrong
from equipoise.seeds import checked_seed
from equipoise.train import Engine, predict

__all__ = ["evaluate"]


def evaluate(
    models: Model | Sequence[Model],
    sources: Sources,
    *,
    encoder: nn.Module | str | None = None,
    reading: Reading = Reading(),
    measuring: Measuring = Measuring(),
    seed: int = 0,
    engine: Engine = Engine(),
    output: Output = Output("runs/evaluate"),
) -> RunRecord:
    """Measure models on the same images, by group; the first one is the baseline of the others.

    Classes are told by name where a model knows them, else by number.

    Args:
        models: Runs' folders, or those of their models; names as `nn.named_backbone` takes them, networks or
            `nn.Backbone`s; or one of these with what it needs to be read, `Network`.
        sources: Positives and negatives, or data with both. Positives alone will do, such as the faces of the labs or
            of PPB: then nothing is known of false positives, and no false-positive rate can be matched.
        encoder: What models were trained with in place of the standard CNN, those that were: a network, or
            "package.module:callable" that gives one.
        reading: How sources are read; models that know how their pictures must come decide size, framing and channels.
        measuring: Groups, false-positive rate, threshold, replicates; whether pictures are scored by their windows.
        seed: Of the bootstrap.
        engine: The device.
        output: The folder, and who is told.

    Raises:
        InputError: if there is no data, a column is missing, or models and images do not fit together.
        DataError: if a model or a source cannot be read, or the folder cannot be used.
    """
    began, say = time.perf_counter(), output.say
    sources.check_untested("evaluate")
    measuring, seed, engine = measuring.checked(), checked_seed(seed), scoring_engine(engine, "evaluate")
    if measuring.windows:
        check_windows(sources)
    single = isinstance(models, str | os.PathLike | nn.Module | Backbone | Network)
    given: list[Any] = [models] if single else list(models)  # type: ignore[arg-type]
    own = encoder_source(encoder)
    compared = ComparedModels(loaded(given, reading, own.network, engine.device), reading)
    reading = compared.reading
    if measuring.windows and reading.transform is not None:
        raise InputError("Expected `windows` or `transform`; got both. Leave one of the two out.")
    settings: dict[str, Setting] = {
        **_settings(given, compared, sources, own.named, measuring),
        "seed": seed,
        "device": engine.device,
    }
    brought = {f"model {number}": one.digest for number, one in enumerate(compared.values(), 1)}
    first = next(iter(compared.values()))
    with output.open(Identity(settings, brought), resume=True) as folder:
        table = read_test(sources, compared, measuring, engine, say)
        folder = folder.settled(fingerprints({"test": table}))
        folder.begin()
        if measuring.windows:
            scores = window_probabilities(compared.networks(), table, sources, reading, engine, output)
        else:
            every = compared.networks().items()
            scores = {name: predict(network, table, device=engine.device) for name, network in every}
        truth = Truth.of(table, measuring.groups, reading.positive_class)
        measured = measure(scores, truth, say=say, seed=seed, **measuring.options())
        write_tables(folder, table, compared, scores)
        record = RunRecord(
            command=output.command or "equipoise.run.evaluate(...)",
            recipe=first.saved.recipe if first.saved else {},
            settings=dict(settings),
            seed=seed,
            versions=versions(),
            data=data_record({"test": table}, sources.given, measuring.groups),
            fpr=measuring.fpr,
            **measured.titled(titled(compared)).parts(),
            resampling=None,
            timing=timing_record(began, steps=0, seconds=0.0),
        )
        record = with_wrong(record, folder.path, table, scores, measuring)
        write(record, folder.path)
        write_report(folder.path)
    return record


def read_test(
    sources: Sources,
    models: ComparedModels,
    measuring: Measuring,
    engine: Engine,
    say: Callable[[str], None],
) -> ImageTable:
    """The images of the test side, told, of the models' classes, with the columns that are to be compared.

    Raises:
        InputError: if there are none, or a column is missing.
    """
    table: ImageTable | None
    reading = models.reading
    every = reading if models.classes == 2 else replace(reading, positive_class=None)
    look = first_look(sources.data, every)
    if look is not None:
        models.checked(look, lambda line: None)
    if models.classes > 2 and sources.data is not None:
        table = read_one(sources.data, None, every, progress=engine.progress)
    else:
        many = reading.positive_class is None
        table = sources.whole(reading, many=many, alone=True, progress=engine.progress)
    if table is None:
        raise InputError(
            "Expected images to evaluate on; got none. Give `positives`, best with `negatives`, or `data`."
        )
    table = reading.side(table, "test")
    table = models.checked(table, say)
    check_attributes(table, measuring.groups)
    check_groups(table, measuring.groups)
    told({"test": table}, say)
    return table


def write_tables(
    folder: RunFolder,
    table: ImageTable,
    models: ComparedModels,
    probabilities: Mapping[str, NDArray[np.float64]],
) -> None:
    """Write what lies beside the record; the density is that of the first model that has one."""
    write_rejected(table, folder.path / "rejected.csv")
    write_scores(
        folder.path / "scores.parquet",
        table,
        {f"probability_{name}": values for name, values in probabilities.items()},
        next(
            (one.saved.seen.log_density(table) for one in models.values() if one.saved and one.saved.seen),
            None,
        ),
        made={name: one.told(models.reading) for name, one in models.items()},
    )


def _settings(
    given: Sequence[Any], models: ComparedModels, sources: Sources, encoder: str | None, measuring: Measuring
) -> dict[str, Setting]:
    return {
        "command": "evaluate",
        "models": [str(Path(one.source)) if is_run(one.source) else one.source for one in models.values()],
        **sources.given,
        "encoder": encoder,
        **_foreign(given),
        **models.reading.settings(),
        **{name: value for name, value in measuring.settings().items() if name != "controls"},
    }


def _foreign(models: Sequence[Any]) -> dict[str, Setting]:
    """What settings say of networks that are no run's: the same for all, but for their weights."""
    asked = [one for one in models if isinstance(one, Network) and not is_run(one.name)]
    if not asked:
        return {}
    weights = tuple(os.fspath(one.weights) for one in asked if one.weights is not None)
    said = {
        name: value for name, value in asked[0].settings(None).items() if name not in ("encoder", "weights")
    }
    return {**said, "weights": weights}
