"""From the records of runs to the numbers of a sweep: each run's, and their means over seeds."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from equipoise.rate import Rate
from equipoise.report.debias.record import ModelRecord, RunRecord
from equipoise.report.sweep.record import (
    SweepRecord,
    SweptModel,
    SweptPoint,
    SweptRun,
    SweptSampling,
    SweptWeights,
)
from equipoise.run.sweep.grid import Point
from equipoise.sharing import shareable
from equipoise.shown import csv_text

__all__ = ["over_seeds", "rarest_groups", "summary", "sweep_csv", "swept_run", "t_975"]

# 97.5th percentiles of Student's t with 1, 2, … degrees of freedom
T_975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)


def t_975(degrees: int) -> float:
    """97.5th percentile of Student's t; beyond the table by Cornish and Fisher's expansion, right to 4 digits."""
    if degrees <= len(T_975):
        return T_975[degrees - 1]
    z = statistics.NormalDist().inv_cdf(0.975)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return math.fsum(term / degrees**power for power, term in enumerate(terms))


def over_seeds(rates: Sequence[Rate], *, most: float = math.inf) -> Rate:
    """Mean over runs that differ in the seed, with a 95 % t-interval cut to what the number can be.

    Args:
        rates: One number a run; their own intervals, over images, are not used.
        most: Largest value that the number can have; the smallest is 0.

    Returns:
        The mean; `n` counts runs. One run has no interval.

    Undefined: if it is undefined in any run, or there is none.

    Example:
        >>> over_seeds([Rate(value, 0, 1, 90) for value in (0.1, 0.2, 0.3)])
        0.200 [0.000, 0.448] (n=3)
    """
    missing = [rate for rate in rates if not rate.defined]
    if not rates or missing:
        reason = (
            f"undefined in {len(missing)} of {len(rates)} runs: {missing[0].reason}" if missing else "no run"
        )
        return Rate.undefined(reason, len(rates))
    values = [rate.value for rate in rates]
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Rate(mean, math.nan, math.nan, 1)
    half = t_975(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Rate(mean, max(0.0, mean - half), min(most, mean + half), len(values))


def swept_run(point: Point, folder: str, record: RunRecord | None, error: str | None) -> SweptRun:
    """What a sweep keeps of one run; None as record if it failed."""
    models = {} if record is None else {name: _model(one) for name, one in record.models.items()}
    sampling = None
    if record is not None and record.resampling is not None:
        found = record.resampling
        meant = found.meant
        sampling = SweptSampling(
            *(_known(found.ess), _known(found.max_weight), found.natural_share, found.enrichment),
            None
            if meant is None
            else SweptWeights(_known(meant.ess), _known(meant.max_weight), meant.enrichment),
        )
    return SweptRun(
        number=point.number,
        values=dict(point.values),
        seed=point.seed,
        folder=folder,
        error=error,
        seconds=None if record is None else record.timing.wall_s,
        models=models,
        sampling=sampling,
    )


def _model(record: ModelRecord) -> SweptModel:
    numbers = record.detection
    worst = {attribute: points["at_fpr"] for attribute, points in numbers.worst_group.items()}
    return SweptModel(
        title=record.title,
        miss=numbers.fnr_at_fpr,
        accuracy=numbers.accuracy,
        worst_group={attribute: one["group"] for attribute, one in worst.items()},
        worst_miss={attribute: one["tpr"].complement for attribute, one in worst.items()},
        variance={attribute: points["at_fpr"] for attribute, points in numbers.variance.items()},
    )


def summary(runs: Sequence[SweptRun]) -> list[SweptPoint]:
    """Runs that differ in nothing but the seed, put together, in the order of the grid."""
    points: dict[tuple[str, ...], list[SweptRun]] = {}
    for run in runs:
        points.setdefault(tuple(run.values.values()), []).append(run)
    return [_point(of_one) for of_one in points.values()]


def _point(runs: Sequence[SweptRun]) -> SweptPoint:
    finished = [run for run in runs if run.error is None]
    names = dict.fromkeys(name for run in finished for name in run.models)
    sampled = [run.sampling for run in finished if run.sampling is not None]
    return SweptPoint(
        values=runs[0].values,
        seeds=[run.seed for run in finished],
        failed=len(runs) - len(finished),
        models={
            name: _mean_model([run.models[name] for run in finished if name in run.models]) for name in names
        },
        sampling=_mean_sampling(sampled) if sampled else None,
    )


def _mean_model(models: Sequence[SweptModel]) -> SweptModel:
    def each(pick: Callable[[SweptModel], Mapping[str, Rate]], most: float) -> dict[str, Rate]:
        found = [pick(model) for model in models]
        keys = dict.fromkeys(key for one in found for key in one)
        return {key: over_seeds([one.get(key, _none()) for one in found], most=most) for key in keys}

    worst: dict[str, Counter[str | None]] = {}
    for model in models:
        for attribute, group in model.worst_group.items():
            worst.setdefault(attribute, Counter())[group] += 1
    return SweptModel(
        title=models[0].title,
        miss=over_seeds([model.miss for model in models], most=1.0),
        accuracy=over_seeds([model.accuracy for model in models], most=1.0),
        worst_group={attribute: counts.most_common(1)[0][0] for attribute, counts in worst.items()},
        worst_miss=each(lambda model: model.worst_miss, 1.0),
        variance=each(lambda model: model.variance, math.inf),
    )


def _mean_sampling(found: Sequence[SweptSampling]) -> SweptSampling:
    shares = _by_group([one.natural_share for one in found])
    asked = [one.meant for one in found if one.meant is not None]
    return SweptSampling(
        ess=over_seeds([one.ess for one in found], most=1.0),
        max_weight=over_seeds([one.max_weight for one in found]),
        natural_share={
            attribute: {
                group: statistics.fmean(0.0 if v is None else v for v in values)
                for group, values in of.items()
            }
            for attribute, of in shares.items()
        },
        enrichment=_mean_enrichment([one.enrichment for one in found]),
        meant=None
        if len(asked) < len(found)
        else SweptWeights(
            over_seeds([one.ess for one in asked], most=1.0),
            over_seeds([one.max_weight for one in asked]),
            _mean_enrichment([one.enrichment for one in asked]),
        ),
    )


def _mean_enrichment(found: Sequence[Mapping[str, Mapping[str, Rate]]]) -> dict[str, dict[str, Rate]]:
    return {
        attribute: {
            group: over_seeds([_none() if v is None else v for v in values]) for group, values in of.items()
        }
        for attribute, of in _by_group(found).items()
    }


def _by_group(found: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, list[Any]]]:
    """attribute → group → one value a run, None where a run does not have the group."""
    keys = dict.fromkeys((attribute, group) for one in found for attribute in one for group in one[attribute])
    whole: dict[str, dict[str, list[Any]]] = {}
    for attribute, group in keys:
        whole.setdefault(attribute, {})[group] = [one.get(attribute, {}).get(group) for one in found]
    return whole


def rarest_groups(runs: Sequence[SweptRun]) -> dict[str, str]:
    """attribute → the group with the smallest share of the training positives; of equal ones the least enriched."""
    sampled = [run.sampling for run in runs if run.sampling is not None]
    if not sampled:
        return {}
    mean = _mean_sampling(sampled)

    def rank(attribute: str, group: str) -> tuple[float, float, str]:
        enriched = mean.enrichment[attribute][group]
        share = round(mean.natural_share[attribute][group], 3)
        return share, enriched.value if enriched.defined else math.inf, group

    return {
        attribute: min(groups, key=lambda group: rank(attribute, group))
        for attribute, groups in mean.enrichment.items()
        if groups
    }


def sweep_csv(record: SweepRecord) -> str:
    """One row a run; rates are shares, what is undefined or failed is empty."""
    rows = [_row(record, run) for run in shareable(record).runs]
    columns = dict.fromkeys(column for row in rows for column in row)
    return csv_text(list(columns), [[row.get(column) for column in columns] for row in rows])


def _row(record: SweepRecord, run: SweptRun) -> dict[str, Any]:
    row: dict[str, Any] = {"number": run.number, **run.values, "seed": run.seed, "folder": run.folder}
    row |= {"seconds": run.seconds, "error": run.error}
    for name, model in run.models.items():
        row |= {f"{name}: missed": _cell(model.miss), f"{name}: accuracy": _cell(model.accuracy)}
        for attribute in record.attributes:
            if attribute in model.worst_miss:
                row[f"{name}: worst group by {attribute}"] = model.worst_group[attribute]
                row[f"{name}: worst group missed by {attribute}"] = _cell(model.worst_miss[attribute])
                row[f"{name}: variance by {attribute}"] = _cell(model.variance[attribute])
    if run.sampling is not None:
        row |= {"ess": run.sampling.ess.value, "largest weight": run.sampling.max_weight.value}
        if run.sampling.meant is not None:
            row |= {"ess asked": run.sampling.meant.ess.value}
            row |= {"largest weight asked": run.sampling.meant.max_weight.value}
        for attribute, groups in run.sampling.enrichment.items():
            row |= {f"enrichment of {attribute}={group}": _cell(rate) for group, rate in groups.items()}
    return row


def _cell(rate: Rate) -> float | None:
    return rate.value if rate.defined else None


def _known(value: float) -> Rate:
    return Rate(value, math.nan, math.nan, 1)


def _none() -> Rate:
    return Rate.undefined("not there")
