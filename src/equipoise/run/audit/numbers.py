"""From scores to the numbers of an audit: by risk, by group, by kind, each with its count and interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from numpy.typing import NDArray

from equipoise import fairness
from equipoise.data import ImageTable
from equipoise.fairness.evaluation import SMALL
from equipoise.intervals import combination, mean, proportion
from equipoise.rate import Rate
from equipoise.report.audit.record import AuditGroup, KindRecord, RiskRecord
from equipoise.risk import (
    IMAGE_KINDS,
    accuracy_by_decile,
    detection_auroc,
    extremes,
    percentile_ranks,
    rejection,
    risk_coverage,
)
from equipoise.run.enrichment import enrichment_at_half
from equipoise.seeds import child_seed

__all__ = [
    "group_records",
    "kind_records",
    "rarity_verdicts",
    "risk_record",
    "share_of",
    "together",
    "within",
]

SHOWN = 20
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
POINTS = 201  # of a curve that is written down


def share_of(yes: Bool[ndarray, " n"], reason: str = "no images") -> Rate:
    """A share with its interval."""
    return proportion(int(yes.sum()), len(yes), reason)


def together(ranks: list[Float[ndarray, " n"]]) -> Float[ndarray, " n"]:
    """Several percentiles of one kind of risk as one: the percentile of their mean."""
    return percentile_ranks(np.mean(ranks, axis=0))


def within(values: Float[ndarray, " n"], *ids: Int[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Percentiles among the images that have the same ids, for example the same half and label."""
    cells = np.unique(np.stack(ids, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    ranks = np.empty(len(values))
    for cell in range(cells.max() + 1):
        ranks[cells == cell] = percentile_ranks(values[cells == cell])
    return ranks


def risk_record(
    ranks: Float[ndarray, " n"],
    wrong: Bool[ndarray, " n"],
    labels: Int[ndarray, " n"],
    *,
    title: str,
    kind: str,
    method: str,
    sees_label: bool,
    seed: int,
) -> RiskRecord:
    """What follows from the order that one score puts the images in.

    Args:
        ranks: Percentiles, higher = trust it less.
        wrong: Whether each prediction is wrong.
        labels: Given labels; of two, each one's highest rows are told.
        title: What people read; `kind`, `method` and `sees_label` as in `RiskRecord`.
        seed: Of the bootstrap.
    """
    curve = risk_coverage(
        ranks, wrong.astype(float), generator=np.random.default_rng(child_seed(seed, "coverage", title))
    )
    classes = np.unique(labels).tolist()
    some = np.unique(np.linspace(0, len(ranks) - 1, min(POINTS, len(ranks))).round().astype(int))
    ends = extremes(ranks, min(SHOWN, max(1, len(ranks) // 2)))
    return RiskRecord(
        title=title,
        kind=kind,
        method=method,
        sees_label=sees_label,
        finds_errors=_finds(ranks, wrong),
        errors_in_top=share_of(ranks[wrong] >= 0.9, "no prediction is wrong"),
        accuracy_by_decile=list(accuracy_by_decile(ranks, ~wrong)),
        rejection={f"{share:g}": rate for share, rate in rejection(ranks, ~wrong, SHARES).items()},
        coverage=curve.coverage[some].tolist(),
        error=curve.loss[some].tolist(),
        area=curve.area,
        excess=curve.excess,
        gain=curve.gain,
        ideal=curve.ideal,
        random=curve.random,
        lowest=ends.lowest.tolist(),
        highest=ends.highest.tolist(),
        highest_of_label={
            str(label): rows[extremes(ranks[rows], min(SHOWN, len(rows))).highest].tolist()
            for label in (classes if len(classes) == 2 else [])
            for rows in [np.flatnonzero(labels == label)]
        },
    )


def _finds(ranks: Float[ndarray, " n"], wrong: Bool[ndarray, " n"]) -> Rate:
    if wrong.all() or not wrong.any():
        return Rate.undefined(
            "every prediction is wrong" if wrong.any() else "no prediction is wrong", len(wrong)
        )
    return detection_auroc(ranks, wrong)


def group_records(
    table: ImageTable,
    attribute: str,
    wrong: Bool[ndarray, " n"],
    ranks: Mapping[str, Float[ndarray, " n"]],
    kinds: NDArray[np.str_],
    representation: Sequence[str] = (),
) -> dict[str, AuditGroup]:
    """Risks by group, among the images that have a value of the attribute.

    Args:
        table: All images.
        attribute: A column of theirs.
        wrong: Whether each prediction is wrong.
        ranks: Score → percentiles among images of the same label.
        kinds: Kind of each image.
        representation: Scores that say how rare an image is. For these, how often each group would be drawn by them:
            weights that grow with the percentile among images of the same label, tempered to ESS 0.5.

    Intervals of means of percentiles are the closed form of the bootstrap over images. They take the percentiles as
    given, and are not corrected for how many groups there are.
    """
    groups = table.groups(attribute)
    known = groups.known
    enriched = {risk: enrichment_at_half(ranks[risk][known], groups.take(known)) for risk in representation}
    found = {}
    for number, name in enumerate(groups.names):
        if number in groups.unknown:
            continue
        inside = groups.ids == number
        others = known & ~inside
        found[name] = AuditGroup(
            n=int(inside.sum()),
            small=int(inside.sum()) < SMALL,
            accuracy=share_of(~wrong[inside]),
            percentile={risk: mean(values[inside], "no images") for risk, values in ranks.items()},
            difference={risk: _difference(values[inside], values[others]) for risk, values in ranks.items()},
            kinds={kind: share_of(kinds[inside] == kind) for kind in IMAGE_KINDS},
            enrichment={risk: rates[name] for risk, rates in enriched.items()},
        )
    return found


def rarity_verdicts(groups: Mapping[str, AuditGroup], attribute: str) -> dict[str, str]:
    """Representation risk → whether it finds the rare, in words."""
    risks = dict.fromkeys(risk for one in groups.values() for risk in one.enrichment)
    return {
        risk: fairness.verdict(
            {name: one.enrichment[risk] for name, one in groups.items()}, attribute=attribute
        )
        for risk in risks
    }


def _difference(inside: Float[ndarray, " n"], others: Float[ndarray, " m"]) -> Rate:
    if not len(others):
        return Rate.undefined("no other group to compare with", len(inside))
    means = [mean(part, "no images") for part in (inside, others)]
    return combination([1.0, -1.0], means, len(inside))


def kind_records(
    kinds: NDArray[np.str_], wrong: Bool[ndarray, " n"], clearest: Mapping[str, Float[ndarray, " n"]]
) -> dict[str, KindRecord]:
    """How many images are of each kind, how often the model is right on them, and examples.

    Args:
        kinds: Kind of each image.
        wrong: Whether each prediction is wrong.
        clearest: Kind → a score by which its examples are chosen, highest first.
    """
    found: dict[str, KindRecord] = {}
    for kind in IMAGE_KINDS:
        rows = np.flatnonzero(kinds == kind)
        order = np.argsort(-clearest[kind][rows], kind="stable")
        found[kind] = KindRecord(
            share_of(kinds == kind),
            share_of(~wrong[rows], "no image is of this kind"),
            rows[order][:SHOWN].tolist(),
        )
    return found
