"""The group table for the terminal: plain text, the same words as the page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from equipoise.rate import Rate
from equipoise.report.debias.record import ModelRecord, ResamplingRecord, RunRecord
from equipoise.report.debias.sampling_words import asked_for, counted_draws, follows, strength
from equipoise.report.parts import words
from equipoise.shown import harmless

__all__ = ["aligned", "number", "resampling_text", "short", "text", "wrapped"]

POINTS = {"at_fpr": "tpr_at_fpr", "at_0.5": "tpr"}
NAME = 30  # longest name in full
WIDTH = 96


def text(record: RunRecord) -> str:
    """What changed, in words; then misses by group for the plain and the debiased model, and for all models.

    Miss rates are in percent, with 95 % intervals in brackets; undefined ones say why.
    """
    shown = [name for name in words.main_models(record) if name] or words.ordered_models(record)[:2]
    models = [record.models[name] for name in shown]
    attributes = list(dict.fromkeys(a for model in models for a in model.groups))
    blocks = [_headline(record)]
    blocks += [_attribute(record, models, attribute) for attribute in attributes]
    if record.models:
        blocks.append(_all(record, attributes[0] if attributes else None))
    blocks += map(wrapped, filter(None, [words.saturated(record)]))
    if record.resampling:
        blocks.append(resampling_text(record.resampling))
    return "\n\n".join(blocks).replace(words.SPACE, " ")


def resampling_text(record: ResamplingRecord, what: str = "positives") -> str:
    """Did rarity find the rare? How often each group was drawn, and the answer in words.

    Args:
        record: Of one class.
        what: What its images are called.
    """
    same, followed = abs(strength(record) - 0.5) < 0.005, follows(record)
    made = f"{record.rule}, on {record.representation}" if record.representation else record.rule
    blocks = [
        wrapped(
            f"Sampling of the {what} by rarity: rule {made}; effective sample size {record.ess:.2f}, largest weight "
            f"{record.max_weight:.1f} times the mean."
        ),
        *map(wrapped, filter(None, [asked_for(record, what)])),
    ]
    for attribute, found in record.enrichment.items():
        natural, drawn = record.natural_share.get(attribute, {}), record.share.get(attribute, {})
        at_half = record.enrichment_at_half.get(attribute, {})
        meant = {} if record.meant is None else record.meant.enrichment.get(attribute, {})
        rows = [
            [
                short(group),
                f"{found[group].n:,}",
                words.decimal(100 * natural.get(group, float("nan")), 2),
                words.decimal(100 * drawn.get(group, float("nan")), 2),
                number(found[group], 1, 2),
                *([] if followed else [words.decimal(meant[group].value, 2) if group in meant else "–"]),
                *([] if same else [number(at_half.get(group), 1, 2)]),
            ]
            for group in sorted(found, key=lambda group: (natural.get(group, 0.0), group))
        ]
        heads = [
            attribute,
            "n",
            f"% of {what}",
            "% of draws",
            "enrichment",
            *([] if followed else ["asked"]),
            *([] if same else ["at ESS 0.5"]),
        ]
        title = f"Enrichment by {attribute}: share of the draws / share of the {what} [95 % interval]"
        undefined = [
            f"{group}: undefined, {rate.reason}." for group, rate in found.items() if not rate.defined
        ]
        blocks.append("\n".join([wrapped(title), *aligned(heads, rows, []), *map(wrapped, undefined)]))
    blocks.append(wrapped(record.verdict))
    if not same and record.enrichment:
        singly = "" if followed else " (If images were drawn one at a time.)"
        blocks.append(wrapped(f"At effective sample size 0.5: {record.verdict_at_half}{singly}"))
    if not followed and record.counted is not None:
        blocks.append(wrapped(counted_draws(record, what)))
    if record.negatives is not None:
        blocks.append(resampling_text(record.negatives, "negatives"))
    return "\n\n".join(blocks).replace(words.SPACE, " ")


def _headline(record: RunRecord) -> str:
    told = words.headline(record)
    others = [f"{title}." for title, _ in told.others]
    return "\n".join(wrapped(line) for line in (f"{told.title}.", *told.sentences, *others))


def _attribute(record: RunRecord, models: Sequence[ModelRecord], attribute: str) -> str:
    fpr = words.asked(record.fpr)
    heads = [f"at {fpr} FPR: {m.title}" for m in models] + [f"at 0.5: {m.title}" for m in models]
    columns = [(model, point) for point in POINTS for model in models]
    groups = words.ordered_groups(record, attribute)
    rows, notes = [], []
    for group in groups:
        found = [model.groups.get(attribute, {}).get(group) for model in models]
        first = next((one for one in found if one is not None), None)
        small = " *" if first and first.small else ""
        cells = []
        for model, point in columns:
            one = model.groups.get(attribute, {}).get(group)
            rate = getattr(one, POINTS[point]) if one else Rate.undefined("not recorded")
            cells.append(_missed(rate))
            if not rate.defined:
                notes.append(f"{group}: undefined, {rate.reason}.")
        rows.append([short(group) + small, f"{first.n:,}" if first else "–", *cells])
        if small:
            notes.append("* under 30 images: too few to say much.")
    foot = [
        ["all positives", "", *(_missed(getattr(model, POINTS[point])) for model, point in columns)],
        ["worst group", "", *(_worst(model, attribute, point) for model, point in columns)],
        [
            "gap, points",
            "",
            *(number(model.gap.get(attribute, {}).get(point), 100, 1) for model, point in columns),
        ],
        [
            "variance, percent²",
            "",
            *(number(model.variance.get(attribute, {}).get(point), 1, 2) for model, point in columns),
        ],
    ]
    title = f"Missed by {attribute}, percent [95 % interval]"
    return "\n".join(
        [wrapped(title), *aligned([attribute, "n", *heads], rows, foot), *map(wrapped, dict.fromkeys(notes))]
    )


def _all(record: RunRecord, attribute: str | None) -> str:
    fpr = words.asked(record.fpr)
    heads = ["model", "all positives", *([f"worst group by {attribute}"] if attribute else [])]
    rows = []
    for name in words.ordered_models(record):
        model = record.models[name]
        row = [short(model.title), _missed(model.tpr_at_fpr)]
        if attribute:
            worst = model.worst_group.get(attribute, {}).get("at_fpr")
            row.append(f"{short(worst.group or '–')}  {_missed(worst.tpr)}" if worst else "–")
        rows.append(row)
    return "\n".join([f"Missed at {fpr} FPR, all models, percent", *aligned(heads, rows, [])])


def aligned(heads: list[str], rows: list[list[str]], foot: list[list[str]]) -> list[str]:
    """Lines of a table; a head "at 0.5: plain" stands on two lines."""
    heads, rows, foot = (
        [*map(harmless, heads)],
        *([[*map(harmless, row)] for row in some] for some in (rows, foot)),
    )
    split = [head.split(": ", 1) if ": " in head else ["", head] for head in heads]
    top = [parts[0] for parts in split]
    bottom = [short(parts[1], 20) for parts in split]
    head_rows = [top, bottom] if any(top) else [bottom]
    widths = [max(len(row[i]) for row in (*head_rows, *rows, *foot)) for i in range(len(heads))]

    def line(row: list[str]) -> str:
        cells = [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in _indexed(row, widths)]
        return "  ".join(cells).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [*map(line, head_rows), rule, *map(line, rows)]
    return lines if not foot else [*lines, rule, *map(line, foot)]


def _indexed(row: list[str], widths: list[int]) -> list[tuple[int, tuple[str, int]]]:
    return list(enumerate(zip(row, widths, strict=True)))


def _missed(tpr: Rate) -> str:
    return number(tpr.complement, 100, 1)


def number(rate: Rate | None, scale: float, digits: int) -> str:
    """A rate and its interval: "4.1 [3.0, 5.2]"."""
    if rate is None or not rate.defined:
        return "undefined"
    ends = words.interval(rate, scale, digits).replace(" to ", ", ")
    return words.decimal(rate.value * scale, digits) + (f" [{ends}]" if ends else "")


def _worst(model: ModelRecord, attribute: str, point: str) -> str:
    worst = model.worst_group.get(attribute, {}).get(point)
    return short(worst.group, 18) if worst and worst.group else "undefined"


def short(name: str, most: int = NAME) -> str:
    """A name on one line, without characters that steer a terminal."""
    shown = harmless(name)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def wrapped(line: str) -> str:
    """A sentence in lines of 96, without characters that steer a terminal."""
    return textwrap.fill(harmless(line), WIDTH, subsequent_indent="  ")
