"""What the numbers of `augment` say, in words that claim no more than the intervals allow."""

from __future__ import annotations

from equipoise.fairness import AttributeMetrics, Cell
from equipoise.report.augment.measures import (
    AP,
    AVERAGE,
    DEO,
    WORST,
    Measure,
    cell_name,
    change_of,
    inside,
    leading,
    measured_of,
    metrics_of,
    outcome,
    told,
)
from equipoise.report.augment.record import AugmentedModel, AugmentRecord
from equipoise.report.augment.rivals import better, controls, rivals_told
from equipoise.report.parts import words
from equipoise.report.parts.words import Headline

__all__ = ["AUGMENT_LIMITS", "EDITS_HIDDEN", "ROLE_WORDS", "augment_headline"]

ROLE_WORDS = {
    "plain": "ordinary training on the real images; all changes are against it",
    "augmented": "trained on the real images and on balanced pairs",
    "control": "shares all but one thing, so that a gain it shows as well is not put down to that thing",
    "comparison": "another method with the same aim, on the same data",
}
EDITS_HIDDEN = (
    "Edited faces are not shown. They are an intermediate step of training. A picture of a person changed in gender or "
    "race teaches nothing about the model’s errors, and can hurt. The setting show_edits shows some."
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
NAMED = 3  # cells that a sentence names


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
    lost = _lost(new, first)
    if lost:
        named = [
            f"{cell_name(record.target, cell)} ({words.signed(100 * cell.accuracy.value)} points)"
            for cell in lost[:NAMED]
        ]
        named += [f"{len(lost) - NAMED} more"] if len(lost) > NAMED else []
        sentences.insert(0, f"Less accurate beyond chance: {'; '.join(named)}.")
    sentences += [_steps(base, new), *rivals_told(record, lead, first)]
    if tone == "fewer" and (better(record, lead, first) or controls(record, lead, first)):
        tone = "none"
    others = [
        (
            _title(new, attribute)[0],
            f"“{base.title}”: {_numbers(base, attribute)}. “{new.title}”: {_numbers(new, attribute)}.",
        )
        for attribute in rest
    ]
    return Headline(title, tone, sentences, others, harmed=bool(lost))


def _title(model: AugmentedModel, attribute: str) -> tuple[str, str]:
    """What changed, in a line, and its tone."""
    told = {one.key: outcome(change_of(model, attribute, one.key), one) for one in (DEO, WORST, AP, AVERAGE)}
    gap, cell = told["deo"], told["worst_cell_accuracy"]
    lost = [one.name for one in (AP, AVERAGE) if told[one.key] == "worse"]
    cost = f", at a cost in {' and '.join(inside(name) for name in lost)}" if lost else ""
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


def _lost(model: AugmentedModel, attribute: str) -> list[Cell]:
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
        f"{told(measured_of(model, attribute, measure.key), measure)} with “{model.title}”"
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


def _where(model: AugmentedModel, attribute: str, measure: Measure) -> str:
    numbers = metrics_of(model, attribute)
    if measure is not WORST or numbers is None or numbers.worst_cell is None:
        return ""
    small = ", a small cell" if _worst_is_small(numbers) else ""
    return f" ({numbers.worst_cell}{small})"


def _worst_is_small(numbers: AttributeMetrics) -> bool:
    known = [cell for cell in numbers.cells if cell.accuracy.defined]
    return bool(known) and min(known, key=lambda cell: cell.accuracy.value).small


def _numbers(model: AugmentedModel, attribute: str, full: bool = False) -> str:
    shown = (WORST, DEO, AP) if full else (WORST, DEO)
    reasons = {measured_of(model, attribute, one.key).reason for one in shown}
    if len(reasons) == 1 and None not in reasons:
        return f"undefined ({reasons.pop()})"
    return ", ".join(
        f"{inside(one.name)} {told(measured_of(model, attribute, one.key), one)}" for one in shown
    )


def _steps(base: AugmentedModel, new: AugmentedModel) -> str:
    if base.steps == new.steps:
        return f"Both were trained for {new.steps:,} steps."
    return (
        f"“{base.title}” was trained for {base.steps:,} steps, “{new.title}” for {new.steps:,}: part of the change may "
        "be that."
    )
