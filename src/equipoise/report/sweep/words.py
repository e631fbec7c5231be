"""What the numbers of a sweep say, in words that claim no more than the intervals allow."""

from __future__ import annotations

import math
from collections.abc import Sequence

from equipoise.rate import Rate
from equipoise.report.parts import words
from equipoise.report.parts.terminal import aligned, blocks, number, short, wrapped
from equipoise.report.parts.words import ABSENT
from equipoise.report.sweep.record import SweepRecord, SweptModel, SweptPoint

__all__ = [
    "CHOOSING",
    "LEAD",
    "PLAIN",
    "SWEEP_LIMITS",
    "not_followed",
    "others",
    "point_name",
    "sweep_headline",
    "sweep_text",
]

PLAIN, LEAD = "plain", "debiased"
NEARLY_ALL = 0.95  # where the fewest misses are more, they tell values apart no longer
MOVED = "threshold-only"  # at the matched rate it is the plain network
CHOOSING = (
    "Values are compared on the test images. Whoever chooses one by these numbers has used the test images to choose, "
    "and the chosen value’s numbers are optimistic: measure it again on images that played no part."
)
SWEEP_LIMITS = (
    "That a system is fair. Unequal error is one harm that can be counted; a lower number here is no proof.",
    "That the best value is the best. Of several equal values one is lowest by luck, and was found on the test images.",
    "That a value suits other data. How strongly to resample depends on what is rare there, and how rare.",
    "What chance in the test images does. Intervals here are over seeds alone; each run’s own report has those over "
    "images.",
    "That a difference whose interval is narrow will stay. Three seeds say little about the spread, and the t-interval "
    "takes for granted that runs are spread normally; it is cut where a share ends, at 0 and 100 %.",
    "Anything about a number that is undefined, or about a run that failed. Nothing was measured there.",
)


def point_name(point: SweptPoint) -> str:
    """The values of a point: "0.1", or with several settings "0.1, max"."""
    return ", ".join(point.values.values()) or "as it is"


def sweep_headline(record: SweepRecord) -> tuple[str, list[str]]:
    """The title of a sweep, and what it found, sentence by sentence."""
    failed = sum(run.error is not None for run in record.runs)
    done = len(record.runs) - failed
    sentences = [
        f"{len(record.points)} {'point' if len(record.points) == 1 else 'points'}, {len(record.seeds)} "
        f"{'seed' if len(record.seeds) == 1 else 'seeds'}; {done} of {len(record.runs)} runs finished"
        + (f", {failed} failed." if failed else ".")
    ]
    subjects: Sequence[str | None] = record.attributes[:1] or [None]
    sentences += [sentence for attribute in subjects for sentence in _found(record, attribute)]
    if len(record.seeds) == 1:
        sentences.append("One seed: no interval, and any difference may be chance in training.")
    return _title(record, subjects[0]), sentences


def _known(record: SweepRecord, attribute: str | None) -> list[tuple[SweptPoint, Rate]]:
    """Points whose misses are defined, and these."""
    found = [(point, missed(point.models.get(LEAD), attribute)) for point in record.points]
    return [(point, rate) for point, rate in found if rate.defined]


def _title(record: SweepRecord, attribute: str | None) -> str:
    """What the values do to misses, as far as seeds tell it."""
    varied = " and ".join(record.vary)
    if not varied:
        return "What changes from seed to seed"
    known = _known(record, attribute)
    if len(known) < 2:
        return f"What changes with {varied}"
    best, least = min(known, key=lambda one: one[1].value)
    if all(rate.value == least.value for _, rate in known):
        return f"Misses are the same at every {varied}"
    if math.isnan(least.high):
        return f"Fewest misses with {varied} at {point_name(best)}, from one run each"
    above = sum(rate.low > least.high for point, rate in known if point is not best)
    if not above:
        return f"No measurable difference by {varied}"
    many = len(known) - 1
    rest = f"{above} of the other {many}" if above < many else "all others" if many > 1 else "the other"
    return f"Fewer misses with {varied} at {point_name(best)} than at {rest}"


def missed(model: SweptModel | None, attribute: str | None) -> Rate:
    """Share missed of the worst group of an attribute; without one, of all positives."""
    if model is None:
        return ABSENT
    return model.miss if attribute is None else model.worst_miss.get(attribute, ABSENT)


def _found(record: SweepRecord, attribute: str | None) -> list[str]:
    who = "of all positives" if attribute is None else f"in the worst group by {attribute}"
    known = _known(record, attribute)
    if not known:
        return [f"Nothing is known about misses {who}."]
    best, least = min(known, key=lambda one: one[1].value)
    rate = missed(best.models.get(PLAIN), attribute)
    plain = [f"The plain network, not resampled, misses {_percent(rate)}."] if rate.defined else []
    if least.value > NEARLY_ALL:
        plain.append(
            f"Nearly all of them are missed at {words.asked(record.fpr)} FPR whatever the value, so misses tell little "
            "here; accuracy at threshold 0.5 stands beside them."
        )
    said = [
        f"Fewest misses {who} at {words.asked(record.fpr)} FPR: {_percent(least)}"
        + (f" at {point_name(best)}." if record.vary else ".")
    ]
    if len(known) > 1:
        most = max(reversed(known), key=lambda one: one[1].value)
        if most[1].value == least.value:
            return [
                f"Misses {who} at {words.asked(record.fpr)} FPR are the same everywhere: {_percent(least)}.",
                *plain,
            ]
        said[0] = f"{said[0][:-1]}; most: {_percent(most[1])} at {point_name(most[0])}."
        above = sum(rate.low > least.high for point, rate in known if point is not best)
        if not math.isnan(least.high):
            said.append(
                f"The interval of the lowest lies below those of {above} of the other {len(known) - 1}."
                if above
                else "Its interval meets those of all others: this sweep does not show that the value matters."
            )
    return [*said, *plain]


