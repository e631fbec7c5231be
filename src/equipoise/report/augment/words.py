"""What the numbers of `augment` say, in words that claim no more than the intervals allow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from equipoise.rate import Rate
from equipoise.report.augment.record import AttributeNumbers, AugmentedModel, AugmentRecord, CellRecord
from equipoise.report.parts import terminal, words
from equipoise.report.parts.tables import ABSENT
from equipoise.report.parts.words import SPACE, Headline

__all__ = [
    "AUGMENT_LIMITS",
    "EDITS_HIDDEN",
    "MEASURES",
    "ROLE_WORDS",
    "Measure",
    "augment_headline",
    "augment_text",
    "cell_name",
    "change_of",
    "leading",
    "measured_of",
    "outcome",
]


@dataclass(frozen=True)
class Measure:
    """One number about a model and an attribute.

    Args:
        key: Its field in `AttributeNumbers` and `AttributeChange`.
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

ROLE_WORDS = {
    "plain": "ordinary training on the real images; all changes are against it",
    "augmented": "trained on the real images and on balanced pairs",
    "control": "shares all but one thing, so that a gain it shows as well is not put down to that thing",
    "comparison": "another method with the same aim, on the same data",
}
EDITS_HIDDEN = (
    "Edited faces are not shown. They are an intermediate step of training. A picture of a person changed in gender or "
    "race teaches nothing about the model’s errors, and can hurt. --show-edits shows some."
)
AUGMENT_LIMITS = (
    "That a model is fair. Unequal error is one harm that can be counted; no number says that there is no other, or "
    "that the model should be used.",
    "What people are. Targets and groups are what annotators saw in pictures; where they saw wrongly, all numbers are "
    "agreement with them.",
    "How it does where groups are mixed differently. AP and balanced accuracy count all cells equally, average "
    "accuracy counts images as the test set has them.",
    "That a gap would stay with another threshold. DEO, BA and the accuracies are those of one threshold a model, "
    "chosen on validation images; KL depends on the bins of the histograms.",
    "That generated images show what their labels say. f_t, the classifier that labels them, errs on generated "
    "images as on real ones.",
    "That an edit changed the protected attribute and nothing else. It is exact in the latents; in the images it is "
    "what the classifiers saw.",
    "What another training run would give. The intervals are over test images and not over training seeds: "
    "repeat the run with other seeds before you rely on a change.",
    "How bad the worst cell is, to the decimal. It was picked by looking at these images; a cell under 30 images can "
    "be worst by luck.",
    "That each interval without 0 is an effect. They are not corrected for how many there are: of twenty comparisons "
    "without any effect, about one looks like one.",
)
NAMED = 3  # rivals, or cells, that a sentence names


def leading(record: AugmentRecord) -> tuple[str | None, str | None]:
    """Names of the plain model and of the first augmented one."""
    roles = {model.role: name for name, model in reversed(record.models.items())}
    return roles.get("plain"), roles.get("augmented")


def measured_of(model: AugmentedModel, attribute: str, key: str) -> Rate:
    """A model's number, or that it was not recorded."""
    found: Rate = getattr(model.numbers.get(attribute), key, ABSENT)
    return found


def change_of(model: AugmentedModel, attribute: str, key: str) -> Rate:
    """A model minus the plain one, or that it was not recorded."""
    found: Rate = getattr(model.changes.get(attribute), key, ABSENT)
    return found


def cell_name(target: str, cell: CellRecord) -> str:
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


def augment_headline(record: AugmentRecord) -> Headline:
    """What augmenting changed against plain training, attribute by attribute, the first one in full."""
    plain, lead = leading(record)
    if not record.models or not record.measured:
        what = "No model was evaluated" if not record.models else "No attribute was measured"
        return Headline(what, "unknown", ("The record holds no numbers.",), ())
    if plain is None or lead is None:
        name = plain or lead or next(iter(record.models))
        model = record.models[name]
        lacking = "plain" if plain is None else "augmented"
        sentences = [
            f"“{model.title}”: {_numbers(model, attribute, True)}, by {attribute}."
            for attribute in record.measured
        ]
        return Headline(f"No {lacking} model to compare with", "unknown", sentences, ())
    base, new = record.models[plain], record.models[lead]
    first, *rest = record.measured
    title, tone = _title(new, first)
    reasons = {change_of(new, first, one.key).reason for one in (WORST, DEO, AP)}
    if len(reasons) == 1 and None not in reasons:
        sentences = [f"Worst cell, DEO and AP by {first}, and their changes, are undefined: {reasons.pop()}."]
    else:
        sentences = [_compared(base, new, first, measure) for measure in (WORST, DEO, AP)]
    if lost := _lost(new, first):
        named = [
            f"{cell_name(record.target, cell)} ({words.signed(100 * cell.accuracy.value)} points)"
            for cell in lost[:NAMED]
        ]
        named += [f"{len(lost) - NAMED} more"] if len(lost) > NAMED else []
        sentences.append(f"Less accurate beyond chance: {'; '.join(named)}.")
    sentences += [_steps(base, new), *_rivals(record, lead, first)]
    if tone == "fewer" and (_better(record, lead, first) or _controls(record, lead, first)):
        tone = "none"
    others = [
        (
            _title(new, attribute)[0],
            f"“{base.title}”: {_numbers(base, attribute)}. “{new.title}”: {_numbers(new, attribute)}.",
        )
        for attribute in rest
    ]
    return Headline(title, tone, sentences, others)


