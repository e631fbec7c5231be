"""What the numbers of a run say, in words that claim no more than the intervals allow."""

from __future__ import annotations

import math

from equipoise.fairness import negatives_needed
from equipoise.fairness.operating import AT_FPR
from equipoise.rate import Rate
from equipoise.report.debias.class_words import class_headline, is_of_classes
from equipoise.report.debias.models import (
    NEARLY_ALL,
    POINTS,
    at,
    attributes_of,
    called,
    main_models,
    main_point,
    ordered_models,
    points_of,
    threshold_of,
    worst_of,
)
from equipoise.report.debias.record import ModelRecord, RunRecord
from equipoise.report.parts.words import (
    SPACE,
    Headline,
    asked,
    decimal,
    flipped,
    harm_first,
    interval,
    percent,
    signed,
    verdict,
)

__all__ = [
    "DOES_NOT_PROVE",
    "explain",
    "few_negatives",
    "headline",
    "no_negatives",
    "saturated",
    "too_strict",
    "windows",
]

EXPLAINED = {
    "plain": "Ordinary training: every image is drawn equally often, only the classification loss is used.",
    "debiased": "The classifier, with a variational autoencoder beside it where the recipe has one; positives that the "
    "resampling rule calls rare are drawn more often.",
    "debiased-refitted": "The debiased model with another last layer, chosen without labels of groups as a fix is.",
    "plain-refitted": "The plain model with another last layer, chosen likewise. It shows how much of what a second "
    "stage gives needs debiased sampling.",
    "plain-same-steps": "Ordinary training, as many steps as the debiased model. It shows how much of a gain "
    "is nothing but longer training.",
    "uniform": "The network and the losses of the debiased model, every image drawn equally often. It shows how "
    "much of a gain comes from these losses and how much from resampling.",
    "threshold-only": "The plain model, not trained any further, its threshold moved until it has as many false "
    "positives as the debiased model has at 0.5. It shows how much of a gain at 0.5 is bought with false "
    "positives; at the matched rate it is the plain model.",
}
COMPARED = "Measured on the same test images, to compare with."

DOES_NOT_PROVE = (
    "That a system is fair. Unequal error is one harm that can be counted; who is scanned, for what, and "
    "whether the system should exist are questions that no rate answers.",
    "How other people fare. The test pictures are a sample of one source; another camera, light, country or "
    "year can turn the order of the groups round.",
    "What another training run would give. The intervals cover the chance in the test images, not the chance "
    "in training: repeat the run with other seeds before you rely on a difference.",
    "That the false-positive rate holds elsewhere. The matched threshold is set on the negatives of the test "
    "data, the same way for every model.",
    "How bad the worst group is, to the decimal. It was picked by looking at these very images, which makes "
    "it look a little worse than it is; a group under 30 positives can be worst by luck.",
    "That each interval without 0 is an effect. Of twenty comparisons without any effect, about one looks "
    "like one; the intervals are not corrected for how many there are.",
    "Anything about a group that is undefined. Undefined is not zero and not perfect: nothing was measured.",
)


def saturated(record: RunRecord) -> str:
    """Whose scores are rounded until they tie, which no interval covers; empty if nobody's."""
    told = [
        f"{model.title} ({model.numbers.saturated:,})"
        for model in record.models.values()
        if model.numbers is not None and model.numbers.saturated
    ]
    if not told:
        return ""
    return (
        f"Scores rounded to a probability of exactly 0 or 1, and tied there: {', '.join(told)}. Which of them rank "
        "higher is not known, so AUROC and all numbers at the matched rate may be too low or too high: score with "
        "logits."
    )


def few_negatives(record: RunRecord) -> str:
    """That the negatives are too few to tell the matched false-positive rate; empty where they are enough."""
    negatives = min((model.detection.negatives for model in record.models.values()), default=0)
    needed = negatives_needed(record.fpr) if record.fpr > 1e-15 else math.inf
    if not 0 < negatives < needed:  # without any, the numbers there are undefined, and say so
        return ""
    rate, few = asked(record.fpr), f"{negatives:,} {'negative' if negatives == 1 else 'negatives'}"
    enough = f"{needed:,} are needed" if math.isfinite(needed) else "no number of them can"
    return f"{few} cannot tell a false-positive rate of {rate}: {enough}; shares found at it have no lower limit."


def no_negatives(record: RunRecord) -> str:
    """That nothing is known of false positives; empty where there are negatives."""
    if AT_FPR in points_of(record):
        return ""
    return (
        "No negatives were given, so false positives, a matched false-positive rate and AUROC are undefined: a model "
        "that says yes to every picture would miss nothing here. Give negatives, pictures without what is to be found, "
        "to tell the two apart."
    )


