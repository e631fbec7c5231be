"""The numbers of `augment` that people read: names, units, which way is better, and where they are in a record."""

from __future__ import annotations

from dataclasses import dataclass

from equipoise.fairness import AttributeMetrics, Cell
from equipoise.rate import Rate
from equipoise.report.augment.record import AugmentedModel, AugmentRecord
from equipoise.report.parts import words
from equipoise.report.parts.words import ABSENT, SPACE

__all__ = [
    "AP",
    "AVERAGE",
    "DEO",
    "MEASURES",
    "WORST",
    "Measure",
    "cell_name",
    "change_of",
    "inside",
    "leading",
    "measured_of",
    "metrics_of",
    "outcome",
    "told",
]


@dataclass(frozen=True)
class Measure:
    """One number about a model and an attribute.

    Args:
        key: Its field in `AttributeMetrics` and `AttributeDifference`.
        name: What people read; `unit` beside it, `direction` in words.
        better: "more", "less", or None where neither is.
        scale: What it is multiplied by; 100 for percent and points.
        digits: Decimals shown.
        meaning: What it is, in a sentence.
    """

    key: str
    name: str
    unit: str
    better: str | None
    meaning: str
    scale: float = 100.0
    digits: int = 1

    @property
    def direction(self) -> str:
        """Which way is better."""
        return {"more": "higher is better", "less": "lower is better"}.get(
            self.better or "", "nearer 0 is better"
        )


WORST, DEO, AP, BALANCED, AVERAGE, BA, KL = MEASURES = (
    Measure(
        "worst_cell_accuracy",
        "Worst cell",
        "%",
        "more",
        "Accuracy in the cell, the test images with one target in one group, where it is lowest.",
    ),
    Measure(
        "deo",
        "DEO",
        "points",
        "less",
        "Difference in equal opportunity: the share of positives that is missed, the largest difference between two "
        "groups; 0 = equal.",
    ),
    Measure(
        "ap",
        "AP",
        "%",
        "more",
        "Average precision, over every threshold, with all cells counting equally; 50 is about chance.",
    ),
    Measure("balanced_accuracy", "Balanced accuracy", "%", "more", "Mean of the cells’ accuracies."),
    Measure(
        "average_accuracy",
        "Average accuracy",
        "%",
        "more",
        "Share of all test images that are called right; large cells count most.",
    ),
    Measure(
        "ba",
        "BA",
        "points",
        None,
        "Bias amplification: how much more often each group is called what training correlated it with than is true; "
        "below 0 it is called so too rarely.",
    ),
    Measure(
        "kl",
        "KL",
        "nats",
        "less",
        "How far apart the score histograms of two groups are, both directions summed, the mean of positives and "
        "negatives; 0 = alike.",
        1.0,
        2,
    ),
)


def leading(record: AugmentRecord) -> tuple[str | None, str | None]:
    """Names of the plain model and of the first augmented one."""
    roles = {model.role: name for name, model in reversed(record.models.items())}
    return roles.get("plain"), roles.get("augmented")


def metrics_of(model: AugmentedModel, attribute: str) -> AttributeMetrics | None:
    """What was measured of a model by an attribute."""
    found = model.numbers.get(attribute)
    return None if found is None else found.metrics


def measured_of(model: AugmentedModel, attribute: str, key: str) -> Rate:
    """A model's number, or that it was not recorded."""
    found: Rate = getattr(metrics_of(model, attribute), key, ABSENT)
    return found


def change_of(model: AugmentedModel, attribute: str, key: str) -> Rate:
    """A model minus the plain one, or that it was not recorded."""
    found: Rate = getattr(model.changes.get(attribute), key, ABSENT)
    return found


def cell_name(target: str, cell: Cell) -> str:
    """A cell as people read it: "Female, not old"."""
    return f"{cell.group}, {target if cell.target else f'not {target}'}"


def outcome(difference: Rate, measure: Measure) -> str:
    """What a paired interval allows one to say: "better", "worse", "changed" (neither), "chance" or "unknown".

    Example:
        >>> outcome(Rate(-0.1, -0.15, -0.02, 900), DEO), outcome(Rate(-0.1, -0.15, 0.02, 900), DEO)
        ('better', 'chance')
    """
    below = {"more": "worse", "less": "better"}.get(measure.better or "", "changed")
    above = {"more": "better", "less": "worse"}.get(measure.better or "", "changed")
    return {"fewer misses": below, "more misses": above, "no measurable difference": "chance"}.get(
        words.verdict(difference), "unknown"
    )


def told(rate: Rate, measure: Measure) -> str:
    """A number with its unit and its interval, or why there is none."""
    if not rate.defined:
        return f"undefined ({rate.reason})"
    ends = words.interval(rate, measure.scale, measure.digits)
    unit = f"{SPACE}{measure.unit}" if measure.unit == "%" else f" {measure.unit}"
    return words.decimal(measure.scale * rate.value, measure.digits) + unit + (f" ({ends})" if ends else "")


def inside(name: str) -> str:
    """A measure's name within a sentence; abbreviations stay."""
    return name if name.isupper() else name[0].lower() + name[1:]