def _title(model: AugmentedModel, attribute: str) -> tuple[str, str]:
    """What changed, in a line, and its tone."""
    told = {one.key: outcome(change_of(model, attribute, one.key), one) for one in (DEO, WORST, AP, AVERAGE)}
    gap, cell = told["deo"], told["worst_cell_accuracy"]
    lost = [one.name for one in (AP, AVERAGE) if told[one.key] == "worse"]
    cost = f", at a cost in {' and '.join(_inside(name) for name in lost)}" if lost else ""
    if {gap, cell} == {"unknown"}:
        return f"By {attribute}: nothing can be said about a change{cost}", "unknown"
    if not {gap, cell} & {"better", "worse"}:
        return f"By {attribute}: no measurable change{cost}", "more" if lost else "none"
    of_gap = {
        "better": "a smaller gap between groups",
        "worse": "a larger gap between groups",
        "chance": "the gap between groups within chance",
        "unknown": "the gap between groups unknown",
    }[gap]
    of_cell = {
        "better": "a more accurate worst cell",
        "worse": "a less accurate worst cell",
        "chance": "the worst cell within chance",
        "unknown": "the worst cell unknown",
    }[cell]
    parts = [of_gap, of_cell] if gap in ("better", "worse") else [of_cell, of_gap]
    joint = ", " if {gap, cell} & {"chance", "unknown"} else " but " if gap != cell else " and "
    tone = "fewer" if "better" in (gap, cell) else "more"
    levelled = cell != "better" and _lost(
        model, attribute
    )  # a gap also closes when the better group gets worse
    if tone == "fewer" and (lost or levelled):
        tone = "none"
    return f"By {attribute}: {joint.join(parts)}{cost}", tone


def _lost(model: AugmentedModel, attribute: str) -> list[CellRecord]:
    """Cells in which a model is measurably less accurate than the plain one, the largest loss first."""
    changes = model.changes.get(attribute)
    found = [cell for cell in changes.cells if outcome(cell.accuracy, WORST) == "worse"] if changes else []
    return sorted(found, key=lambda cell: cell.accuracy.value)


def _compared(base: AugmentedModel, new: AugmentedModel, attribute: str, measure: Measure) -> str:
    """Both numbers, and what their paired difference allows one to say."""
    opening = {
        "worst_cell_accuracy": f"Accuracy in the worst cell by {attribute}",
        "deo": "Difference of groups in the share missed (DEO)",
    }.get(measure.key, "Average precision, all cells counting equally (AP)")
    both = [
        f"{_told(measured_of(model, attribute, measure.key), measure)} with “{model.title}”"
        f"{_where(model, attribute, measure)}"
        for model in (base, new)
    ]
    difference = change_of(new, attribute, measure.key)
    if not difference.defined:
        return f"{opening}: {', '.join(both)}; the change is undefined: {difference.reason}."
    ends = words.interval(difference, measure.scale, measure.digits, with_sign=True)
    value = words.signed(measure.scale * difference.value, measure.digits)
    said = {
        "chance": "; the interval covers 0, so this is within chance",
        "unknown": "; without an interval nothing can be said",
    }.get(outcome(difference, measure), "")
    return f"{opening}: {', '.join(both)}. Change: {value} points{f' ({ends})' if ends else ''}{said}."


def _told(rate: Rate, measure: Measure) -> str:
    if not rate.defined:
        return f"undefined ({rate.reason})"
    ends = words.interval(rate, measure.scale, measure.digits)
    unit = f"{SPACE}{measure.unit}" if measure.unit == "%" else f" {measure.unit}"
    return words.decimal(measure.scale * rate.value, measure.digits) + unit + (f" ({ends})" if ends else "")


