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
    inclusion_probabilities,
    temper,
)
from equipoise.run.training import Start
from equipoise.train import Fit, Resampling

__all__ = ["HALF", "MAX_WEIGHT", "enrichment_at_half", "resampling_record", "sampled", "told_beforehand"]

HALF = 0.5  # effective sample size at which runs compare
MAX_WEIGHT = 10.0  # there, no image is drawn more often than this many times its natural share
NO_COLUMNS = "These images have none of the group columns, so nothing is known about whom the weights favour."


def resampling_record(
    weights: NDArray[np.float64],
    table: ImageTable,
    attributes: Sequence[str],
    *,
    rule: str,
    representation: str = "",
    negative_weights: NDArray[np.float64] | None = None,
    draws: Draws | None = None,
    negative_draws: Draws | None = None,
) -> ResamplingRecord:
    """How a class was drawn, by group: at the run's own strength, and at the one at which runs compare.

    Args:
        weights: Sampling weights over the table's positives in row order, sum 1.
        table: The training data.
        attributes: Columns to look at; those that the class lacks are left out.
        rule: Name of the rule that made the weights.
        representation: In what rarity was measured, in words.
        negative_weights: As `weights`, over the negatives; None if these were drawn uniformly.
        draws: How many positives a batch holds, and what was drawn. None: one at a time, which follows any weights.
        negative_draws: The same of the negatives.
    """
    negatives = None
    if negative_weights is not None:
        rare = table.take(table.negatives)
        negatives = replace(
            _record(negative_weights, rare, attributes, negative_draws, "negatives"),
            rule=rule,
            representation=representation,
        )
    return replace(
        _record(weights, table.take(table.positives), attributes, draws, "positives"),
        rule=rule,
        representation=representation,
        negatives=negatives,
    )


def sampled(
    fitted: Fit, table: ImageTable, attributes: Sequence[str], start: Start
) -> ResamplingRecord | None:
    """How the classes were drawn for a model, by group, see `resampling_record`; None if nothing was resampled."""
    if fitted.weights is None:
        return None
    settings = start.recipe.resampling
    return resampling_record(
        fitted.weights,
        table,
        attributes,
        rule=start.embedding.rule(settings),
        representation=start.embedding.representation(settings),
        negative_weights=fitted.negative_weights,
        draws=fitted.draws,
        negative_draws=fitted.negative_draws,
    )


def told_beforehand(settings: Resampling, table: ImageTable, batch_size: int) -> list[str]:
    """What no batch can draw, in words, before anything is trained: an image is in a batch once at most."""
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
    drawn = weights if draws is None else inclusion_probabilities(weights, draws.batch) / draws.batch
    asked = {name: fairness.enrichment(weights, found) for name, found in groups.items()}
    enriched = {name: fairness.enrichment(drawn, found) for name, found in groups.items()}
    with np.errstate(divide="ignore"):
        logs = np.log(weights)
    at_half = {name: enrichment_at_half(logs, found) for name, found in groups.items()}
    why = "" if draws is None else f"batches of {draws.batch:,} of {len(images):,} {what} cannot follow"
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
        batch=None if draws is None else draws.batch,
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
