"""A run of `augment` for the terminal: plain text, the same words as the page."""

from __future__ import annotations

from equipoise.report.augment.measures import AP, DEO, WORST, measured_of
from equipoise.report.augment.record import AugmentRecord
from equipoise.report.augment.words import augment_headline
from equipoise.report.parts.terminal import aligned, blocks, number, short, wrapped

__all__ = ["augment_text"]


def augment_text(record: AugmentRecord) -> str:
    """The summary for the terminal: what changed, the models' main numbers by the first attribute, notes."""
    told = augment_headline(record)
    said = [f"{told.title}.", *told.sentences, *(f"{title}." for title, _ in told.others)]
    parts = ["\n".join(map(wrapped, said))]
    if record.models and record.measured:
        parts.append(_table(record, record.measured[0]))
    notes = [f"Note: {note}" for note in record.notes]
    notes.append("Words such as race and gender are annotations, used to measure unequal error.")
    return blocks([*parts, "\n".join(map(wrapped, notes))])


def _table(record: AugmentRecord, attribute: str) -> str:
    shown = (WORST, DEO, AP)
    reasons: list[str] = []
    rows, marked = [], False
    for model in record.models.values():
        rates = [measured_of(model, attribute, one.key) for one in shown]
        reasons += [f"undefined: {rate.reason}" for rate in rates if not rate.defined]
        mark = " *" if model.sees.endswith("in use") else ""
        marked = marked or bool(mark)
        numbers = [number(rate, one.scale, one.digits) for rate, one in zip(rates, shown, strict=True)]
        rows.append([short(model.title) + mark, *numbers])
    heads = ["model", *(f"{one.name}, {one.unit}: {one.direction}" for one in shown)]
    title = f"By {short(attribute)} [95 % interval]"
    feet = [*dict.fromkeys(reasons), *(["* needs the protected attribute in use"] if marked else [])]
    return "\n".join([wrapped(title), *aligned(heads, rows, []), *map(wrapped, feet)])
