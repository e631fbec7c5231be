"""What the numbers of a run say, in words that claim no more than the intervals allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.rate import Rate
from equipoise.report.debias.record import ComparisonRecord, ModelRecord, RunRecord

__all__ = [
    "DOES_NOT_PROVE",
    "POINTS",
    "Headline",
    "asked",
    "decimal",
    "explain",
    "flipped",
    "headline",
    "interval",
    "main_models",
    "ordered_groups",
    "ordered_models",
    "percent",
    "saturated",
    "signed",
    "verdict",
]

POINTS = ("at_fpr", "at_0.5")
SPACE = "\u202f"  # narrow, not broken
MINUS = "\u2212"
UNDEFINED = "undefined"

EXPLAINED = {
    "plain": "Ordinary training: every image is drawn equally often, only the classification loss is used. "
    "The baseline of all differences.",
    "debiased": "The classifier, with a variational autoencoder beside it where the recipe has one; positives that the "
    "resampling rule calls rare are drawn more often.",
    "plain-same-steps": "Ordinary training, as many steps as the debiased model. It shows how much of a gain "
    "is nothing but longer training.",
    "uniform": "The same network with the same extra losses, every image drawn equally often. It shows how "
    "much of a gain comes from the autoencoder's loss and how much from resampling.",
    "threshold-only": "The plain model, not trained any further, its threshold moved until it has as many false "
    "positives as the debiased model has at 0.5. It shows how much of a gain at 0.5 is bought with false "
    "positives; at the matched rate it is the plain model.",
}
BY_ROLE = {
    "plain": EXPLAINED["plain"],
    "debiased": EXPLAINED["debiased"],
    "control": "Measured on the same test images, to compare with.",
}

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
    "it look a little worse than it is; a group under 30 images can be worst by luck.",
    "That each interval without 0 is an effect. Of twenty comparisons without any effect, about one looks "
    "like one; the intervals are not corrected for how many there are.",
    "Anything about a group that is undefined. Undefined is not zero and not perfect: nothing was measured.",
)


def decimal(value: float, digits: int = 1) -> str:
    """A number with a real minus sign; "–" for NaN; no negative zero."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:.{digits}f}"
    if not any(c in "123456789" for c in text):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def percent(value: float, digits: int = 1) -> str:
    """A share as percent: 0.052 → "5.2 %"."""
    return decimal(100 * value, digits) + (SPACE + "%" if math.isfinite(value) else "")


def asked(fpr: float) -> str:
    """A false-positive rate as somebody would say it: 0.01 → "1 %"."""
    return f"{100 * fpr:.3g}{SPACE}%"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, except for what rounds to zero: 2.14 → "+2.1", −0.01 → "0.0"."""
    text = decimal(value, digits)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def interval(rate: Rate, scale: float = 100.0, digits: int = 1, *, with_sign: bool = False) -> str:
    """The ends of an interval: "3.9 to 6.8"; empty when there is none."""
    if not rate.defined or math.isnan(rate.low) or math.isnan(rate.high):
        return ""

    show = signed if with_sign else decimal
    return f"{show(rate.low * scale, digits)} to {show(rate.high * scale, digits)}"


def flipped(difference: Rate) -> Rate:
    """A difference of true-positive rates as a difference of miss rates: below 0 = fewer misses."""
    return Rate(-difference.value, -difference.high, -difference.low, difference.n, difference.reason)


def verdict(difference: Rate) -> str:
    """What a paired difference of miss rates allows one to say.

    Example:
        >>> verdict(Rate(-0.02, -0.04, 0.001, 500))
        'no measurable difference'
        >>> verdict(Rate(-0.02, -0.04, -0.001, 500))
        'fewer misses'
    """
    if not difference.defined:
        return UNDEFINED
    if math.isnan(difference.low) or math.isnan(difference.high):
        return "no interval, so nothing can be said"
    if difference.high < 0:
        return "fewer misses"
    if difference.low > 0:
        return "more misses"
    return "no measurable difference"


def ordered_models(record: RunRecord) -> list[str]:
    """Names of the models as people read them: plain, debiased, then the controls."""
    rank = {"plain": 0, "debiased": 1}
    baselines = {comparison.baseline for comparison in record.comparisons.values()}
    return sorted(
        record.models, key=lambda name: -1 if name in baselines else rank.get(record.models[name].role, 2)
    )


def main_models(record: RunRecord) -> tuple[str | None, str | None]:
    """The baseline, and the model that is held against it: the debiased one, else the first one compared."""
    names = ordered_models(record)
    roles = [record.models[name].role for name in names]
    plain = names[roles.index("plain")] if "plain" in roles else None
    debiased = names[roles.index("debiased")] if "debiased" in roles else None
    compared = [n for n in names if n in record.comparisons and record.comparisons[n].baseline in names]
    if not compared:
        return plain, debiased
    changed = debiased if debiased in compared else compared[0]
    return record.comparisons[changed].baseline, changed


def ordered_groups(record: RunRecord, attribute: str) -> list[str]:
    """Groups of an attribute: those that the first model finds least first, the undefined last."""
    models = [record.models[name] for name in ordered_models(record)]
    groups = dict.fromkeys(group for model in models for group in model.groups.get(attribute, {}))

    def rank(group: str) -> tuple[bool, float]:
        found = models[0].groups.get(attribute, {}).get(group)
        return (False, found.tpr_at_fpr.value) if found and found.tpr_at_fpr.defined else (True, 0.0)

    return sorted(groups, key=rank)


def saturated(record: RunRecord) -> str:
    """Whose scores are rounded until they tie, which no interval covers; empty if nobody's."""
    told = [f"{model.title} ({model.saturated:,})" for model in record.models.values() if model.saturated]
    if not told:
        return ""
    return (
        f"Scores rounded to a probability of exactly 0 or 1, and tied there: {', '.join(told)}. Which of them rank "
        "higher is not known, so AUROC and all numbers at the matched rate may be too low or too high: score with "
        "logits."
    )


