"""`fix`: another last layer for those whom a network fails, chosen without group labels and without test data.

It reads from top to bottom: settings → data → features, once → slices and choice → numbers on test images → network →
record.
"""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import nn

from equipoise import fairness
from equipoise import fix as fixes
from equipoise.data import ImageTable, Split, write_rejected
from equipoise.errors import InputError
from equipoise.fix.checks import checked_classes, units_of
from equipoise.fix.rows import FINDING
from equipoise.fix.trial import Plan
from equipoise.nn import Backbone, BackboneClassifier, FeatureStore, with_last_layer
from equipoise.nn.features import Elsewhere
from equipoise.nn.last_layer import replaceable
from equipoise.report.fix.page import write_fix_report
from equipoise.report.fix.record import (
    FixedModel,
    FixRecord,
    FixTiming,
    MendedSlice,
    read_fix,
    write_fix,
)
from equipoise.run.account import data_record, peak_rss_bytes, versions
from equipoise.run.backbone_source import BackboneSource, backbone_source
from equipoise.run.checks import check_groups, scoring_engine
from equipoise.run.fix.choice import choice_record, chosen_layer, kept_together
from equipoise.run.fix.failing import Failing
from equipoise.run.fix.layers import Layers, called, layers_of, logits_by, own_logits
from equipoise.run.fix.pictures import write_fix_pictures
from equipoise.run.fix.said import write_said, write_wrong_after
from equipoise.run.folder import RunFolder
from equipoise.run.identity import Identity, Setting, fingerprints
from equipoise.run.model_source import Network
from equipoise.run.output import Output
from equipoise.run.remote import Loading, remote_features
from equipoise.run.sources import Reading, Sources, check_attributes, told
from equipoise.seeds import checked_seed
from equipoise.train import RECIPES, Engine, Fit, save_model
from equipoise.train.device import device_of

__all__ = ["Choosing", "fix"]


@dataclass(frozen=True)
class Choosing:
    """How a fix is chosen.

    Args:
        groups: Columns whose values are the groups to compare on test images. The choice never sees them.
        validation_groups: Columns of the data whose values, of the rows that have one, are chosen by.
        methods: Names in `fix.FIXES`; none tries all that are possible.
        seen: The network was trained on these images, so that its own predictions on them say nothing: in the choice a
            plain last layer stands for it.
        price: Most that accuracy over the images of the data, cross-fitted, may fall, a share; None is no limit.
    """

    groups: Sequence[str] = ()
    validation_groups: Sequence[str] = ()
    methods: Sequence[str] = ()
    seen: bool = False
    price: float | None = None

    def __post_init__(self) -> None:
        Plan(price=self.price)

    def options(self) -> dict[str, Any]:
        """What `chosen_layer` takes of it."""
        by = tuple(self.validation_groups)
        return {"validation_groups": by, "methods": self.methods or None, "price": self.price}

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        given = {"groups": tuple(self.groups), "validation_groups": tuple(self.validation_groups)}
        return {**given, "methods": tuple(self.methods), "seen": self.seen or None, "price": self.price}


