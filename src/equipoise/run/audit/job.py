"""`audit`: every image scored by several risks, and a report of who is badly represented, uncertain, noisy.

It reads from top to bottom: settings → images → scores of every method → ranks and kinds → slices → numbers → record.
"""

# ruff: noqa: B008  (the settings' defaults are frozen)

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray
from torch import nn

from equipoise.data import ImageTable, write_rejected
from equipoise.data.cache import cache_folder
from equipoise.errors import InputError
from equipoise.nn import Backbone, FeatureStore, digest_of, placed
from equipoise.nn.features import Elsewhere
from equipoise.report.audit.page import write_audit_report
from equipoise.report.audit.record import AuditedModel, AuditRecord, AuditSlices, AuditTiming, write_audit
from equipoise.report.audit.words import accuracy_line
from equipoise.risk import Method, correlations
from equipoise.run.account import peak_rss_bytes, versions
from equipoise.run.audit.account import audit_data, by_group, by_kind, by_risk, called_counts
from equipoise.run.audit.accuracy import audited_model, check_accuracy
from equipoise.run.audit.cross_fitting import Learning, check_methods, cross_fitted_scores
from equipoise.run.audit.failing import slices_of
from equipoise.run.audit.images import audited_table, check_folds
from equipoise.run.audit.numbers import rarity_verdicts, share_of
from equipoise.run.audit.pictures import write_audit_pictures, write_audit_wrong
from equipoise.run.audit.ranking import FOLDS, Ranked, ranked
from equipoise.run.audit.scoring import AUDIT_METHODS, Scoring
from equipoise.run.audit.view import Looked, View, kept_features, looked
from equipoise.run.checks import check_groups, scoring_engine
from equipoise.run.folder import RunFolder
from equipoise.run.identity import Identity, Setting, fingerprints
from equipoise.run.model_source import ModelSource, Network
from equipoise.run.naming import Named
from equipoise.run.output import Output
from equipoise.run.remote import Loading, remote_features
from equipoise.run.scores import write_scores
from equipoise.run.sources import Reading, Sources, check_attributes, describe, first_look, told
from equipoise.seeds import checked_seed
from equipoise.slices import Found
from equipoise.train import Engine
from equipoise.train.device import device_of

__all__ = ["AUDIT_METHODS", "audit"]


@dataclass(frozen=True, eq=False)
class Asked:
    """What a run was asked to do, resolved."""

    source: ModelSource
    network: Mapping[str, Setting]
    sources: Sources
    scoring: Scoring
    reading: Reading
    groups: Sequence[str]
    seed: int
    words: Named | None = None

    @property
    def brought(self) -> dict[str, str]:
        """What the run's identity says of what was brought."""
        return {"model": digest_of(self.source.network), **({} if self.words is None else self.words.brought)}

    @property
    def given(self) -> dict[str, str]:
        """What the user gave, by the name of the setting."""
        one = self.scoring.reference
        return {**self.sources.given, **({} if one is None else {"reference": describe(one)})}

    def settings(self, methods: Sequence[str], engine: Engine) -> dict[str, Setting]:
        """What the run's settings say."""
        return {
            "command": "audit",
            "model": self.source.source,
            **self.given,
            **self.network,
            **self.reading.settings(),
            "groups": self.groups,
            "methods": tuple(methods),
            **asdict(self.scoring.thresholds),
            "epochs": self.scoring.epochs,
            "expect_accuracy": self.scoring.expect_accuracy,
            **self.scoring.naming.settings(),
            "seed": self.seed,
            "device": engine.device,
        }


