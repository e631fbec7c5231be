"""A run for the terminal: plain text, the same words as the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from equipoise.fairness.operating import AT_FPR
from equipoise.rate import Rate
from equipoise.report.debias.class_terminal import class_blocks
from equipoise.report.debias.class_words import is_of_classes
from equipoise.report.debias.models import (
    POINTS,
    at,
    main_models,
    ordered_groups,
    ordered_models,
    rate_of,
    worst_of,
)
from equipoise.report.debias.record import ModelRecord, ResamplingRecord, RunRecord
from equipoise.report.debias.sampling_words import asked_for, counted_draws, follows, strength
from equipoise.report.debias.words import headline, saturated
from equipoise.report.parts import words
from equipoise.report.parts.terminal import aligned, blocks, number, short, wrapped

__all__ = ["resampling_text", "text"]


def text(record: RunRecord) -> str:
    """What changed, in words; then misses by group for the plain and the debiased model, and for all models.

    Miss rates are in percent, with 95 % intervals in brackets; undefined ones say why.
    """
    if is_of_classes(record) and record.positive is None:
        told = [resampling_text(record.resampling, "images")] if record.resampling else []
        return blocks([_headline(record), *class_blocks(record), *told])
    shown = [name for name in main_models(record) if name] or ordered_models(record)[:2]
    models = [record.models[name] for name in shown]
    attributes = list(dict.fromkeys(a for model in models for a in model.detection.groups))
    parts = [_headline(record)]
    if is_of_classes(record):
        parts += [
            *class_blocks(record),
            wrapped(f"Detection of {record.positive} against all other classes:"),
        ]
    parts += [_attribute(record, models, attribute) for attribute in attributes]
    if record.models:
        parts.append(_all(record, attributes[0] if attributes else None))
    parts.append(wrapped(saturated(record)))
    if record.resampling:
        parts.append(resampling_text(record.resampling, "images" if is_of_classes(record) else "positives"))
    return blocks(parts)


def resampling_text(record: ResamplingRecord, what: str = "positives") -> str:
    """Did rarity find the rare? How often each group was drawn, and the answer in words.

    Args:
        record: Of one class.
        what: What its images are called.
    """
    same, followed = abs(strength(record) - 0.5) < 0.005, follows(record)
    made = f"{record.rule}, on {record.representation}" if record.representation else record.rule
    parts = [
        wrapped(
            f"Sampling of the {what} by rarity: rule {made}; effective sample size {record.ess:.2f}, largest weight "
            f"{record.max_weight:.1f} times the mean."
        ),
        wrapped(asked_for(record, what)),
        *(_drawn(record, what, attribute, followed, same) for attribute in record.enrichment),
        wrapped(record.verdict),
    ]
    if not same and record.enrichment:
        singly = "" if followed else " (If images were drawn one at a time.)"
        parts.append(wrapped(f"At effective sample size 0.5: {record.verdict_at_half}{singly}"))
    if not followed:
        parts.append(wrapped(counted_draws(record, what)))
    if record.negatives is not None:
        parts.append(resampling_text(record.negatives, "negatives"))
    return blocks(parts)


def _drawn(record: ResamplingRecord, what: str, attribute: str, followed: bool, same: bool) -> str:
    """How often each group of an attribute was drawn; with what was asked for, and at the strength of comparison, where
    these differ."""
    found, at_half = record.enrichment[attribute], record.enrichment_at_half.get(attribute, {})
    natural, drawn = record.natural_share.get(attribute, {}), record.share.get(attribute, {})
    meant = {} if record.meant is None else record.meant.enrichment.get(attribute, {})
    rows = [
        [
            short(group),
            f"{found[group].n:,}",
            words.decimal(100 * natural.get(group, math.nan), 2),
            words.decimal(100 * drawn.get(group, math.nan), 2),
            number(found[group], 1, 2),
            *([] if followed else [words.decimal(meant[group].value, 2) if group in meant else "–"]),
            *([] if same else [number(at_half.get(group), 1, 2)]),
        ]
        for group in sorted(found, key=lambda group: (natural.get(group, 0.0), group))
    ]
    heads = [
        *(attribute, what, f"% of {what}", "% of draws", "enrichment"),
        *([] if followed else ["asked"]),
        *([] if same else ["at ESS 0.5"]),
    ]
    title = f"Enrichment by {attribute}: share of the draws / share of the {what} [95 % interval]"
    undefined = [f"{group}: undefined, {rate.reason}." for group, rate in found.items() if not rate.defined]
    return "\n".join([wrapped(title), *aligned(heads, rows, []), *map(wrapped, undefined)])


def _headline(record: RunRecord) -> str:
    told = headline(record)
    others = [f"{title}." for title, _ in told.others]
    return "\n".join(wrapped(line) for line in (f"{told.title}.", *told.sentences, *others))


def _attribute(record: RunRecord, models: Sequence[ModelRecord], attribute: str) -> str:
    fpr = words.asked(record.fpr)
    heads = [f"at {fpr} FPR: {m.title}" for m in models] + [f"at 0.5: {m.title}" for m in models]
    columns = [(model, point) for point in POINTS for model in models]
    rows, notes = [], []
    for group in ordered_groups(record, attribute):
        found = [model.detection.groups.get(attribute, {}).get(group) for model in models]
        first = next((one for one in found if one is not None), None)
        small = " *" if first and first.small else ""
        rates = [rate_of(model, attribute, group, POINTS[point]) for model, point in columns]
        notes += [f"{group}: undefined, {rate.reason}." for rate in rates if not rate.defined]
        notes += ["* under 30 positives: too few to say much."] if small else []
        rows.append([short(group) + small, f"{first.positives:,}" if first else "–", *map(_missed, rates)])
    foot = [
        [
            "all positives",
            "",
            *(_missed(getattr(model.numbers, POINTS[point])) for model, point in columns),
        ],
        ["worst group", "", *(_worst(model, attribute, point) for model, point in columns)],
        [
            "gap, points",
            "",
            *(number(at(model.detection.gap, attribute, point), 100, 1) for model, point in columns),
        ],
        [
            "variance, percent²",
            "",
            *(number(at(model.detection.variance, attribute, point), 1, 2) for model, point in columns),
        ],
    ]
    title = f"Missed by {attribute}, percent [95 % interval]"
    return "\n".join(
        [
            wrapped(title),
            *aligned([attribute, "positives", *heads], rows, foot),
            *map(wrapped, dict.fromkeys(notes)),
        ]
    )


def _all(record: RunRecord, attribute: str | None) -> str:
    fpr = words.asked(record.fpr)
    heads = ["model", "all positives", *([f"worst group by {attribute}"] if attribute else [])]
    rows = []
    for name in ordered_models(record):
        model = record.models[name]
        row = [short(model.title), _missed(model.detection.tpr_at_fpr)]
        if attribute:
            worst = worst_of(model, attribute, AT_FPR)
            row.append(f"{short(worst['group'] or '–')}  {_missed(worst['tpr'])}")
        rows.append(row)
    return "\n".join([f"Missed at {fpr} FPR, all models, percent", *aligned(heads, rows, [])])


def _missed(tpr: Rate) -> str:
    return number(tpr.complement, 100, 1)


def _worst(model: ModelRecord, attribute: str, point: str) -> str:
    group = worst_of(model, attribute, point)["group"]
    return short(group, 18) if group else "undefined"