def fix(
    model: str | os.PathLike[str] | nn.Module | Backbone | Network,
    sources: Sources,
    *,
    reading: Reading = Reading(),
    choosing: Choosing = Choosing(),
    seed: int = 0,
    engine: Engine = Engine(),
    output: Output = Output("runs/fix"),
) -> FixRecord:
    """Give a network another last layer, and show by class and group what that changed on test images.

    Everything lands in `output.out`: the network with its new layer (none where it is left as it is), fix.json,
    report.html, scores.parquet (each test image by each last layer). The network runs once over the images, as it is;
    all else costs seconds.

    Args:
        model: A name as `nn.named_backbone` takes it, a run's folder, a network or an `nn.Backbone`; or one of these
            with what it needs to be read, `Network`.
        sources: What to fix it on, best images that it was not trained on, and what to test on.
        reading: How sources are read; the network decides size, framing and channels where it knows.
        choosing: What is measured, and by what is chosen.
        seed: Of the split, the folds and the choice.
        engine: The device, and where the one pass over the images runs.
        output: The run's folder, and who is told.

    Raises:
        InputError: if data, network and options do not fit together.
        DataError: if something cannot be read or written.
    """
    began, say, seed = time.perf_counter(), output.say, checked_seed(seed)
    _check_asked(sources, choosing)
    engine = scoring_engine(engine, "fix")
    source = backbone_source(model, reading, say)
    loading = None if source.asked is None else Loading(source.asked, reading, fixed=True)
    reading = source.reading(reading)
    settings = _settings(source, sources, reading, choosing, seed, engine)
    with output.open(Identity(settings, source.brought()), last="fix.json", resume=True) as folder:
        elsewhere = _elsewhere(source, engine, loading, say)
        tables = _read(sources, reading, choosing, seed, engine, output)
        folder = folder.settled(fingerprints(tables._asdict()))
        if folder.finished:
            return _earlier(folder, say)
        folder.begin()
        stores, features_s = _features(source, tables, engine, elsewhere)
        backbone = _featured(source)
        current = own_logits(backbone, tables.train, stores["train"])
        say(_start(backbone, tables.train, current is not None))
        choice, found, choosing_s = _chosen(stores["train"], tables.train, current, reading, choosing, seed)
        say(f"Chosen: {choice.name}. Measuring on test images.")
        layers = layers_of(choice, stores["train"], tables.train, choosing.groups, seed)
        models, compared, slices = _measured(
            backbone, layers, stores["test"], tables.test, choosing.groups, found, seed
        )
        write_rejected(ImageTable.concat([tables.train, tables.test]), folder.path / "rejected.csv")
        _save(folder, backbone, choice.layer, tables.train, seed, choosing_s)
        write_said(folder.path / "scores.parquet", backbone, layers, stores["test"], tables.test)
        record = FixRecord(
            command=output.command or "equipoise.run.fix(...)",
            settings=dict(settings),
            seed=seed,
            versions=versions(),
            network=_network(backbone, current is not None),
            data=data_record(tables._asdict(), sources.given, choosing.groups),
            choice=choice_record(choice, choosing.validation_groups),
            models=models,
            comparisons=compared,
            timing=FixTiming(features_s, choosing_s, time.perf_counter() - began, peak_rss_bytes()),
            slices=slices,
            slices_note=found.note,
            pictures=write_fix_pictures(folder.path, tables.test, slices),
            wrong=write_wrong_after(
                *(folder.path, (backbone, layers), stores["test"], tables.test, found),
                attributes=choosing.groups,
                seed=seed,
            ),
        )
        write_fix(record, folder.path)
        write_fix_report(folder.path)
    return record


def _earlier(folder: RunFolder, say: Callable[[str], None]) -> FixRecord:
    say(f"{folder.path} holds this run already; it is shown as it is. `overwrite` runs it again.")
    write_fix_report(folder.path)
    return read_fix(folder.path)


def _chosen(
    store: FeatureStore,
    table: ImageTable,
    current: NDArray[Any] | None,
    reading: Reading,
    choosing: Choosing,
    seed: int,
) -> tuple[fixes.Choice, Failing, float]:
    """The layer, the slices that it was chosen by, and seconds; what the network says of images that it was trained on
    is no rival."""
    return chosen_layer(
        store,
        table,
        None if choosing.seen else current,
        together=kept_together(table, reading),
        seed=seed,
        groups=[name for name in choosing.groups if name in table.columns],
        **choosing.options(),
    )


def _check_asked(sources: Sources, choosing: Choosing) -> None:
    if not sources.given:
        raise InputError(
            "Expected images to fix the network on; got none. Give `data`, or `positives` and `negatives`."
        )
    unknown = [name for name in choosing.methods if name not in fixes.FIXES]
    if unknown:
        raise InputError(
            f"Expected `methods` among {', '.join(fixes.FIXES)}; got {unknown[0]!r}. Write one of them."
        )


def _settings(
    source: BackboneSource,
    sources: Sources,
    reading: Reading,
    choosing: Choosing,
    seed: int,
    engine: Engine,
) -> dict[str, Setting]:
    own = source.settings()
    return {
        "command": "fix",
        "model": own.pop("backbone"),
        **own,
        **sources.settings(),
        **reading.settings(),
        **choosing.settings(),
        "seed": seed,
        "device": engine.device,
    }


