"""`Table`: group numbers as rows of text, ready for a terminal or for HTML; no rendering here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from equipoise.errors import InputError
from equipoise.fairness.evaluation import SMALL, Evaluation, GroupNumbers
from equipoise.fairness.operating import AT_FPR, AT_THRESHOLD
from equipoise.rate import Rate

__all__ = ["Measure", "Table", "all_measures", "percent", "side_by_side"]

Measure = Literal["tpr", "fnr", "tpr_at_fpr", "fnr_at_fpr", "auroc", "mean_probability", "fpr", "accuracy"]
_WORDS: dict[str, str] = {
    "tpr": "found at {threshold:.3g}",
    "fnr": "missed at {threshold:.3g}",
    "tpr_at_fpr": "found at {fpr:.3g} % FPR",
    "fnr_at_fpr": "missed at {fpr:.3g} % FPR",
    "auroc": "AUROC",
    "mean_probability": "mean probability",
    "fpr": "false positives at {threshold:.3g}",
    "accuracy": "accuracy at {threshold:.3g}",
}


@dataclass(frozen=True)
class Table:
    """Rows of text under column names.

    Args:
        title: What the table says.
        columns: Column names, the first being the groups.
        rows: One tuple of texts a row, as long as `columns`: the groups, then what sums them up.
        notes: Sentences that belong under the table: small groups, what could not be compared.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The table as aligned plain text."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        body = [
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join(
            [self.title, "", body[0], rule, *body[1:], *(["", *self.notes] if self.notes else [])]
        )


def percent(rate: Rate) -> str:
    """A rate in percent with its interval; an undefined one says why.

    Example:
        >>> percent(Rate(0.9, 0.85, 0.94, 120)), percent(Rate.undefined("no positives"))
        ('90.0 % [85.0, 94.0]', 'undefined: no positives')
    """
    if rate.reason is not None:
        return f"undefined: {rate.reason}"
    return f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def side_by_side(
    evaluations: Mapping[str, Evaluation], attribute: str, measure: Measure = "fnr_at_fpr"
) -> Table:
    """One number of each group, model beside model, and under it the total, the worst group, gap and variance.

    Args:
        evaluations: model → its evaluation, all of the same images.
        attribute: One of the attributes evaluated.
        measure: Which number; its worst group, gap and variance only where TPR or miss rate is asked for.

    Raises:
        InputError: if there is no model, or one lacks the attribute.
    """
    first = _first(evaluations, attribute, measure)
    models = list(evaluations.values())
    groups = first.groups[attribute]
    rows = [
        (
            _name(name, numbers),
            str(_images(numbers, measure)),
            *(_cell(_number(m, attribute, name, measure), measure) for m in models),
        )
        for name, numbers in groups.items()
    ]
    rows.append(("all", str(_total(first, measure)), *(_cell(getattr(m, measure), measure) for m in models)))
    point = {"tpr": AT_THRESHOLD, "fnr": AT_THRESHOLD, "tpr_at_fpr": AT_FPR, "fnr_at_fpr": AT_FPR}.get(
        measure
    )
    if point:
        rows.append(("worst group", "", *(_worst(m, attribute, point, measure) for m in models)))
        rows.append(("gap", "", *(_points(m.gap[attribute][point]) for m in models)))
        rows.append(("variance (percent²)", "", *(_squared(m.variance[attribute][point]) for m in models)))
    return Table(
        f"{attribute}: {_title(first, measure)}, with 95 % intervals",
        (attribute, "n", *evaluations),
        tuple(rows),
        _notes(first, attribute),
    )


