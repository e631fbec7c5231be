"""Who does as well as the leading model: others with better numbers, and controls within reach of its gain."""

from __future__ import annotations

import math

from equipoise.rate import Rate
from equipoise.report.augment.measures import DEO, WORST, Measure, change_of, measured_of, outcome
from equipoise.report.augment.record import AugmentedModel, AugmentRecord
from equipoise.report.parts import words

__all__ = ["better", "controls", "rivals_told"]

NAMED = 3  # rivals that a sentence names


def _others(record: AugmentRecord, lead: str) -> list[AugmentedModel]:
    return [model for name, model in record.models.items() if name != lead and model.role != "plain"]


def _beats(rival: Rate, ours: Rate, measure: Measure) -> bool:
    if not (rival.defined and ours.defined):
        return False
    return rival.value > ours.value if measure.better == "more" else rival.value < ours.value


def _apart(rival: Rate, ours: Rate) -> bool:
    return rival.low > ours.high or rival.high < ours.low


def better(record: AugmentRecord, lead: str, attribute: str) -> dict[Measure, list[AugmentedModel]]:
    """Measure → models that do better than the leading one by their number, the best first."""
    found = {}
    for measure in (WORST, DEO):
        ours = measured_of(record.models[lead], attribute, measure.key)
        rivals = [
            model
            for model in _others(record, lead)
            if _beats(measured_of(model, attribute, measure.key), ours, measure)
        ]
        sign = -1 if measure.better == "more" else 1
        rivals.sort(key=lambda model, key=measure.key: sign * measured_of(model, attribute, key).value)  # type: ignore[misc]
        if rivals:
            found[measure] = rivals
    return found


def rivals_told(record: AugmentRecord, lead: str, attribute: str) -> list[str]:
    """Who does better than the leading model, and whether a control gains as much."""
    title, sentences = record.models[lead].title, []
    for measure, rivals in better(record, lead, attribute).items():
        ours = measured_of(record.models[lead], attribute, measure.key)
        named = []
        for model in rivals[:NAMED]:
            rate = measured_of(model, attribute, measure.key)
            value = words.decimal(measure.scale * rate.value, measure.digits)
            clear = "intervals apart" if _apart(rate, ours) else "intervals overlap"
            needs = ", needs groups in use" if model.sees.endswith("in use") else ""
            named.append(f"“{model.title}” ({model.role}, {value}, {clear}{needs})")
        more = f", and {len(rivals) - NAMED} more" if len(rivals) > NAMED else ""
        what = "in the worst cell" if measure is WORST else f"in {measure.name}"
        sentences.append(f"Better than “{title}” {what}: {', '.join(named)}{more}.")
    if found := controls(record, lead, attribute):
        named = [f"“{model.title}”" for model in found]
        sentences.append(
            f"Within reach of its gain, as a control: {', '.join(named)}. So this run does not show that the edited "
            "pairs are what helps."
        )
    return sentences


def controls(record: AugmentRecord, lead: str, attribute: str) -> list[AugmentedModel]:
    """Controls whose number is inside the leading model's interval, or better, where that one gained."""
    new, found = record.models[lead], []
    for measure in (WORST, DEO):
        if outcome(change_of(new, attribute, measure.key), measure) != "better":
            continue
        ours = measured_of(new, attribute, measure.key)
        limit = ours.low if measure.better == "more" else ours.high
        reach = (
            Rate(ours.value if math.isnan(limit) else limit, math.nan, math.nan, ours.n)
            if ours.defined
            else ours
        )
        found += [
            model
            for model in _others(record, lead)
            if model.role == "control" and _beats(measured_of(model, attribute, measure.key), reach, measure)
        ]
    return list({id(model): model for model in found}.values())