def _read(
    sources: Sources, reading: Reading, choosing: Choosing, seed: int, engine: Engine, output: Output
) -> Split:
    """What to fix on and what to test on, told, with the columns that are needed."""
    output.say("Reading the data.")
    known = (*choosing.groups, *choosing.validation_groups)
    found = sources.split(
        reading, seed=seed, first=False, stratify=known, many=True, progress=engine.progress
    )
    told({"data": found.train, "test": found.test}, output.say)
    check_attributes(found.test, choosing.groups)
    check_attributes(found.train, choosing.validation_groups, what="data", setting="validation_groups")
    check_groups(found.test, choosing.groups)
    check_groups(found.train, choosing.validation_groups)
    units = units_of(len(found.train), [found.train.digests])  # before the network runs over them
    checked_classes(found.train.labels, len(found.train.class_names), units, FINDING)
    return found


def _featured(source: BackboneSource) -> Backbone:
    if source.featured is None:
        raise InputError("Expected a network to fix; got none. Name one.")
    return source.featured.backbone


def _elsewhere(
    source: BackboneSource, engine: Engine, loading: Loading | None, say: Callable[[str], None]
) -> Elsewhere | None:
    if loading is None:
        raise InputError("Expected a network to fix; got none. Name one.")
    return remote_features(engine.on, loading, engine.device, _featured(source), say)


def _features(
    source: BackboneSource, tables: Split, engine: Engine, elsewhere: Elsewhere | None
) -> tuple[dict[str, FeatureStore], float]:
    """Features of both sides, and the seconds that they took."""
    began, where = time.perf_counter(), device_of(engine.device)
    if source.featured is None:
        raise InputError("Expected a network to fix; got none. Name one.")
    for table in (tables.train, tables.test):
        source.featured.backbone.check_pictures(table)
    stores = {
        "train": source.featured.of(tables.train, where, elsewhere),
        "test": source.featured.of(tables.test, where, elsewhere),
    }
    return stores, time.perf_counter() - began


def _start(backbone: Backbone, table: ImageTable, own: bool) -> str:
    if own:
        return f"{backbone.name} is of these classes. Trying other last layers on {len(table):,} images."
    return (
        f"The last layer of {backbone.name} is not of these {len(table.class_names)} classes: a plain one, fitted on "
        f"the {len(table):,} images, stands for it. Trying others."
    )


def _measured(
    backbone: Backbone,
    layers: Layers,
    store: FeatureStore,
    table: ImageTable,
    attributes: Sequence[str],
    failing: Failing,
    seed: int,
) -> tuple[dict[str, FixedModel], fairness.ClassComparison, list[MendedSlice]]:
    """Every last layer on the test images, what differs from the one before, and which slices were mended."""
    own = own_logits(backbone, table, store)
    logits = {name: logits_by(own, one, store) for name, one in layers.every.items()}
    predicted = {name: called(of) for name, of in logits.items()}
    every: dict[str, Any] = {
        "groups": [table.groups(name) for name in attributes],
        "classes": table.class_names,
    }
    numbers = {name: fairness.evaluate_classes(ids, table.labels, **every) for name, ids in predicted.items()}
    models = {name: FixedModel(one.title, one.role, numbers[name]) for name, one in layers.every.items()}
    compared = fairness.compare_classes(predicted, table.labels, baseline="before", **every)
    slices = failing.mended(store, table, predicted["before"], predicted["after"], attributes, seed=seed)
    return models, compared, slices


def _save(
    folder: RunFolder,
    backbone: Backbone,
    layer: nn.Linear | None,
    table: ImageTable,
    seed: int,
    seconds: float,
) -> None:
    """The network with its new last layer, if there is one, as any other model of a run."""
    if layer is None:
        return
    model = BackboneClassifier(with_last_layer(backbone, layer, table.class_names)).eval()
    fitted = Fit(
        *(model, RECIPES["probe"], "fixed", seed, {}, {}),
        weights={},
        steps=0,
        seconds=seconds,
        class_names=table.class_names,
    )
    shape = {"image_size": table.image_size, "channels": table.channels}
    save_model(fitted, folder.path, **shape, framing=table.framing)


def _network(backbone: Backbone, own: bool) -> dict[str, Any]:
    return {
        "name": backbone.name,
        "features": backbone.dimensions,
        "last_layer": "of these classes" if own else "of other classes",
        "new_layer": "in the place of its own" if replaceable(backbone) else "behind its features",
        "preprocessing": backbone.preprocessing.settings(),
    }
