"""From ranked images to the numbers of an audit's record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from equipoise.data import ImageTable
from equipoise.report.audit.record import AuditData, AuditGroup, KindRecord, RiskRecord
from equipoise.run.audit.failing import class_names_of
from equipoise.run.audit.numbers import group_records, kind_records, risk_record
from equipoise.run.audit.ranking import LABEL, QUALITY, Ranked
from equipoise.run.audit.scoring import TITLES
from equipoise.run.audit.view import Looked

__all__ = ["audit_data", "by_group", "by_kind", "by_risk", "called_counts"]


def by_risk(table: ImageTable, found: Ranked, seed: int) -> dict[str, RiskRecord]:
    """Score → what follows from its order."""
    scored = found.scored
    described = {
        name: (TITLES[name.partition("_")[2]], kind, scored.methods[name], False)
        for name, kind in scored.kinds.items()
    }
    fitted = "cross-fitted logistic regression on the features"
    described[LABEL] = "given label contradicted", "label noise", fitted, True
    described[QUALITY] = "bad as a picture", "picture quality", "worst of five measures", False
    return {
        name: risk_record(
            found.ranks[name],
            found.wrong,
            table.labels,
            title=title,
            kind=kind,
            method=method,
            sees_label=sees,
            seed=seed,
        )
        for name, (title, kind, method, sees) in described.items()
    }


def by_kind(found: Ranked) -> dict[str, KindRecord]:
    """Kind of image → how many are so, and the clearest of them."""
    return kind_records(found.kinds, found.wrong, found.clearest())


def by_group(table: ImageTable, found: Ranked, attributes: Sequence[str]) -> dict[str, dict[str, AuditGroup]]:
    """Attribute → group → its risks. Groups are compared among images of the same label."""
    rarities = [name for name, kind in found.scored.kinds.items() if kind == "representation"]
    return {
        attribute: group_records(table, attribute, found.wrong, found.among, found.kinds, rarities)
        for attribute in attributes
    }


def audit_data(given: Mapping[str, ImageTable], sources: dict[str, str]) -> AuditData:
    """What the images were."""
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


def called_counts(table: ImageTable, seen: Looked) -> dict[str, dict[str, int]]:
    """Label → prediction → images, of every class that the model knows, without zeros."""
    classes = seen.probabilities.shape[1]
    names = class_names_of(table, classes)
    pairs, counts = np.unique(table.labels * classes + seen.logits.argmax(axis=1), return_counts=True)
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    for pair, n in zip(pairs.tolist(), counts.tolist(), strict=True):
        found[names[pair // classes]][names[pair % classes]] = n
    return found
