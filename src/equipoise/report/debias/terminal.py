"""A run for the terminal: plain text, the same words as the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from equipoise.fairness.operating import AT_FPR, AT_THRESHOLD
from equipoise.rate import Rate
from equipoise.report.debias.class_terminal import class_blocks
from equipoise.report.debias.class_words import is_of_classes
from equipoise.report.debias.models import (
    POINTS,
    at,
    main_models,
    main_point,
    ordered_groups,
    ordered_models,
    points_of,
    rate_of,
    threshold_of,
    where,
    worst_of,
)
from equipoise.report.debias.record import ModelRecord, ResamplingRecord, RunRecord
from equipoise.report.debias.sampling_words import asked_for, counted_draws, follows, strength
from equipoise.report.debias.stage_words import stage_sentences
from equipoise.report.debias.words import headline, saturated
from equipoise.report.parts import words
from equipoise.report.parts.terminal import aligned, blocks, number, short, wrapped

__all__ = ["resampling_text", "text"]


def text(record: RunRecord) -> str:
    """What changed, in words; then misses by group for the plain and the debiased model, and for all models.

    Miss rates are in percent, with 95 % intervals in brackets; undefined ones say why.
    """
    if is_of_classes(record) and record.positive is None:
        stages = map(wrapped, stage_sentences(record))
        return blocks([_headline(record), *class_blocks(record), *stages])
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
    parts += map(wrapped, [*stage_sentences(record), saturated(record)])
    if record.resampling:
        parts.append(resampling_text(record.resampling))
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
    cut, points = threshold_of(record), points_of(record)
    columns = [_Column(model, point) for point in points for model in models]
    heads = [
        f"at {where(record, point).removeprefix('threshold ')}: {m.title}" for point in points for m in models
    ]
    title = f"Missed by {attribute}, percent [95 % interval]"
    if AT_FPR not in points:
        columns = [_Column(m, AT_THRESHOLD, key) for key in ("tpr", "mean_probability") for m in models]
        heads = [f"{what}: {m.title}" for what in (f"found at {cut}", "probability") for m in models]
        title = f"Found (accuracy), percent, and mean probability by {attribute} [95 % interval]"
    rows, notes = [], []
    for group in ordered_groups(record, attribute):
        found = [model.detection.groups.get(attribute, {}).get(group) for model in models]
        first = next((one for one in found if one is not None), None)
        small = " *" if first and first.small else ""
        rates = [rate_of(one.model, attribute, group, one.key or POINTS[one.point]) for one in columns]
        notes += [f"{group}: undefined, {rate.reason}." for rate in rates if not rate.defined]
        notes += ["* under 30 positives: too few to say much."] if small else []
        cells = (one.cell(rate) for one, rate in zip(columns, rates, strict=True))
        rows.append([short(group) + small, f"{first.positives:,}" if first else "–", *cells])
    return "\n".join(
        [
            wrapped(title),
            *aligned([attribute, "positives", *heads], rows, _foot(columns, attribute)),
            *map(wrapped, dict.fromkeys(notes)),
        ]
    )


@dataclass(frozen=True)
class _Column:
    """What a column shows of a model: misses at an operating point, or a number by its name."""

    model: ModelRecord
    point: str
    key: str = ""

    def cell(self, rate: Rate) -> str:
        if self.key == "mean_probability":
            return number(rate, 1, 3)
        return number(rate, 100, 1) if self.key else _missed(rate)


def _foot(columns: Sequence[_Column], attribute: str) -> list[list[str]]:
    """All positives, the worst group, and how far the groups lie apart, where a column is of shares."""

    def row(label: str, cell: Callable[[_Column], str]) -> list[str]:
        return [label, "", *("" if one.key == "mean_probability" else cell(one) for one in columns)]

    total = [one.cell(getattr(one.model.detection, one.key or POINTS[one.point])) for one in columns]
    return [
        ["all positives", "", *total],
        row("worst group", lambda one: _worst(one.model, attribute, one.point)),
        row("gap, points", lambda one: number(at(one.model.detection.gap, attribute, one.point), 100, 1)),
        row(
            "variance, percent²",
            lambda one: number(at(one.model.detection.variance, attribute, one.point), 1, 2),
        ),
    ]


def _all(record: RunRecord, attribute: str | None) -> str:
    point = main_point(record)
    heads = ["model", "all positives", *([f"worst group by {attribute}"] if attribute else [])]
    rows = []
    for name in ordered_models(record):
        model = record.models[name]
        row = [short(model.title), _missed(getattr(model.detection, POINTS[point]))]
        if attribute:
            worst = worst_of(model, attribute, point)
            row.append(f"{short(worst['group'] or '–')}  {_missed(worst['tpr'])}")
        rows.append(row)
    return "\n".join([f"Missed at {where(record, point)}, all models, percent", *aligned(heads, rows, [])])


def _missed(tpr: Rate) -> str:
    return number(tpr.complement, 100, 1)


def _worst(model: ModelRecord, attribute: str, point: str) -> str:
    group = worst_of(model, attribute, point)["group"]
    return short(group, 18) if group else "undefined"