def audit(
    model: str | os.PathLike[str] | nn.Module | Backbone | Network,
    sources: Sources,
    *,
    scoring: Scoring = Scoring(),
    reading: Reading = Reading(),
    groups: Sequence[str] = (),
    seed: int = 0,
    engine: Engine = Engine(),
    output: Output = Output("runs/audit"),
) -> AuditRecord:
    """Score every image of a data set by several risks, seek hidden groups that the model fails on; write audit.json,
    scores.parquet, slices.parquet and report.html.

    Without reference data each half of the images is scored by methods that learned from the other half; equal
    pictures are never on both sides. The model itself is left as it is.

    Args:
        model: A run's folder, a name as `nn.named_backbone` takes it (timm:…, hf:…, onnx:…, package.module:callable), a
            network or an `nn.Backbone`; or one of these with what it needs to be read, `Network`.
        sources: Positives and negatives, or data with labels, of two classes or more.
        scoring: Reference data, methods, thresholds.
        reading: How sources are read; a model that knows how its pictures must come decides size, framing and channels
            itself.
        groups: Attribute columns to compare.
        seed: Of halves, folds, learning and bootstrap.
        engine: The device, and where the one pass over the images runs.
        output: The folder, and who is told.

    Raises:
        InputError: if the data, the model and the options do not fit together.
        DataError: if something cannot be read or written.
    """
    began, say = time.perf_counter(), output.say
    sources.check_untested("audit")
    reading.check_unsplit("audit")
    seed = checked_seed(seed)
    methods, engine = scoring.chosen(seed), scoring_engine(engine, "audit")
    network = model if isinstance(model, Network) else Network(model)
    source, named = network.loaded(asking := reading)
    reading = source.reading(reading)
    words = scoring.naming.loaded(sources.data, sources.positives, sources.negatives)
    asked = Asked(source, network.settings(named), sources, scoring, reading, tuple(groups), seed, words)
    settings = asked.settings(tuple(methods), engine)
    with output.open(Identity(settings, asked.brought), last="audit.json", resume=True) as folder:
        loading = Loading(network, asking)
        elsewhere = remote_features(engine.on, loading, engine.device, source.backbone, say)
        tables = {name: source.checked(table) for name, table in read_images(asked, engine).items()}
        told(tables, say)
        table = tables["audited"]
        folder = folder.settled(fingerprints(tables))
        learning = Learning(scoring.epochs, seed=seed, device=device_of(engine.device))
        views = views_of(asked, tables, methods, learning, say, elsewhere)
        seen, known = examined(asked, views["audited"], say)
        folder.begin()  # all that can be known to be wrong is known
        with placed(source.network, learning.device):
            scored = cross_fitted_scores(
                views["audited"], methods, learning, reference=views.get("reference"), say=say
            )
        found = ranked(table, seen, scored, scoring.thresholds, seed)
        say(f"{len(table):,} images, {len(found.ranks)} scores; drawing the report")
        write_rejected(table, folder.path / "rejected.csv")
        write_kept_scores(folder, table, found, seen, views["audited"].store)
        slices, sought = hidden_groups(asked, table, seen, found, folder, engine, say)
        record = AuditRecord(
            command=output.command or "equipoise.run.audit(...)",
            settings=dict(settings),
            seed=seed,
            versions=versions(),
            model=known,
            data=audit_data(tables, asked.given),
            **shown(asked, table, found, slices, folder),
            slices=slices,
            called=called_counts(table, seen),
            wrong=write_audit_wrong(folder.path, table, seen, groups, sought, title=known.title, seed=seed),
            timing=AuditTiming(scored.seconds, time.perf_counter() - began, peak_rss_bytes()),
        )
        write_audit(record, folder.path)
        write_audit_report(folder.path)
    return record


def hidden_groups(
    asked: Asked,
    table: ImageTable,
    seen: Looked,
    found: Ranked,
    folder: RunFolder,
    engine: Engine,
    say: Callable[[str], None],
) -> tuple[AuditSlices, Found | None]:
    """Slices of the audited images, with words where some were given."""
    return slices_of(
        *(table, seen, found.kinds.tolist(), asked.groups),
        seed=asked.seed,
        folder=folder.path,
        words=asked.words,
        pictures=lambda: word_pictures(asked, table, engine, say),
    )


def shown(
    asked: Asked, table: ImageTable, found: Ranked, slices: AuditSlices, folder: RunFolder
) -> dict[str, Any]:
    """What a record says of scores and kinds, by its fields; their pictures are written."""
    risks, kinds, groups = by_risk(table, found, asked.seed), by_kind(found), asked.groups
    compared = by_group(table, found, groups)
    lines = {kind.replace("_", " "): value for kind, value in asdict(asked.scoring.thresholds).items()}
    unknown = {a: sum(value is None or value != value for value in table.column(a)) for a in groups}
    return {
        "risks": risks,
        "correlations": correlations(found.ranks),
        "groups": compared,
        "unannotated": unknown,
        "kinds": kinds,
        "thresholds": lines,
        "suspected": share_of(found.suspected),
        "beyond_confusion": float(found.replaced[found.kinds == "mislabelled"].sum()),
        "pictures": write_audit_pictures(folder.path, table, risks, kinds, slices.found),
        "verdicts": {attribute: rarity_verdicts(one, attribute) for attribute, one in compared.items()},
    }