def _where(model: AugmentedModel, attribute: str, measure: Measure) -> str:
    numbers = model.numbers.get(attribute)
    if measure is not WORST or numbers is None or numbers.worst_cell is None:
        return ""
    small = ", a small cell" if _worst_is_small(numbers) else ""
    return f" ({numbers.worst_cell}{small})"


def _worst_is_small(numbers: AttributeNumbers) -> bool:
    known = [cell for cell in numbers.cells if cell.accuracy.defined]
    return bool(known) and min(known, key=lambda cell: cell.accuracy.value).small


def _numbers(model: AugmentedModel, attribute: str, full: bool = False) -> str:
    shown = (WORST, DEO, AP) if full else (WORST, DEO)
    reasons = {measured_of(model, attribute, one.key).reason for one in shown}
    if len(reasons) == 1 and None not in reasons:
        return f"undefined ({reasons.pop()})"
    return ", ".join(
        f"{_inside(one.name)} {_told(measured_of(model, attribute, one.key), one)}" for one in shown
    )


def _inside(name: str) -> str:
    """A measure's name within a sentence; abbreviations stay."""
    return name if name.isupper() else name[0].lower() + name[1:]


def _steps(base: AugmentedModel, new: AugmentedModel) -> str:
    if base.steps == new.steps:
        return f"Both were trained for {new.steps:,} steps."
    return (
        f"“{base.title}” was trained for {base.steps:,} steps, “{new.title}” for {new.steps:,}: part of the change may "
        "be that."
    )


def _others(record: AugmentRecord, lead: str) -> list[AugmentedModel]:
    return [model for name, model in record.models.items() if name != lead and model.role != "plain"]


def _beats(rival: Rate, ours: Rate, measure: Measure) -> bool:
    if not (rival.defined and ours.defined):
        return False
    return rival.value > ours.value if measure.better == "more" else rival.value < ours.value


def _apart(rival: Rate, ours: Rate) -> bool:
    return rival.low > ours.high or rival.high < ours.low


def _better(record: AugmentRecord, lead: str, attribute: str) -> dict[Measure, list[AugmentedModel]]:
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


def _rivals(record: AugmentRecord, lead: str, attribute: str) -> list[str]:
    """Who does better than the leading model, and whether a control gains as much."""
    title, sentences = record.models[lead].title, []
    for measure, rivals in _better(record, lead, attribute).items():
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
    if controls := _controls(record, lead, attribute):
        named = [f"“{model.title}”" for model in controls]
        sentences.append(
            f"Within reach of its gain, as a control: {', '.join(named)}. So this run does not show that the edited "
            "pairs are what helps."
        )
    return sentences


def _controls(record: AugmentRecord, lead: str, attribute: str) -> list[AugmentedModel]:
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


def augment_text(record: AugmentRecord) -> str:
    """The summary for the terminal: what changed, the models' main numbers by the first attribute, notes."""
    told = augment_headline(record)
    said = [f"{told.title}.", *told.sentences, *(f"{title}." for title, _ in told.others)]
    blocks = ["\n".join(map(terminal.wrapped, said))]
    if record.models and record.measured:
        blocks.append(_table(record, record.measured[0]))
    notes = [f"Note: {note}" for note in record.notes]
    notes.append("Words such as race and gender are annotations, used to measure unequal error.")
    blocks.append("\n".join(map(terminal.wrapped, notes)))
    return "\n\n".join(blocks).replace(SPACE, " ")


def _table(record: AugmentRecord, attribute: str) -> str:
    shown = (WORST, DEO, AP)
    reasons: list[str] = []
    rows, marked = [], False
    for model in record.models.values():
        rates = [measured_of(model, attribute, one.key) for one in shown]
        reasons += [f"undefined: {rate.reason}" for rate in rates if not rate.defined]
        mark = " *" if model.sees.endswith("in use") else ""
        marked = marked or bool(mark)
        numbers = [
            terminal.number(rate, one.scale, one.digits) for rate, one in zip(rates, shown, strict=True)
        ]
        rows.append([terminal.short(model.title) + mark, *numbers])
    heads = ["model", *(f"{one.name}, {one.unit}: {one.direction}" for one in shown)]
    title = f"By {terminal.short(attribute)} [95 % interval]"
    feet = [*dict.fromkeys(reasons), *(["* needs the protected attribute in use"] if marked else [])]
    return "\n".join(
        [terminal.wrapped(title), *terminal.aligned(heads, rows, []), *map(terminal.wrapped, feet)]
    )