def _percent(rate: Rate) -> str:
    ends = words.interval(rate)
    return words.percent(rate.value) + (f" ({ends})" if ends else "")


def others(record: SweepRecord) -> list[tuple[str, SweptModel]]:
    """The models that are not resampled, each once where it is the same at every point, else point by point."""
    names = dict.fromkeys(
        name for point in record.points for name in point.models if name not in (LEAD, MOVED)
    )
    found = []
    for name in names:
        models = [(point, point.models[name]) for point in record.points if name in point.models]
        if all(_same(model, models[0][1]) for _, model in models):
            found.append((models[0][1].title, models[0][1]))
        else:
            found += [(f"{model.title}, at {point_name(point)}", model) for point, model in models]
    return found


def _same(one: SweptModel, other: SweptModel) -> bool:
    return repr(one) == repr(other)  # NaN ends of intervals are equal here


def sweep_text(record: SweepRecord) -> str:
    """The table for the terminal: a row a point, means and intervals over seeds."""
    title, sentences = sweep_headline(record)
    attribute = next(iter(record.attributes), None)
    parts = ["\n".join(wrapped(line) for line in (f"{title}.", *sentences)), _table(record, attribute)]
    if len(record.attributes) > 1:
        parts.append(wrapped(f"By {', '.join(record.attributes[1:])}: see the report."))
    failed = [run for run in record.runs if run.error is not None]
    if failed:
        lines = (f"{_run_name(run.values, run.seed)}: {run.error}" for run in failed)
        parts.append("\n".join(["Failed; the same command tries again:", *map(wrapped, lines)]))
    last = [CHOOSING, *filter(None, [not_followed(record)])]
    if attribute is not None:
        last.append(f"Groups by {attribute} are annotations, used to measure unequal error.")
    return blocks([*parts, "\n".join(map(wrapped, last))])


def _run_name(values: dict[str, str], seed: int) -> str:
    return ", ".join(f"{key}={value}" for key, value in {**values, "seed": seed}.items())


def not_followed(record: SweepRecord) -> str:
    """Where batches draw something else than the weights ask for; empty if nowhere."""
    told = []
    for point in record.points:
        made = point.sampling
        if made is None or made.meant is None or not (made.ess.defined and made.meant.ess.defined):
            continue
        if abs(made.ess.value - made.meant.ess.value) > 0.02 * made.ess.value:
            named = ", ".join(f"{key}={value}" for key, value in point.values.items()) or "as it is"
            told.append(f"{named}: {made.ess.value:.2f} ({made.meant.ess.value:.2f} was asked)")
    if not told:
        return ""
    return (
        "A batch holds an image once at most, so it cannot follow all weights. Effective sample size drawn: "
        f"{'; '.join(told)}. Smaller batches follow further."
    )


def _table(record: SweepRecord, attribute: str | None) -> str:
    """Two lines a row: means, and below them their intervals."""
    rarest = record.rarest.get(attribute or "")
    heads = [*(record.vary or {"point": []})]
    heads += [*(["worst group: missed, %"] if attribute else []), "all: missed, %"]
    heads += [*(["variance: percent²"] if attribute else []), "accuracy: %"]
    heads += ["effective: sample size", "largest: weight"]
    heads += [*([f"{short(rarest, 18)}: drawn, ×"] if rarest else []), "runs"]
    blank = [""] * (max(len(record.vary), 1) - 1)

    def lines(
        names: Sequence[str], model: SweptModel | None, sampled: Sequence[str], runs: str
    ) -> list[list[str]]:
        variance = model.variance.get(attribute) if model and attribute else None
        cells = [
            *([number(missed(model, attribute), 100, 1)] if attribute else []),
            number(missed(model, None), 100, 1),
            *([number(variance, 1, 1)] if attribute else []),
            number(model.accuracy if model else None, 100, 1),
            *sampled,
        ]
        parts = [cell.partition(" ") for cell in cells]
        means, ends = [part[0] for part in parts], [part[2] for part in parts]
        return [[*names, *means, runs], *([["", *blank, *ends, ""]] if any(ends) else [])]

    rows, foot = [], []
    for point in record.points:
        found = point.sampling
        drawn = found.enrichment.get(attribute or "", {}).get(rarest or "") if found else None
        sampled = [
            number(found.ess if found else None, 1, 2),
            number(found.max_weight if found else None, 1, 1),
        ]
        done = len(point.seeds)
        rows += lines(
            [short(value) for value in point.values.values()] or ["as it is"],
            point.models.get(LEAD),
            [*sampled, *([number(drawn, 1, 2)] if rarest else [])],
            f"{done} of {done + point.failed}" if point.failed else str(done),
        )
    for title, model in others(record):
        foot += lines([short(title), *blank], model, ["–"] * (3 if rarest else 2), "")
    who = f", groups by {attribute}" if attribute else ""
    title = f"Means over seeds [95 % interval]; missed at {words.asked(record.fpr)} FPR{who}"
    return "\n".join([wrapped(title), *aligned(heads, rows, foot)])
