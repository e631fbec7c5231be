"""`audit`: every image scored by several risks, and a report of who is badly represented, uncertain, noisy."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from numpy.typing import NDArray
from torch import nn

from equipoise.data import ImageTable, write_rejected
from equipoise.errors import InputError
from equipoise.nn import digest_of, evaluating
from equipoise.report.audit.page import write_audit_report
from equipoise.report.audit.record import AuditData, AuditedModel, AuditRecord, AuditTiming, write_audit
from equipoise.risk import (
    MVE,
    VAE,
    Dropout,
    Ensemble,
    Histogram,
    HistogramVAE,
    LastLayer,
    Method,
    Neighbours,
    Thresholds,
    correlations,
    deciles,
    kinds,
    label_noise,
    mean_images,
    percentile_ranks,
    picture_quality,
    quality_score,
)
from equipoise.run.account import peak_rss_bytes, versions
from equipoise.run.audit.cross_fitting import Learning, Looked, check_methods, cross_fitted_scores, looked
from equipoise.run.audit.images import audited_table, check_folds
from equipoise.run.audit.numbers import (
    group_records,
    kind_records,
    rarity_verdicts,
    risk_record,
    share_of,
    together,
    within,
)
from equipoise.run.audit.pictures import write_audit_pictures
from equipoise.run.checks import check_groups, check_numbers
from equipoise.run.encoder_source import encoder_source
from equipoise.run.folder import open_folder
from equipoise.run.identity import Identity, Setting, fingerprints
from equipoise.run.model_source import model_source
from equipoise.run.scores import write_scores
from equipoise.run.sources import Reading, Source, check_attributes, describe, told
from equipoise.seeds import child_seed
from equipoise.train.device import device_of

__all__ = ["AUDIT_METHODS", "audit"]

AUDIT_METHODS: dict[str, Callable[[int], Method]] = {
    "neighbours": lambda seed: Neighbours(seed=seed),
    "histogram": lambda seed: Histogram(),
    "histogram_vae": lambda seed: HistogramVAE(seed=seed),
    "vae": lambda seed: VAE(seed=seed),
    "dropout": lambda seed: Dropout(seed=seed),
    "last_layer": lambda seed: LastLayer(seed=seed),
    "ensemble": lambda seed: Ensemble(seed=seed),
    "mve": lambda seed: MVE(seed=seed),
}
"""Name → a method with its usual settings, from a seed."""

DEFAULT = ("neighbours", "dropout", "mve")
TITLES = {
    "neighbours": "far from its neighbours",
    "histogram": "rare features",
    "histogram_vae": "rare in a VAE's code",
    "vae": "badly reconstructed",
    "dropout": "dropout disagrees",
    "last_layer": "last layer unsure",
    "ensemble": "members disagree",
    "mve": "noise expected",
}
LABEL, QUALITY = "label_noise", "picture_quality"
FOLDS = 5  # of label noise
CHUNK = 1024  # images read at a time


def audit(
    model: str | os.PathLike[str] | nn.Module,
    positives: Source = None,
    negatives: Source = None,
    *,
    data: Source = None,
    reference: Source = None,
    encoder: nn.Module | str | None = None,
    weights: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    output: str | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    reading: Reading | None = None,
    groups: Sequence[str] = (),
    methods: Sequence[str] = DEFAULT,
    thresholds: Thresholds | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    out: str | os.PathLike[str] = "runs/audit",
    overwrite: bool = False,
    tell: Callable[[str], None] | None = None,
    command: str = "equipoise.run.audit(...)",
) -> AuditRecord:
    """Score every image of a data set by several risks, and write audit.json, scores.parquet and report.html.

    Without reference data each half of the images is scored by methods that learned from the other half; equal
    pictures are never on both sides. The model itself is left as it is.

    Args:
        model: A run's folder, "package.module:callable" that gives an nn.Module, or a network.
        positives: Images of the class to be found, with `negatives`; or `data` with labels.
        reference: The training data, with labels: methods learn from it and score all images.
        encoder: What the model of a run's folder was trained with in place of the standard CNN, if it was: a network,
            or "package.module:callable" that gives one.
        weights: A safetensors file for the network that the callable gives; `layer`, `output`, `mean` and `std` as in
            `model_source`.
        reading: How sources are read; a run's folder decides image size and channels itself.
        groups: Attribute columns to compare.
        methods: Names out of `AUDIT_METHODS`; at least one of representation and one of epistemic risk.
        thresholds: From which percentile on an image is rare, hard, mislabelled, a bad picture.
        epochs: Passes of methods with layers of their own; None makes about 400 steps of them.
        seed: Of halves, folds, learning and bootstrap.
        out: Folder for the results.

    Raises:
        InputError: if the data, the model and the options do not fit together.
        DataError: if something cannot be read or written.
    """
    began = time.perf_counter()
    say: Callable[[str], None] = tell or (lambda line: None)
    lines = thresholds or Thresholds()
    seed = check_numbers(seed=seed)
    chosen = _methods(methods, seed)
    if epochs is not None and epochs < 1:
        raise InputError(f"--epochs must be 1 or larger; got {epochs}. Leave it out for about 400 steps.")
    learning = Learning(epochs, seed=seed, device=device_of(device))
    own = encoder_source(encoder)
    source = model_source(
        model, encoder=own.network, weights=weights, layer=layer, output=output, mean=mean, std=std
    )
    reading = reading or Reading()
    reading.check_unsplit("audit")
    if source.image_size is not None and source.channels is not None:
        reading = replace(reading, image_size=source.image_size, channels=source.channels)
    given = {"positives": positives, "negatives": negatives, "data": data, "reference": reference}
    sources = {name: describe(one) for name, one in given.items() if one is not None}
    settings: dict[str, Setting] = {
        "command": "audit",
        "model": source.source,
        **sources,
        "encoder": own.named,
        **({"weights": os.fspath(weights)} if weights is not None else {}),
        "layer": layer,
        "output": output,
        "mean": tuple(map(str, mean)),
        "std": tuple(map(str, std)),
        **reading.settings(),
        "groups": tuple(groups),
        "methods": tuple(chosen),
        **asdict(lines),
        "epochs": epochs,
        "seed": seed,
        "device": device,
    }
    identity = Identity(settings, {"model": digest_of(source.network)})
    with open_folder(out, identity, resume=not overwrite, overwrite=overwrite, last="audit.json") as folder:
        table = audited_table(positives, negatives, data, reading, progress)
        check_attributes(table, groups)
        check_groups(table, groups)
        check_folds(table, FOLDS)
        learned = None if reference is None else audited_table(None, None, reference, reading, progress)
        told({"audited": table, **({} if learned is None else {"reference": learned})}, say)
        with _on(source.network, learning):
            folder = folder.settled(
                fingerprints({"audited": table, **({} if learned is None else {"reference": learned})})
            )
            seen = looked(source, table, learning)
            check_methods(source, table, chosen, seen.task, learning, reference=learned)
            folder.begin()
            scored = cross_fitted_scores(
                source, table, chosen, seen.task, learning, reference=learned, say=say
            )
        noise = label_noise(
            seen.features,
            table.labels,
            same=np.unique(table.digests, return_inverse=True)[1].reshape(-1),
            folds=FOLDS,
            seed=child_seed(seed, "label noise"),
        )
        quality = quality_score(picture_quality(_pictures(table)))
        ranks = {
            **scored.percentiles,
            LABEL: percentile_ranks(noise.score),
            QUALITY: percentile_ranks(quality),
        }
        # Errors are found among all images; who is rare is a question about images with the same label.
        among = {
            name: within(values, scored.half, table.labels)
            for name, values in {**scored.risks, LABEL: noise.score, QUALITY: quality}.items()
        }
        of_kind = {
            kind: together(
                [
                    (among if kind == "representation" else ranks)[column]
                    for column, its in scored.kinds.items()
                    if its == kind
                ]
            )
            for kind in dict.fromkeys(scored.kinds.values())
        }
        sorts = np.array(
            kinds(
                representation=of_kind["representation"],
                epistemic=of_kind["epistemic"],
                label_noise=ranks[LABEL],
                quality=ranks[QUALITY],
                suspected=noise.suspected,
                thresholds=lines,
            )
        )
        wrong = seen.logits.argmax(axis=1) != table.labels
        say(f"{len(table):,} images, {len(ranks)} scores; drawing the report")
        write_rejected(table, folder.path / "rejected.csv")
        write_scores(
            folder.path / "scores.parquet",
            table,
            {
                **_said(seen),
                "half": scored.half,
                **scored.raw,
                **scored.risks,
                "label_noise": noise.score,
                "label_suspected": noise.suspected,
                "picture_quality": quality,
                **{f"{name}_percentile": values for name, values in ranks.items()},
                **{f"{name}_percentile_of_label": values for name, values in among.items()},
                "kind": sorts,
            },
            None,
        )
        described = {
            name: (TITLES[name.partition("_")[2]], kind, scored.methods[name], False)
            for name, kind in scored.kinds.items()
        }
        described[LABEL] = (
            "given label contradicted",
            "label noise",
            "cross-fitted logistic regression on the features",
            True,
        )
        described[QUALITY] = ("bad as a picture", "picture quality", "worst of five measures", False)
        risks = {
            name: risk_record(
                ranks[name],
                wrong,
                table.labels,
                title=title,
                kind=kind,
                method=method,
                sees_label=sees,
                seed=seed,
            )
            for name, (title, kind, method, sees) in described.items()
        }
        clearest = {
            "ordinary": -np.max(list({**ranks, **of_kind}.values()), axis=0),
            "rare": of_kind["representation"],
            "hard": of_kind["epistemic"],
            "mislabelled": noise.score,
            "bad picture": quality,
        }
        by_kind = kind_records(sorts, wrong, clearest)
        rarities = [name for name, kind in scored.kinds.items() if kind == "representation"]
        by_group = {a: group_records(table, a, wrong, among, sorts, rarities) for a in groups}
        means = {name: mean_images(deciles(values), _pictures(table)) for name, values in ranks.items()}
        record = AuditRecord(
            command=command,
            settings=dict(settings),
            seed=seed,
            versions=versions(),
            model=AuditedModel(
                source.title, source.source, seen.task, seen.layer, seen.features.shape[1], share_of(~wrong)
            ),
            data=_data({"audited": table, "reference": learned}, sources),
            risks=risks,
            correlations=correlations(ranks),
            groups=by_group,
            unannotated={
                a: sum(value is None or value != value for value in table.column(a)) for a in groups
            },
            kinds=by_kind,
            thresholds={kind.replace("_", " "): value for kind, value in asdict(lines).items()},
            suspected=share_of(noise.suspected),
            timing=AuditTiming(scored.seconds, time.perf_counter() - began, peak_rss_bytes()),
            pictures=write_audit_pictures(folder.path, table, risks, by_kind, means),
            verdicts={attribute: rarity_verdicts(found, attribute) for attribute, found in by_group.items()},
        )
        write_audit(record, folder.path)
        write_audit_report(folder.path)
    return record


def _methods(names: Sequence[str], seed: int) -> dict[str, Method]:
    """Methods by name; the split into kinds needs both of the risks that it rests on."""
    chosen: dict[str, Method] = {}
    for name in (name.replace("-", "_") for name in names):
        if name not in AUDIT_METHODS:
            raise InputError(
                f"--methods must be among {', '.join(AUDIT_METHODS)}; got {name!r}. Choose some of them."
            )
        chosen[name] = AUDIT_METHODS[name](child_seed(seed, name))
    told_of = {kind for method in chosen.values() for kind in method.kinds}
    missing = [kind for kind in ("representation", "epistemic") if kind not in told_of]
    if missing:
        raise InputError(
            f"Expected methods of representation and of epistemic risk; got none of {' and '.join(missing)} risk "
            f"among {', '.join(chosen) or 'none'}. Add one: neighbours, dropout."
        )
    return chosen


@contextlib.contextmanager
def _on(network: nn.Module, learning: Learning) -> Iterator[None]:
    """The network on the device and in evaluation mode, and then where and as it was."""
    home = next((parameter.device for parameter in network.parameters()), learning.device)
    network.to(learning.device)
    try:
        with evaluating(network):
            yield
    finally:
        network.to(home)


def _pictures(table: ImageTable) -> Iterator[UInt8[ndarray, "batch height width channels"]]:
    for start in range(0, len(table), CHUNK):
        yield table.batch(np.arange(start, min(start + CHUNK, len(table))))


def _said(seen: Looked) -> dict[str, NDArray[Any]]:
    """Columns of what the model says: of the positive class, or of the class it says."""
    predicted = seen.logits.argmax(axis=1)
    if seen.logits.shape[1] == 2:
        logits = seen.logits[:, 1] - seen.logits[:, 0]
        return {"probability": seen.probabilities[:, 1], "logit": logits, "predicted": predicted}
    return {"probability": seen.probabilities.max(axis=1), "predicted": predicted}


def _data(tables: dict[str, ImageTable | None], sources: dict[str, str]) -> AuditData:
    given = {part: table for part, table in tables.items() if table is not None}
    return AuditData(
        fingerprint={part: table.fingerprint for part, table in given.items()},
        labels={
            part: {
                str(label): int(n)
                for label, n in zip(*np.unique(table.labels, return_counts=True), strict=True)
            }
            for part, table in given.items()
        },
        sources=sources,
        rejected=len({(item.path, item.reason) for table in given.values() for item in table.rejected}),
    )
