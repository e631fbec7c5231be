"""What the numbers of many classes say, in words that claim no more than the intervals allow."""

from __future__ import annotations

from equipoise.fairness import ClassEvaluation
from equipoise.rate import Rate
from equipoise.report.debias.models import called, main_models, ordered_models
from equipoise.report.debias.record import RunRecord
from equipoise.report.parts.classes import class_harms, is_the_class
from equipoise.report.parts.words import SPACE, Headline, harm_first, interval, percent, signed, verdict

__all__ = ["class_headline", "is_of_classes"]

SAID = {
    "fewer misses": ("Lower", "more"),
    "more misses": ("Higher", "fewer"),
    "no measurable difference": ("No measurable difference in", "none"),
}
"""Verdict on a difference, of which a positive one is better here → how the title begins, and its tone."""


def is_of_classes(record: RunRecord) -> bool:
    """Whether a record's numbers are told class by class: of more than two, or where none of them is the positive."""
    return any(
        model.classes is not None and (len(model.classes.classes) > 2 or model.numbers is None)
        for model in record.models.values()
    )


def class_headline(record: RunRecord) -> Headline:
    """What changed for the worst cell of class and group, or for the worst class, against the plain model."""
    plain, debiased = main_models(record)
    first = debiased or plain or ordered_models(record)[0]
    numbers = record.models[first].classes
    if numbers is None:
        return Headline("No class was measured", "unknown", ("The record holds no numbers by class.",), ())
    subjects: list[str | None] = [a for a in numbers.worst_cell if not is_the_class(numbers, a)] or [None]
    told = [_told(record, plain, first, attribute) for attribute in subjects]
    title, tone, sentences = told[0]
    harms = class_harms(record.class_comparisons, first) if plain is not None and plain != first else []
    title, tone, sentences = harm_first(title, tone, sentences, harms)
    others = [(lead, " ".join(rest)) for lead, _, rest in told[1:]]
    sentences += _overall(record, plain, first)
    return Headline(title, tone, sentences, others, harmed=bool(harms))


def _told(
    record: RunRecord, plain: str | None, debiased: str, attribute: str | None
) -> tuple[str, str, list[str]]:
    what = f"worst-group accuracy by {attribute}" if attribute else "accuracy in the worst class"
    sentences = [_sentence(record, name, attribute) for name in dict.fromkeys((plain or debiased, debiased))]
    if plain is None or plain == debiased:
        value = _worst(_numbers(record, debiased), attribute)[1]
        lacking = "other" if len(record.models) == 1 else "plain"
        sentences.append(f"There is no {lacking} model beside it to compare with.")
        return f"{what[0].upper()}{what[1:]}: {_right(value)}", "unknown", sentences
    found = record.class_comparisons.differences.get(debiased) if record.class_comparisons else None
    if found is None:
        sentences.append("No paired comparison was recorded, so nothing is said about the difference.")
        return f"Not compared: {what}", "unknown", sentences
    difference = found.worst_class if attribute is None else found.worst_cell[attribute]
    if not difference.defined:
        sentences.append(f"The difference is undefined: {difference.reason}.")
        return f"Undefined: the change of {what}", "unknown", sentences
    begins, tone = SAID.get(verdict(difference), ("No interval for the change of", "unknown"))
    covers = "" if tone != "none" else ". The interval covers 0: these images do not tell the two apart"
    sentences.append(f"Paired difference: {_points(difference)}{covers}.")
    return f"{begins} {what}", tone, sentences


def _numbers(record: RunRecord, name: str) -> ClassEvaluation:
    numbers = record.models[name].classes
    if numbers is None:
        raise ValueError(f"the model {name!r} has no numbers by class")
    return numbers


def _worst(numbers: ClassEvaluation, attribute: str | None) -> tuple[str | None, Rate]:
    if attribute is None:
        return numbers.worst_class["class"], numbers.worst_class["recall"]
    found = numbers.worst_cell[attribute]
    cell = None if found["class"] is None else f"{found['class']} × {found['group']}"
    return cell, found["recall"]


def _sentence(record: RunRecord, name: str, attribute: str | None) -> str:
    where, rate = _worst(_numbers(record, name), attribute)
    model = called(record.models[name])
    whom = f"worst cell of class and {attribute}" if attribute else "worst class"
    if where is None:
        return f"{model}: how much of its {whom} is called right is {_right(rate)}."
    small = ", a small one" if rate.n < 30 else ""
    images = f"{rate.n:,} image{'' if rate.n == 1 else 's'}"
    return f"{model} calls {_right(rate)} of its {whom} right ({where}, {images}{small})."


def _overall(record: RunRecord, plain: str | None, debiased: str) -> list[str]:
    """The price, or the gain, in accuracy over all images."""
    now = _numbers(record, debiased)
    model = called(record.models[debiased], start=False)
    said = (
        f"Of all {now.n:,} test images {model} calls {_right(now.accuracy)} right; balanced accuracy "
        f"{_right(now.balanced_accuracy)}"
    )
    found = record.class_comparisons.differences.get(debiased) if record.class_comparisons else None
    if found is None or plain is None or not found.accuracy.defined:
        return [f"{said}."]
    return [
        f"{said}. Against {called(record.models[plain], start=False)}: {_points(found.accuracy)} of accuracy."
    ]


def _right(rate: Rate) -> str:
    if not rate.defined:
        return f"undefined ({rate.reason})"
    ends = interval(rate)
    return percent(rate.value) + (f" ({ends})" if ends else "")


def _points(difference: Rate) -> str:
    ends = interval(difference, with_sign=True)
    return f"{signed(100 * difference.value)} percentage points" + (
        f", 95{SPACE}% interval {ends}" if ends else ""
    )
