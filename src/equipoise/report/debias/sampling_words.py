"""How one class was drawn, in words: where batches could not follow the weights, it is said."""

from __future__ import annotations

from equipoise.report.debias.record import ResamplingRecord

__all__ = ["asked_for", "counted_draws", "follows", "strength"]


def strength(made: ResamplingRecord) -> float:
    """Effective sample size that the weights ask for, which may be smaller than what batches draw."""
    return made.ess if made.meant is None else made.meant.ess


def follows(made: ResamplingRecord) -> bool:
    """Whether batches draw what the weights ask for, to two hundredths."""
    meant = made.meant
    if meant is None:
        return True
    pairs = [(made.ess, meant.ess), (made.max_weight, meant.max_weight)]
    for attribute, groups in made.enrichment.items():
        asked = meant.enrichment.get(attribute, {})
        pairs += [(rate.value, asked[name].value) for name, rate in groups.items() if name in asked]
    return all(abs(drawn - asked) <= 0.02 * drawn for drawn, asked in pairs if drawn == drawn)


def asked_for(made: ResamplingRecord, what: str) -> str:
    """What the weights ask for and why it is not drawn; empty where it is."""
    if made.meant is None or made.batch is None or follows(made):
        return ""
    of = f" of {made.images:,}" if made.images is not None else ""
    return (
        f"The weights ask for an effective sample size of {made.meant.ess:.2f} and a largest weight of "
        f"{made.meant.max_weight:.1f} times the mean. A batch holds {made.batch:,}{of} {what}, each once at most, and "
        "cannot follow: smaller batches would follow further."
    )


def counted_draws(made: ResamplingRecord, what: str) -> str:
    """How much was drawn by weights in training; empty where that was not counted."""
    counted = made.counted
    if counted is None:
        return ""
    return (
        f"Counted in training: {counted.draws:,} draws of {what} by weights, in {counted.batches:,} batches."
    )
