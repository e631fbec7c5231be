"""What the numbers of a fix say, in words that claim no more than the intervals allow. A measured harm comes first."""

from __future__ import annotations

from equipoise.fairness import ClassDifference, ClassEvaluation
from equipoise.rate import Rate
from equipoise.report.fix.record import AFTER, BEFORE, FixRecord, SliceTrait
from equipoise.report.parts import words
from equipoise.report.parts.choice import LEFT
from equipoise.report.parts.classes import is_the_class
from equipoise.report.parts.terminal import aligned, blocks, number, short, wrapped
from equipoise.report.parts.words import ABSENT, Headline

__all__ = ["FIX_LIMITS", "fix_headline", "fix_text", "subject", "trait", "worst"]

FIX_LIMITS = (
    "That a system is fair. Unequal error is one harm that can be counted; a lower number here is no proof.",
    "That the groups that were found are people. They are pictures that a classifier gets wrong alike.",
    "That the fix suits other data. It was chosen on these; measure it again where it is to be used.",
    "What chance in the choice does. Intervals are over test images; how often other folds choose the same method "
    "stands beside the choice.",
    "That groups without a column improved. Only slices and columns that were given are counted.",
)


def subject(record: FixRecord) -> str | None:
    """The attribute whose worst cell the page is about; None: the worst class."""
    numbers = record.models[AFTER].numbers
    return next((a for a in numbers.worst_cell if not is_the_class(numbers, a)), None)


def worst(numbers: ClassEvaluation, attribute: str | None) -> tuple[str, Rate]:
    """Where a model is right least often, and how often."""
    if attribute is None:
        return numbers.worst_class["class"] or "–", numbers.worst_class["recall"]
    found = numbers.worst_cell.get(attribute)
    if found is None or found["class"] is None:
        return "–", ABSENT if found is None else found["recall"]
    return f"{found['class']} × {found['group']}", found["recall"]


def trait(one: SliceTrait) -> str:
    """What most images of a slice are, beside the rest of their class."""
    return f"{one.value} {words.percent(one.share.value, 0)}, rest {words.percent(one.rest.value, 0)}"


def fix_headline(record: FixRecord) -> Headline:
    """What the fix did to the worst cell, what it cost, and what was chosen."""
    attribute, choice = subject(record), record.choice
    whom = "worst class" if attribute is None else f"worst cell of class and {attribute}"
    before, after = (record.models[name].numbers for name in (BEFORE, AFTER))
    (where, rate), (there, now) = worst(before, attribute), worst(after, attribute)
    if choice.method == LEFT:
        sentences = [
            "No candidate was better than leaving the last layer as it is by more than its doubt, so nothing was "
            f"changed. It is right on {_right(before.accuracy)} of {before.n:,} test images, and on {_right(rate)} of "
            f"its {whom} ({where}).",
            *choice.notes,
        ]
        return Headline("Nothing was changed: no fix was clearly better", "none", sentences, ())
    change = record.comparisons.differences[AFTER]
    gain = change.worst_class if attribute is None else change.worst_cell.get(attribute, ABSENT)
    title, tone = _title(gain, whom)
    harm = _harm(record, change)
    if harm and tone != "more":
        if tone == "fewer":
            title = f"{title}, at a price"
        else:
            title, tone = f"Measurably worse, and {title[0].lower()}{title[1:]}", "more"
    sentences = [f"Measurably worse: {harm}."] if harm else []
    sentences += [
        f"Before: right on {_right(rate)} of its {whom} ({where}). After: {_right(now)} ({there}). Paired difference "
        f"{words.points(gain)}.",
        f"Of all {after.n:,} test images {_right(before.accuracy)} were right and {_right(after.accuracy)} are; "
        f"paired difference {words.points(change.accuracy)}.",
        f"Chosen: {choice.told}"
        + (
            f", by {words.listed(choice.groups)} of some images."
            if choice.groups
            else ", without any group label."
        ),
    ]
    if record.slices:
        mended = sum(one.change.defined and one.change.high < 0 for one in record.slices)
        worse = [one.name for one in record.slices if one.change.defined and one.change.low > 0]
        sentences.append(
            f"Of {len(record.slices)} hidden groups that the network failed on, {mended} measurably improved"
            + (f", and {len(worse)} became measurably worse ({words.listed(worse)})." if worse else ".")
        )
    return Headline(title, tone, sentences, (), harmed=bool(harm))


def _title(gain: Rate, whom: str) -> tuple[str, str]:
    if not gain.defined:
        return f"Undefined: the change in the {whom}", "unknown"
    if gain.low > 0:
        return f"Better by {words.decimal(100 * gain.value)} points in the {whom}", "fewer"
    if gain.high < 0:
        return f"Worse by {words.decimal(-100 * gain.value)} points in the {whom}", "more"
    return f"No measurable difference in the {whom}", "none"


def _harm(record: FixRecord, change: ClassDifference) -> str:
    """What became measurably worse over all images, in a class or in a hidden group, in words; "" if nothing did."""
    parts = []
    if change.accuracy.defined and change.accuracy.high < 0:
        parts.append(f"accuracy over all images fell by {words.decimal(-100 * change.accuracy.value)} points")
    if change.worst_class.defined and change.worst_class.high < 0:
        parts.append(f"the worst class fell by {words.decimal(-100 * change.worst_class.value)} points")
    for one in record.slices:
        if one.change.defined and one.change.low > 0:
            parts.append(
                f"{one.name}, a hidden group, fell by {words.decimal(100 * one.change.value)} points"
            )
    return words.listed(parts) if parts else ""


def _right(rate: Rate) -> str:
    if not rate.defined:
        return f"undefined ({rate.reason})"
    ends = words.interval(rate)
    return words.percent(rate.value) + (f" ({ends})" if ends else "")


def fix_text(record: FixRecord) -> str:
    """The summary for the terminal."""
    headline, attribute = fix_headline(record), subject(record)
    lines = [f"{headline.title}.", *headline.sentences]
    if attribute is not None:
        lines.append("Words such as race and gender are annotations, used to measure unequal error.")
    rows = []
    for model in record.models.values():
        where, rate = worst(model.numbers, attribute)
        rows.append(
            [
                short(model.title, 34),
                number(model.numbers.accuracy, 100, 1),
                number(model.numbers.balanced_accuracy, 100, 1),
                number(rate, 100, 1),
                short(where, 30),
            ]
        )
    whom = "worst class" if attribute is None else f"worst cell, class × {short(attribute, 12)}"
    heads = ["last layer", "accuracy", "balanced", whom, "where"]
    table = ["Right, percent of test images [95 % interval]", *aligned(heads, rows, [])]
    return blocks(
        ["\n".join(map(wrapped, lines)), "\n".join(table), _slices(record), wrapped(record.choice.rule)]
    )


def _slices(record: FixRecord) -> str:
    if not record.slices:
        return wrapped(record.slices_note)
    rows = [
        [
            short(one.name, 30),
            f"{one.images:,}",
            number(one.before, 100, 1),
            number(one.after, 100, 1),
            number(one.change, 100, 1),
        ]
        for one in record.slices
    ]
    title = "Hidden groups that the network failed on: wrong, percent [95 % interval]"
    return "\n".join([title, *aligned(["slice", "images", "before", "after", "change"], rows, [])])