def explain(name: str, model: ModelRecord) -> str:
    """What a model is there for."""
    return EXPLAINED.get(name, BY_ROLE.get(model.role, BY_ROLE["control"]))


@dataclass(frozen=True)
class Headline:
    """What changed, in one line, in sentences, and attribute by attribute."""

    title: str
    tone: str  # "fewer" | "more" | "none" | "unknown"
    sentences: Sequence[str]
    others: Sequence[tuple[str, str]]  # for each further attribute, the same: title, sentences


def headline(record: RunRecord) -> Headline:
    """What changed for the worst group at the matched false-positive rate, against the plain model."""
    plain, debiased = main_models(record)
    if not record.models:
        return Headline("No model was evaluated", "unknown", ("The record holds no numbers.",), ())
    first = debiased or plain or ordered_models(record)[0]
    attributes = list(record.models[first].worst_group)
    subjects: list[str | None] = list(attributes) or [None]
    told = [_told(record, plain, debiased or first, attribute) for attribute in subjects]
    title, tone, sentences = told[0]
    if debiased and record.models[debiased].role == "debiased" and tone == "fewer":
        sentences = [*sentences, *_controls(record, debiased, subjects[0])]
    others = [(lead, " ".join(rest)) for lead, _, rest in told[1:]]
    return Headline(title, tone, sentences, others)


def _told(
    record: RunRecord, plain: str | None, debiased: str, attribute: str | None
) -> tuple[str, str, list[str]]:
    where = f"at a matched false-positive rate of {asked(record.fpr)}"
    now = record.models[debiased]
    whom = f"the worst group by {attribute}" if attribute else "all positives"
    if plain is None or plain == debiased:
        return _one_model(now, attribute, where)
    sentences = [
        f"{_sentence(record.models[plain], attribute)} {where}.",
        f"{_sentence(now, attribute)} at the same rate.",
    ]
    difference = _difference(record.comparisons.get(debiased), attribute)
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


def _one_model(model: ModelRecord, attribute: str | None, where: str) -> tuple[str, str, list[str]]:
    whom = f"the worst group by {attribute}" if attribute else "all positives"
    return (
        f"Misses in {whom}: {_missed(_tpr(model, attribute))}",
        "unknown",
        [f"{_sentence(model, attribute)} {where}.", "There is no plain model beside it to compare with."],
    )


def _called(model: ModelRecord) -> str:
    return f"The {model.title} model" if model.title in ("plain", "debiased") else model.title


def _tpr(model: ModelRecord, attribute: str | None) -> Rate:
    if attribute is None:
        return model.tpr_at_fpr
    worst = model.worst_group.get(attribute, {}).get("at_fpr")
    return worst.tpr if worst else Rate.undefined("not recorded")


def _missed(tpr: Rate) -> str:
    rate = tpr.complement
    if not rate.defined:
        return f"undefined ({rate.reason})"
    ends = interval(rate)
    return percent(rate.value) + (f" ({ends})" if ends else "")


def _sentence(model: ModelRecord, attribute: str | None) -> str:
    missed = _missed(_tpr(model, attribute))
    if attribute is None:
        return f"{_called(model)} misses {missed} of all positives"
    worst = model.worst_group.get(attribute, {}).get("at_fpr")
    if worst is None or worst.group is None:
        return f"{_called(model)}: the misses of its worst group by {attribute} are {missed}"
    group = model.groups.get(attribute, {}).get(worst.group)
    size = f", n{SPACE}={SPACE}{group.n}" + (", a small group" if group.small else "") if group else ""
    return f"{_called(model)} misses {missed} of its worst group by {attribute} ({worst.group}{size})"


def _difference(comparison: ComparisonRecord | None, attribute: str | None) -> Rate | None:
    if comparison is None:
        return None
    if attribute is None:
        return flipped(comparison.tpr_at_fpr)
    found = comparison.worst_group.get(attribute, {}).get("at_fpr")
    return None if found is None else flipped(found)


def _controls(record: RunRecord, debiased: str, attribute: str | None) -> list[str]:
    """A gain that a control shows as well is not put down to resampling."""
    ours = _tpr(record.models[debiased], attribute).complement
    if not ours.defined:
        return []
    limit = ours.value if math.isnan(ours.high) else ours.high
    rivals = [
        f"{model.title} ({percent(_tpr(model, attribute).complement.value)})"
        for name, model in ((name, record.models[name]) for name in ordered_models(record))
        # At the matched rate the moved threshold is the plain model, which the difference is taken from.
        if model.role == "control"
        and name != "threshold-only"
        and _tpr(model, attribute).defined
        and _tpr(model, attribute).complement.value <= limit
    ]
    if not rivals:
        return []
    return [
        f"Within reach of that interval without debiased sampling: {', '.join(rivals)}. "
        "So this run does not show that resampling is what helps."
    ]