def too_strict(record: RunRecord) -> str:
    """That the matched rate tells no groups apart, and where they are judged instead; empty where it tells."""
    if main_point(record) == AT_FPR or AT_FPR not in points_of(record):
        return ""
    alarms = (
        f"{called(record.models[name], start=False)} {_share(record.models[name].detection.fpr)}"
        for name in ordered_models(record)
        if name != "threshold-only"
    )
    whom = "each group, which tells no groups apart" if attributes_of(record) else "all positives"
    return (
        f"At a matched false-positive rate of {asked(record.fpr)} every model misses more than "
        f"{percent(NEARLY_ALL, 0)} of {whom}. So misses are those at threshold {threshold_of(record)}, where models "
        f"are not matched and fewer misses may be bought with false positives; of the negatives they call positive: "
        f"{', '.join(alarms)}."
    )


def windows(record: RunRecord) -> str:
    """What the windows protocol counts, and whom it rewards; empty for ordinary scores."""
    if not record.settings.get("windows"):
        return ""
    said = (
        "Windows protocol: a picture counts as found if any square window of it is. That rewards a model that says yes "
        "too often, so its false detections, negatives of which a window is taken for a positive, belong beside it: "
    )
    alarms = [
        (model.title, model.detection.fpr) for model in record.models.values() if model.detection.fpr.defined
    ]
    if not alarms:
        return said + "they are not known, as no negatives were given."
    shown = (f"{title} {percent(rate.value)} ({interval(rate)})" for title, rate in alarms)
    return f"{said}{', '.join(shown)} at threshold {threshold_of(record)}."


def explain(record: RunRecord, name: str) -> str:
    """What a model is there for."""
    model = record.models[name]
    said = EXPLAINED.get(name) or EXPLAINED.get(model.role, COMPARED)
    baseline = record.comparisons is not None and record.comparisons.baseline == name
    return f"{said} The baseline of all differences." if baseline else said


def headline(record: RunRecord) -> Headline:
    """What changed for the worst group at the matched false-positive rate, against the plain model; of many classes,
    for the worst cell."""
    plain, debiased = main_models(record)
    if not record.models:
        return Headline("No model was evaluated", "unknown", ("The record holds no numbers.",), ())
    if is_of_classes(record):
        return class_headline(record)
    first = debiased or plain or ordered_models(record)[0]
    attributes = list(record.models[first].detection.worst_group)
    subjects: list[str | None] = list(attributes) or [None]
    told = [_told(record, plain, debiased or first, attribute) for attribute in subjects]
    title, tone, sentences = told[0]
    harms = _harms(record, debiased, whole=bool(attributes)) if plain and debiased else []
    title, tone, sentences = harm_first(title, tone, sentences, harms)
    if debiased and record.models[debiased].role == "debiased" and tone == "fewer":
        sentences += _controls(record, debiased, subjects[0])
    said = (too_strict(record), few_negatives(record), no_negatives(record), windows(record))
    sentences += filter(None, said)
    others = [(lead, " ".join(rest)) for lead, _, rest in told[1:]]
    return Headline(title, tone, sentences, others, harmed=bool(harms))


def _told(
    record: RunRecord, plain: str | None, debiased: str, attribute: str | None
) -> tuple[str, str, list[str]]:
    point, same = main_point(record), "rate"
    where = f"at a matched false-positive rate of {asked(record.fpr)}"
    if point != AT_FPR:
        where, same = f"at threshold {threshold_of(record)}", "threshold"
    now = record.models[debiased]
    whom = f"the worst group by {attribute}" if attribute else "all positives"
    if plain is None or plain == debiased:
        return _one_model(record, now, attribute, point, where)
    sentences = [
        f"{_sentence(record.models[plain], attribute, point)} {where}.",
        f"{_sentence(now, attribute, point)} at the same {same}.",
    ]
    difference = _difference(record, debiased, attribute)
    if difference is None:
        sentences.append("No paired comparison was recorded, so nothing is said about the difference.")
        return f"Not compared: misses of {whom}", "unknown", sentences
    if not difference.defined:
        sentences.append(f"The difference is undefined: {difference.reason}.")
        return f"Undefined: the change for {whom}", "unknown", sentences
    found = verdict(difference)
    ends = interval(difference, with_sign=True)
    sentences.append(
        f"Paired difference of the misses: {signed(100 * difference.value)} percentage points"
        + (f", 95{SPACE}% interval {ends}" if ends else "")
        + {
            "fewer misses": ".",
            "more misses": ".",
            "no measurable difference": ". The interval covers 0: these images do not tell the two apart.",
        }.get(found, f": {found}.")
    )
    title, tone = {
        "fewer misses": (f"Fewer misses in {whom}", "fewer"),
        "more misses": (f"More misses in {whom}", "more"),
        "no measurable difference": (f"No measurable difference for {whom}", "none"),
    }.get(found, (f"No interval for the change in {whom}", "unknown"))
    return title, tone, sentences


