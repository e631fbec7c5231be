"""Did rarity find the rare? What was drawn, by group, and the answer in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from equipoise import fairness
from equipoise.data import ImageTable
from equipoise.groups import Groups
from equipoise.rate import Rate
from equipoise.report.debias.record import CountedDraws, MeantSampling, ResamplingRecord
from equipoise.resample import (
    DegenerateWeightsError,
    Draws,
    effective_sample_size,
    temper,
)
from equipoise.run.training import Start
from equipoise.train import Fit, Resampling
from equipoise.train.classes import notes_of_shares, told_classes, weighted_rows

__all__ = [
    "HALF",
    "MAX_WEIGHT",
    "enrichment_at_half",
    "resampling_record",
    "resampling_records",
    "sampled",
    "sampled_by_class",
    "told_beforehand",
]

HALF = 0.5  # effective sample size at which runs compare
MAX_WEIGHT = 10.0  # there, no image is drawn more often than this many times its natural share
NO_COLUMNS = "These images have none of the group columns, so nothing is known about whom the weights favour."


def resampling_records(
    weights: Mapping[int, NDArray[np.float64]],
    table: ImageTable,
    attributes: Sequence[str],
    *,
    rule: str,
    representation: str = "",
    draws: Mapping[int, Draws] | None = None,
) -> dict[int, ResamplingRecord]:
    """How classes were drawn, by group: at the run's own strength, and at the one at which runs compare.

    Args:
        weights: Class id → sampling weights over the table's images of that class in row order, sum 1; without classes
            that were drawn uniformly.
        table: The training data.
        attributes: Columns to look at; those that a class lacks are left out.
        rule: Name of the rule that made the weights.
        representation: In what rarity was measured, in words.
        draws: Class id → how many images of it a batch holds, and what was drawn. None, or a class left out: one at a
            time, which follows any weights.

    Returns:
        By class id, those that have weights.
    """
    names = table.class_names
    usual = ("negatives", "positives") if table.two_classes else [f"images of {name!r:.60}" for name in names]
    return {
        class_id: replace(
            _record(
                own,
                table.take(weighted_rows(table, [class_id])),
                attributes,
                (draws or {}).get(class_id),
                usual[class_id],
            ),
            rule=rule,
            representation=representation,
        )
        for class_id, own in sorted(weights.items())
    }


def resampling_record(
    weights: Mapping[int, NDArray[np.float64]],
    table: ImageTable,
    attributes: Sequence[str],
    *,
    rule: str,
    representation: str = "",
    draws: Mapping[int, Draws] | None = None,
) -> ResamplingRecord:
    """How the positives of two classes were drawn, and with them the negatives if they have weights; the arguments are
    those of `resampling_records`."""
    found = resampling_records(
        weights, table, attributes, rule=rule, representation=representation, draws=draws
    )
    return replace(found[1], negatives=found.get(0))


def sampled(
    fitted: Fit, table: ImageTable, attributes: Sequence[str], start: Start
) -> ResamplingRecord | None:
    """How positives and negatives were drawn for a model, by group, see `resampling_record`; None if nothing was
    resampled, and of more than two classes: see `sampled_by_class`."""
    if not fitted.weights or not table.two_classes:
        return None
    return resampling_record(fitted.weights, table, attributes, **_measured_in(start), draws=fitted.draws)


def sampled_by_class(
    fitted: Fit, table: ImageTable, attributes: Sequence[str], start: Start
) -> dict[str, ResamplingRecord]:
    """Of more than two classes, class name → how its images were drawn for a model, by group; without classes that
    were drawn uniformly. Of two classes see `sampled`."""
    if table.two_classes:
        return {}
    found = resampling_records(fitted.weights, table, attributes, **_measured_in(start), draws=fitted.draws)
    return {table.class_names[class_id]: one for class_id, one in found.items()}


def _measured_in(start: Start) -> dict[str, str]:
    settings = start.recipe.resampling
    return {
        "rule": start.embedding.rule(settings),
        "representation": start.embedding.representation(settings),
    }


def told_beforehand(settings: Resampling, table: ImageTable, batch_size: int) -> list[str]:
    """What no batch can draw, in words, before anything is trained: an image is in a batch once at most; and which of
    more than two classes have fewer images than that."""
    if not table.two_classes:
        return notes_of_shares(table, batch_size) + _unfollowed(settings, table, batch_size)
    notes = []
    halves = {"positives": (len(table.positives), batch_size // 2)}
    if settings.classes == "both":
        halves["negatives"] = len(table.negatives), batch_size - batch_size // 2
    for what, (images, batch) in halves.items():
        least = batch / images
        if least == 1 and settings.ess != 1:
            notes.append(
                f"A batch of {batch_size} holds all {images} {what}: however they are weighted, all are drawn equally "
                "often. A smaller batch (`batch_size`) can follow weights."
            )
        elif settings.ess is not None and settings.ess < least:
            notes.append(
                f"Effective sample size {settings.ess:g} cannot be drawn: a batch of {batch_size} holds {batch} of "
                f"{images} {what}, each once at most, which is {least:.2f} or more. Weights are followed as far as "
                "that goes, and the report says how far; a smaller batch (`batch_size`) follows further."
            )
    return notes


def _unfollowed(settings: Resampling, table: ImageTable, batch_size: int) -> list[str]:
    """Which of more than two classes a batch holds so much of that it cannot follow weights."""
    names, counts = table.class_names, np.bincount(table.labels)
    share = batch_size / len(names)
    bound = share / np.maximum(counts, 1)
    asked = np.minimum(bound, 1) >= 1 if settings.ess is None else settings.ess < np.minimum(bound, 1)
    if settings.ess == 1 or not asked.any():
        return []
    told = told_classes([names[class_id] for class_id in np.flatnonzero(asked)])
    return [
        f"Weights of some classes cannot be followed: a batch of {batch_size} holds {share:.3g} images of a class on "
        f"average, which is much or all of {told}. A smaller batch (`batch_size`) follows further."
    ]


def enrichment_at_half(log_weights: NDArray[np.float64], groups: Groups) -> dict[str, Rate]:
    """Enrichment of each group if images are drawn one at a time, by the weights tempered to ESS 0.5, none above 10
    times its natural share.

    Args:
        log_weights: Log weights up to a constant, one an image; −∞ for one that is never drawn.
        groups: Group of each of these images.

    Undefined: for all groups, if no power of the weights has that ESS.
    """
    if np.isfinite(log_weights).all() and np.ptp(log_weights) <= 1e-9:
        return _undefined(groups, "all images are equally rare")
    out_of_reach = f"no power of the weights has effective sample size {HALF:g}"
    try:
        weights = temper(log_weights, ess=HALF, max_weight=MAX_WEIGHT)
    except DegenerateWeightsError:
        return _undefined(groups, out_of_reach)
    if abs(effective_sample_size(weights) - HALF) > 1e-3:  # equal weights stay equal
        return _undefined(groups, out_of_reach)
    return fairness.enrichment(weights, groups)


def _undefined(groups: Groups, reason: str) -> dict[str, Rate]:
    return {name: Rate.undefined(reason, int(n)) for name, n in zip(groups.names, groups.counts, strict=True)}


def _record(
    weights: NDArray[np.float64],
    images: ImageTable,
    attributes: Sequence[str],
    draws: Draws | None,
    what: str,
) -> ResamplingRecord:
    groups = {name: images.groups(name) for name in attributes if name in images.attributes.column_names}
    groups = {name: found for name, found in groups.items() if not len(found) or found.known.any()}
    drawn = weights if draws is None else draws.shares(weights)
    asked = {name: fairness.enrichment(weights, found) for name, found in groups.items()}
    enriched = {name: fairness.enrichment(drawn, found) for name, found in groups.items()}
    with np.errstate(divide="ignore"):
        logs = np.log(weights)
    at_half = {name: enrichment_at_half(logs, found) for name, found in groups.items()}
    why = "" if draws is None else f"batches of {draws.most:,} of {len(images):,} {what} cannot follow"
    return ResamplingRecord(
        rule="",
        ess=effective_sample_size(drawn),
        max_weight=_largest(drawn),
        natural_share={name: fairness.shares(drawn, found)[0] for name, found in groups.items()},
        share={name: fairness.shares(drawn, found)[1] for name, found in groups.items()},
        enrichment=enriched,
        verdict=_verdicts(enriched, asked, why),
        enrichment_at_half=at_half,
        verdict_at_half=_verdicts(at_half),
        images=len(images),
        batch=None if draws is None else draws.most,
        meant=MeantSampling(
            ess=effective_sample_size(weights),
            max_weight=_largest(weights),
            share={name: fairness.shares(weights, found)[1] for name, found in groups.items()},
            enrichment=asked,
        ),
        counted=None if draws is None or not draws.batches else _counted(draws, groups),
    )


def _counted(draws: Draws, groups: Mapping[str, Groups]) -> CountedDraws:
    shares = {name: fairness.shares(draws.counts, found)[1] for name, found in groups.items()}
    return CountedDraws(draws.batches, int(draws.counts.sum()), shares)


def _largest(weights: NDArray[np.float64]) -> float:
    return float(weights.max() / weights.mean())


def _verdicts(
    enriched: Mapping[str, dict[str, Rate]], asked: Mapping[str, dict[str, Rate]] | None = None, why: str = ""
) -> str:
    sentences = [
        fairness.verdict(rates, attribute=attribute, asked=(asked or {}).get(attribute), why=why)
        for attribute, rates in enriched.items()
    ]
    return " ".join(sentences) or NO_COLUMNS
