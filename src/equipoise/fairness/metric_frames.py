"""Numbers by group in the shape of fairlearn's `MetricFrame`, out and in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from equipoise.errors import InputError
from equipoise.fairness.classes import ClassEvaluation
from equipoise.fairness.evaluation import Evaluation
from equipoise.groups import text_of
from equipoise.intervals import proportion
from equipoise.rate import Rate

__all__ = ["MetricTable", "from_metric_frame", "metric_frame"]

COUNT = "count"
OF_POSITIVES = ("tpr", "fnr", "tpr_at_fpr", "fnr_at_fpr", "auroc", "mean_probability")


@dataclass(frozen=True)
class MetricTable:
    """Metrics of groups as fairlearn's `MetricFrame` has them: undefined numbers are NaN, no number has an interval.

    Args:
        by_group: group → metric → number; a DataFrame with a row a group where pandas is installed.
        overall: metric → number of all images; a Series where pandas is installed.
        group_min: metric → smallest over the groups compared, likewise; `group_max` the largest.
        difference: metric → largest minus smallest; `ratio` smallest by largest.
    """

    by_group: Any
    overall: Any
    group_min: Any
    group_max: Any
    difference: Any
    ratio: Any


def metric_frame(evaluation: ClassEvaluation | Evaluation, attribute: str) -> MetricTable:
    """The numbers of one attribute in the shape of fairlearn's `MetricFrame`.

    Of a `ClassEvaluation`: accuracy, the recall of each class ("recall cat"), and count, the images. Of an
    `Evaluation`: its rates at the threshold and at the matched FPR, and count.

    Args:
        evaluation: What `evaluate_classes` or `evaluate` gave.
        attribute: One of its attributes. Groups that are not compared stand in `by_group` and in nothing else.

    Raises:
        InputError: if the attribute was not evaluated.
    """
    if attribute not in evaluation.groups:
        raise InputError(
            f"Expected an attribute that was evaluated, one of {list(evaluation.groups)}; got {attribute!r}. "
            "Choose one."
        )
    rows, overall = (
        _of_classes(evaluation, attribute)
        if isinstance(evaluation, ClassEvaluation)
        else _of_detection(evaluation, attribute)
    )
    left_out = evaluation.not_compared[attribute]
    found = {
        metric: [
            row[metric] for name, row in rows.items() if name not in left_out and row[metric] == row[metric]
        ]
        for metric in overall
    }
    nan = float("nan")
    lowest = {metric: min(values, default=nan) for metric, values in found.items()}
    highest = {metric: max(values, default=nan) for metric, values in found.items()}
    return MetricTable(
        _frame(rows, attribute),
        *map(
            _series,
            (
                overall,
                lowest,
                highest,
                {metric: highest[metric] - lowest[metric] for metric in overall},
                {metric: lowest[metric] / highest[metric] if highest[metric] else nan for metric in overall},
            ),
        ),
    )


_Rows = tuple[dict[str, dict[str, float]], dict[str, float]]


def _of_classes(evaluation: ClassEvaluation, attribute: str) -> _Rows:
    nothing = Rate.undefined("no images")
    rows = {
        name: {
            COUNT: float(numbers.n),
            "accuracy": numbers.accuracy.value,
            **{f"recall {one}": numbers.cells.get(one, nothing).value for one in evaluation.classes},
        }
        for name, numbers in evaluation.groups[attribute].items()
    }
    overall = {
        COUNT: float(evaluation.n),
        "accuracy": evaluation.accuracy.value,
        **{f"recall {name}": rate.value for name, rate in evaluation.recall.items()},
    }
    return rows, overall


def _of_detection(evaluation: Evaluation, attribute: str) -> _Rows:
    names = ("accuracy", "fpr", *OF_POSITIVES)
    rows = {
        group: {COUNT: float(numbers.n), **{name: getattr(numbers, name).value for name in names}}
        for group, numbers in evaluation.groups[attribute].items()
    }
    return rows, {COUNT: float(evaluation.n), **{name: getattr(evaluation, name).value for name in names}}


def _frame(rows: Mapping[str, Mapping[str, float]], attribute: str) -> Any:
    try:
        import pandas as pd
    except ImportError:
        return rows
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index=attribute)


def _series(values: Mapping[str, float]) -> Any:
    try:
        import pandas as pd
    except ImportError:
        return values
    return pd.Series(values, dtype=float)


def from_metric_frame(frame: Any, *, count: str = COUNT) -> dict[str, dict[str, Rate]]:
    """Rates with intervals from a fairlearn `MetricFrame`: metric → group → rate.

    Args:
        frame: A `MetricFrame`, or its `by_group` table, with a metric of counts (`fairlearn.metrics.count`). Each other
            metric must be a share of the rows that the counts are of, such as accuracy or a selection rate: a true
            positive rate is a share of the positives and needs a frame of the positives alone.
        count: Name of the metric of counts.

    Raises:
        InputError: if counts are missing or not whole, or a metric is not the share of some whole number of them.

    Undefined: rates of a group without rows.
    """
    table = getattr(frame, "by_group", frame)
    columns = {str(name): name for name in getattr(table, "columns", ())}
    if count not in columns or len(columns) < 2:
        raise InputError(
            f"Expected a frame with the number of rows of each group and at least one metric; got metrics "
            f"{list(columns)}, and counts under {count!r} are needed: without them nothing is known about doubt. Add "
            "`fairlearn.metrics.count` to the metrics of the MetricFrame."
        )
    groups = [_name(index) for index in table.index]
    counts = [_whole(value, group, count) for group, value in zip(groups, table[columns[count]], strict=True)]
    return {
        name: {
            group: _share(float(value), n, group, name)
            for group, n, value in zip(groups, counts, table[key], strict=True)
        }
        for name, key in columns.items()
        if name != count
    }


def _name(index: Any) -> str:
    parts = index if isinstance(index, tuple) else (index,)
    return " × ".join(text_of(part) or "(missing)" for part in parts)


def _whole(value: Any, group: str, count: str) -> int:
    number = float(value)
    if number != number:  # a combination of groups that has no rows
        return 0
    if number < 0 or number != int(number):
        raise InputError(
            f"Expected {count!r} to be the number of rows of each group; got {value} in {group!r}. Name the metric of "
            "counts with `count`."
        )
    return int(number)


def _share(value: float, n: int, group: str, metric: str) -> Rate:
    hits = round(value * n) if value == value else 0
    if n and not (0 <= value <= 1 and abs(value * n - hits) < 1e-6 * max(1, n)):
        raise InputError(
            f"Expected {metric!r} to be a share of the rows that were counted; got {value} of {n} rows in {group!r}, "
            "which no whole number of rows gives. Count the rows that the metric is a share of, for a true positive "
            "rate the positives."
        )
    return proportion(hits, n)
