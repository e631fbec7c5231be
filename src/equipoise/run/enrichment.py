"""Did rarity find the rare? How the sampling weights came out, by group, and the answer in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise import fairness
from equipoise.data import ImageTable
from equipoise.groups import MISSING
from equipoise.rate import Rate
from equipoise.report.record import ResamplingRecord
from equipoise.resample import effective_sample_size

__all__ = ["resampling_record"]

NO_COLUMNS = (
    "The training data have none of the group columns, so nothing is known about whom the weights favour."
)


def resampling_record(
    weights: NDArray[np.float64], table: ImageTable, attributes: Sequence[str], *, rule: str
) -> ResamplingRecord:
    """How the sampling weights over a table's positives came out, by group.

    Args:
        weights: Sampling weights over the positives in row order, sum 1.
        table: The training data.
        attributes: Columns to look at; those that the training data lack are left out.
        rule: Name of the rule that made the weights.
    """
    positives = table.take(table.positives)
    natural: dict[str, dict[str, float]] = {}
    drawn: dict[str, dict[str, float]] = {}
    enriched: dict[str, dict[str, Rate]] = {}
    for attribute in attributes:
        if attribute not in positives.attributes.column_names:
            continue
        groups = positives.groups(attribute)
        if groups.names == (MISSING,):
            continue
        natural[attribute], drawn[attribute] = fairness.shares(weights, groups)
        enriched[attribute] = fairness.enrichment(weights, groups)
    sentences = [fairness.verdict(rates, attribute=attribute) for attribute, rates in enriched.items()]
    return ResamplingRecord(
        rule=rule,
        ess=effective_sample_size(weights),
        max_weight=float(weights.max() / weights.mean()),
        natural_share=natural,
        share=drawn,
        enrichment=enriched,
        verdict=" ".join(sentences) or NO_COLUMNS,
    )
