"""Did rarity find the rare? How the sampling weights came out, by group, and the answer in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise import fairness
from equipoise.data import ImageTable
from equipoise.groups import Groups
from equipoise.rate import Rate
from equipoise.report.record import ResamplingRecord
from equipoise.resample import DegenerateWeightsError, effective_sample_size, temper

__all__ = ["HALF", "MAX_WEIGHT", "enrichment_at_half", "resampling_record"]

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
) -> ResamplingRecord:
    """How the sampling weights came out, by group: at the run's own strength, and at the one at which runs compare.

    Args:
        weights: Sampling weights over the table's positives in row order, sum 1.
        table: The training data.
        attributes: Columns to look at; those that the class lacks are left out.
        rule: Name of the rule that made the weights.
        representation: In what rarity was measured, in words.
        negative_weights: As `weights`, over the negatives; None if these were drawn uniformly.
    """
    negatives = None
    if negative_weights is not None:
        rare = table.take(table.negatives)
        negatives = _record(negative_weights, rare, attributes, rule, representation, None)
    return _record(weights, table.take(table.positives), attributes, rule, representation, negatives)


def enrichment_at_half(log_weights: NDArray[np.float64], groups: Groups) -> dict[str, Rate]:
    """Enrichment of each group if the weights are tempered to ESS 0.5, none above 10 times its natural share.

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
    rule: str,
    representation: str,
    negatives: ResamplingRecord | None,
) -> ResamplingRecord:
    natural: dict[str, dict[str, float]] = {}
    drawn: dict[str, dict[str, float]] = {}
    enriched: dict[str, dict[str, Rate]] = {}
    at_half: dict[str, dict[str, Rate]] = {}
    with np.errstate(divide="ignore"):
        logs = np.log(weights)
    for attribute in attributes:
        if attribute not in images.attributes.column_names:
            continue
        groups = images.groups(attribute)
        if len(groups) and not groups.known.any():
            continue
        natural[attribute], drawn[attribute] = fairness.shares(weights, groups)
        enriched[attribute] = fairness.enrichment(weights, groups)
        at_half[attribute] = enrichment_at_half(logs, groups)
    return ResamplingRecord(
        rule=rule,
        representation=representation,
        ess=effective_sample_size(weights),
        max_weight=float(weights.max() / weights.mean()),
        natural_share=natural,
        share=drawn,
        enrichment=enriched,
        verdict=_verdicts(enriched),
        enrichment_at_half=at_half,
        verdict_at_half=_verdicts(at_half),
        negatives=negatives,
    )


def _verdicts(enriched: dict[str, dict[str, Rate]]) -> str:
    sentences = [fairness.verdict(rates, attribute=attribute) for attribute, rates in enriched.items()]
    return " ".join(sentences) or NO_COLUMNS