def _one_model(
    record: RunRecord, model: ModelRecord, attribute: str | None, point: str, where: str
) -> tuple[str, str, list[str]]:
    whom = f"the worst group by {attribute}" if attribute else "all positives"
    lacking = "other" if len(record.models) == 1 else "plain"
    return (
        f"Misses in {whom}: {_missed(_tpr(model, attribute, point))}",
        "unknown",
        [
            f"{_sentence(model, attribute, point)} {where}.",
            f"There is no {lacking} model beside it to compare with.",
        ],
    )


def _tpr(model: ModelRecord, attribute: str | None, point: str) -> Rate:
    """Share found at an operating point: of an attribute's worst group, or of all positives."""
    found: Rate = getattr(model.detection, POINTS[point])
    return found if attribute is None else worst_of(model, attribute, point)["tpr"]


def _missed(tpr: Rate) -> str:
    return _share(tpr.complement)


def _share(rate: Rate) -> str:
    if not rate.defined:
        return f"undefined ({rate.reason})"
    ends = interval(rate)
    return percent(rate.value) + (f" ({ends})" if ends else "")


def _sentence(model: ModelRecord, attribute: str | None, point: str) -> str:
    missed = _missed(_tpr(model, attribute, point))
    if attribute is None:
        return f"{called(model)} misses {missed} of all positives"
    worst = worst_of(model, attribute, point)["group"]
    if worst is None:
        return f"{called(model)}: the misses of its worst group by {attribute} are {missed}"
    group = model.detection.groups.get(attribute, {}).get(worst)
    size = f", {group.positives:,} positives" + (", a small group" if group.small else "") if group else ""
    return f"{called(model)} misses {missed} of its worst group by {attribute} ({worst}{size})"


def _difference(record: RunRecord, name: str, attribute: str | None) -> Rate | None:
    found = record.comparisons.differences.get(name) if record.comparisons else None
    if found is None:
        return None
    point = main_point(record)
    return flipped(found.tpr[point] if attribute is None else at(found.worst_group, attribute, point))


def _harms(record: RunRecord, name: str, *, whole: bool) -> list[str]:
    """What a model is measurably worse in over all images, in words; misses of all positives if `whole`."""
    found = record.comparisons.differences.get(name) if record.comparisons else None
    if found is None:
        return []
    point, harms = main_point(record), []
    tpr, area = found.tpr[point], found.auroc
    if whole and tpr.defined and tpr.high < 0:
        harms.append(
            f"of all positives {decimal(-100 * tpr.value)} percentage points more are missed ({interval(flipped(tpr))})"
        )
    alarms = found.fpr
    if point != AT_FPR and alarms.defined and alarms.low > 0:
        harms.append(
            f"of the negatives {decimal(100 * alarms.value)} percentage points more are called positive "
            f"({interval(alarms)})"
        )
    for what, change, digits in (("AUROC", area, 2), ("accuracy at the threshold", found.accuracy, 1)):
        if change.defined and change.high < 0:
            lost = interval(flipped(change), 100.0, digits)
            harms.append(f"{what} fell by {decimal(-100 * change.value, digits)} points ({lost})")
    return harms


def _controls(record: RunRecord, debiased: str, attribute: str | None) -> list[str]:
    """A gain that a control shows as well is not put down to resampling."""
    point = main_point(record)
    ours = _tpr(record.models[debiased], attribute, point).complement
    if not ours.defined:
        return []
    limit = ours.value if math.isnan(ours.high) else ours.high
    rivals = [
        f"{model.title} ({percent(_tpr(model, attribute, point).complement.value)})"
        for name, model in ((name, record.models[name]) for name in ordered_models(record))
        # At the matched rate the moved threshold is the plain model, which the difference is taken from.
        if model.role == "control"
        and name != "threshold-only"
        and _tpr(model, attribute, point).defined
        and _tpr(model, attribute, point).complement.value <= limit
    ]
    if not rivals:
        return []
    return [
        f"Within reach of that interval without debiased sampling: {', '.join(rivals)}. "
        "So this run does not show that resampling is what helps."
    ]