def write_kept_scores(
    folder: RunFolder, table: ImageTable, found: Ranked, seen: Looked, store: FeatureStore
) -> None:
    """A row an image; the file says which features were kept, by a name that tells their content and no place."""
    made = None if store.folder is None else {"features": store.folder.name}
    columns = found.columns(seen, table.class_names)
    write_scores(folder.path / "scores.parquet", table, columns, None, made=made)


def word_pictures(
    asked: Asked, table: ImageTable, engine: Engine, say: Callable[[str], None]
) -> NDArray[Any]:
    """Vectors of the images in the space of the words, from a second pass over them, as its model takes them.

    Raises:
        InputError: if other images are read for it than were audited.
    """
    if asked.words is None or asked.words.model is None:
        raise InputError("Expected `text_encoder` to compare words with images; got none. Name one.")
    backbone, reading = asked.words.model.backbone, asked.words.reading(asked.reading)
    own = audited_table(asked.sources, reading, engine.progress)
    if own.attributes.column_names != table.attributes.column_names or not own.attributes.equals(
        table.attributes
    ):
        raise InputError(
            f"Expected the {len(table):,} images of the audit for {backbone.name} too; read as it takes them there are "
            f"{len(own):,}, or others. Leave out pictures that are hardly readable."
        )
    device, cache = device_of(engine.device), cache_folder(asked.reading.cache)
    with placed(backbone.network, device):
        return kept_features(
            backbone, own, cache=cache, device=device, say=say, what="images for words"
        ).features


def read_images(asked: Asked, engine: Engine) -> dict[str, ImageTable]:
    """The images to be audited, and those that methods learn from if they are others.

    Raises:
        InputError: if they are not enough, or a column is missing.
    """
    look = first_look(asked.sources.data, asked.reading)
    if look is not None:
        asked.source.checked(look)  # classes of another model are told before a picture is decoded
    table = audited_table(asked.sources, asked.reading, engine.progress)
    check_attributes(table, asked.groups)
    check_groups(table, asked.groups)
    check_folds(table, FOLDS)
    if asked.scoring.reference is None:
        return {"audited": table}
    reference = audited_table(Sources(data=asked.scoring.reference), asked.reading, engine.progress)
    return {"audited": table, "reference": reference}


def views_of(
    asked: Asked,
    tables: Mapping[str, ImageTable],
    methods: Mapping[str, Method],
    learning: Learning,
    say: Callable[[str], None],
    elsewhere: Elsewhere | None = None,
) -> dict[str, View]:
    """Each table with what one pass of the model makes of it, here or elsewhere, once all methods are known to fit."""
    table, source = tables["audited"], asked.source
    backbone = source.on(table)
    classes = max(2, backbone.outputs or 0)
    for part, one in tables.items():
        if not 0 <= one.labels.min() <= one.labels.max() < classes:
            raise InputError(
                f"Expected labels 0…{classes - 1}, the model's classes; got {one.labels.min()}…{one.labels.max()} of "
                f"the {part} images. Give data with the classes that the model knows."
            )
    with placed(source.network, learning.device):
        check_methods(source, backbone, tables, methods, learning)
    how: Any = {"cache": cache_folder(asked.reading.cache), "device": learning.device, "elsewhere": elsewhere}
    return {
        part: View(source, backbone, one, kept_features(backbone, one, **how, say=say, what=f"{part} images"))
        for part, one in tables.items()
    }


def examined(asked: Asked, view: View, say: Callable[[str], None]) -> tuple[Looked, AuditedModel]:
    """What the model says, and whether it is the model that its owner knows, before anything rests on it."""
    seen = looked(view.backbone, view.store)
    known = audited_model(asked.source, view.backbone, view.table, seen, asked.scoring.expect_accuracy)
    say(accuracy_line(known))
    check_accuracy(known, view.table.class_names)
    return seen, known