def all_measures(evaluation: Evaluation, attribute: str) -> Table:
    """All numbers of each group under one model.

    Raises:
        InputError: if the attribute was not evaluated.
    """
    measures: tuple[Measure, ...] = ("tpr", "tpr_at_fpr", "auroc", "mean_probability")
    _first({"the model": evaluation}, attribute, "tpr")
    rows = [
        (_name(name, numbers), str(numbers.tpr.n), *(_cell(getattr(numbers, m), m) for m in measures))
        for name, numbers in evaluation.groups[attribute].items()
    ]
    rows.append(("all", str(evaluation.positives), *(_cell(getattr(evaluation, m), m) for m in measures)))
    pairs = [(AT_THRESHOLD, "tpr"), (AT_FPR, "tpr_at_fpr")]
    rows += [
        ("worst group", "", *(_worst(evaluation, attribute, point, m) for point, m in pairs), "", ""),
        ("gap", "", *(_points(evaluation.gap[attribute][point]) for point, _ in pairs), "", ""),
        (
            "variance (percent²)",
            "",
            *(_squared(evaluation.variance[attribute][point]) for point, _ in pairs),
            "",
            "",
        ),
    ]
    columns = (attribute, "positives", *(_title(evaluation, m) for m in measures))
    return Table(f"{attribute}, with 95 % intervals", columns, tuple(rows), _notes(evaluation, attribute))


def _first(evaluations: Mapping[str, Evaluation], attribute: str, measure: str) -> Evaluation:
    if measure not in _WORDS:
        raise InputError(f"A table shows one of {sorted(_WORDS)}; got {measure!r}. Choose one of them.")
    lacking = [name for name, evaluation in evaluations.items() if attribute not in evaluation.groups]
    if not evaluations or lacking:
        raise InputError(
            f"Every model of a table must be evaluated by {attribute!r}, and there must be one; got "
            f"{len(evaluations)} models, without it: {lacking}. Pass the same groups to every evaluation."
        )
    return next(iter(evaluations.values()))


def _number(evaluation: Evaluation, attribute: str, group: str, measure: str) -> Rate:
    numbers = evaluation.groups[attribute].get(group)
    if numbers is None:
        return Rate.undefined("not evaluated")
    rate: Rate = getattr(numbers, measure)
    return rate


def _images(numbers: GroupNumbers, measure: str) -> int:
    return numbers.n if measure == "accuracy" else numbers.fpr.n if measure == "fpr" else numbers.tpr.n


def _total(evaluation: Evaluation, measure: str) -> int:
    if measure == "accuracy":
        return evaluation.n
    return evaluation.negatives if measure == "fpr" else evaluation.positives


def _cell(rate: Rate, measure: str) -> str:
    if rate.defined and measure in ("auroc", "mean_probability"):
        return f"{rate.value:.3f} [{rate.low:.3f}, {rate.high:.3f}]"
    return percent(rate)


def _worst(evaluation: Evaluation, attribute: str, point: str, measure: str) -> str:
    worst = evaluation.worst_group[attribute][point]
    rate = worst["tpr"].complement if measure.startswith("fnr") else worst["tpr"]
    return f"{worst['group']}: {percent(rate)}" if worst["group"] is not None else percent(rate)


def _points(rate: Rate) -> str:
    if not rate.defined:
        return percent(rate)
    return f"{100 * rate.value:.1f} points [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _squared(rate: Rate) -> str:
    return percent(rate) if not rate.defined else f"{rate.value:.2f} [{rate.low:.2f}, {rate.high:.2f}]"


def _title(evaluation: Evaluation, measure: str) -> str:
    return _WORDS[measure].format(threshold=evaluation.threshold, fpr=100 * evaluation.fpr_asked)


def _name(name: str, numbers: GroupNumbers) -> str:
    return f"{name} *" if numbers.small else name


def _notes(evaluation: Evaluation, attribute: str) -> tuple[str, ...]:
    notes = []
    if any(numbers.small for numbers in evaluation.groups[attribute].values()):
        notes.append(f"* fewer than {SMALL} positives: too few to say much.")
    if evaluation.not_compared[attribute]:
        left_out = ", ".join(evaluation.not_compared[attribute])
        notes.append(f"Not compared, no positives: {left_out}.")
    achieved = evaluation.fpr_achieved
    if achieved.defined and achieved.value < 0.9 * evaluation.fpr_asked:
        notes.append(
            f"Of {achieved.n} negatives, {100 * achieved.value:.3g} % lie above the threshold matched to "
            f"{100 * evaluation.fpr_asked:.3g} %: too few or tied to come nearer."
        )
    return tuple(notes)
