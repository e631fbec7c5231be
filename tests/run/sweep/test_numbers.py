"""Known answers on made runs."""

import csv
import io
import math
from dataclasses import replace

import pytest

from equipoise.rate import Rate
from equipoise.report import sweep_html, sweep_text
from equipoise.report.sweep.record import SweepRecord, SweptModel, SweptRun, SweptSampling, SweptWeights
from equipoise.report.sweep.words import not_followed
from equipoise.run.sweep.numbers import over_seeds, rarest_groups, summary, sweep_csv, t_975


def exact(value):
    return Rate(value, math.nan, math.nan, 50)


def run(number, value, seed, *, miss=0.1, worst=0.3, group="dark", drawn=0.8, error=None):
    model = SweptModel(
        *("debiased", exact(miss), exact(0.9)),
        worst_group={"skin": group},
        worst_miss={"skin": Rate.undefined("no positives") if worst is None else exact(worst)},
        variance={"skin": exact(12.0)},
    )
    sampling = SweptSampling(
        *(exact(0.4), exact(7.0)),
        natural_share={"skin": {"dark": 0.1, "light": 0.9}},
        enrichment={"skin": {"dark": exact(drawn), "light": exact(1.0)}},
    )
    return SweptRun(
        *(number, {"resampling.smoothing": value}, seed, f"points/{number:03}", error),
        seconds=None if error else 3.0,
        models={} if error else {"debiased": model},
        sampling=None if error else sampling,
    )


def test_students_t_is_that_of_scipy():
    scipy = pytest.importorskip("scipy.stats")
    for degrees in (1, 2, 4, 9, 10, 15, 30, 200):
        assert t_975(degrees) == pytest.approx(scipy.t.ppf(0.975, degrees), rel=1e-4)


def test_a_mean_over_seeds_has_a_t_interval():
    rate = over_seeds([exact(value) for value in (10.0, 12.0, 14.0)])
    assert (rate.value, rate.n) == (12, 3)
    half = 4.3027 * 2 / math.sqrt(3)
    assert (rate.low, rate.high) == pytest.approx((12 - half, 12 + half))


def test_a_mean_of_shares_stays_a_share():
    rate = over_seeds([exact(0.02), exact(0.5), exact(0.98)], most=1.0)
    assert (rate.low, rate.high) == (0, 1)


def test_one_run_has_no_interval_and_none_no_number():
    one = over_seeds([exact(0.2)])
    assert one.value == 0.2
    assert math.isnan(one.low)
    assert over_seeds([]).reason == "no run"


def test_undefined_in_one_run_is_undefined_and_says_so():
    rate = over_seeds([exact(0.2), Rate.undefined("no positives")])
    assert rate.reason == "undefined in 1 of 2 runs: no positives"


def test_runs_that_differ_in_the_seed_alone_are_one_point():
    runs = [
        run(1, "0.1", 0, miss=0.1, worst=0.2, drawn=0.7),
        run(2, "0.1", 1, miss=0.2, worst=0.4, drawn=0.9, group="light"),
        run(3, "0.1", 2, error="The loss is not finite."),
        run(4, "0.01", 0),
        run(5, "0.01", 1, worst=None),
    ]
    first, second = summary(runs)
    assert first.values == {"resampling.smoothing": "0.1"}
    assert (first.seeds, first.failed) == ([0, 1], 1)
    assert first.models["debiased"].miss.value == pytest.approx(0.15)
    assert first.models["debiased"].worst_miss["skin"].value == pytest.approx(0.3)
    assert first.sampling.enrichment["skin"]["dark"].value == pytest.approx(0.8)
    assert first.sampling.ess.n == 2
    assert not second.models["debiased"].worst_miss["skin"].defined
    assert rarest_groups(runs) == {"skin": "dark"}


def test_what_was_asked_stands_beside_what_was_drawn():
    runs = []
    for seed, (asked, larger) in enumerate(((0.2, 9.0), (0.3, 7.0))):
        meant = SweptWeights(exact(asked), exact(larger), {"skin": {"dark": exact(2.0 + seed)}})
        one = run(seed + 1, "0.1", seed)
        runs.append(replace(one, sampling=replace(one.sampling, meant=meant)))
    (point,) = summary(runs)
    assert point.sampling.meant.ess.value == pytest.approx(0.25)
    assert point.sampling.meant.max_weight.value == pytest.approx(8.0)
    assert point.sampling.meant.enrichment["skin"]["dark"].value == pytest.approx(2.5)
    assert point.sampling.ess.value == pytest.approx(0.4)
    parts = ("equipoise sweep", {}, {}, {"resampling.smoothing": ["0.1"]}, [0, 1], 0.01, ["skin"])
    record = SweepRecord(*parts, rarest={"skin": "dark"}, runs=runs, points=[point])
    (first, _) = csv.DictReader(io.StringIO(sweep_csv(record)))
    assert (first["ess"], first["ess asked"], first["largest weight asked"]) == ("0.4", "0.2", "9.0")
    said = "resampling.smoothing=0.1: 0.40 (0.25 was asked)"
    assert said in not_followed(record)
    assert said in " ".join(sweep_text(record).split())
    assert said in sweep_html(record)
    follows = replace(point.sampling, meant=replace(point.sampling.meant, ess=exact(0.401)))
    assert not_followed(replace(record, points=[replace(point, sampling=follows)])) == ""


def test_a_point_whose_runs_all_failed_keeps_its_place():
    (point,) = summary([run(1, "0.1", 0, error="no"), run(2, "0.1", 1, error="no")])
    assert (point.seeds, point.failed, point.models, point.sampling) == ([], 2, {}, None)


def test_the_csv_has_a_row_a_run():
    runs = [run(1, "0.1", 0), run(2, "0.1", 1, worst=None), run(3, "0.01", 0, error="went wrong")]
    record = SweepRecord(
        *("equipoise sweep", {}, {}, {"resampling.smoothing": ["0.1", "0.01"]}, [0, 1], 0.01, ["skin"]),
        rarest={"skin": "dark"},
        runs=runs,
        points=summary(runs),
    )
    rows = list(csv.DictReader(io.StringIO(sweep_csv(record))))
    assert [row["resampling.smoothing"] for row in rows] == ["0.1", "0.1", "0.01"]
    assert rows[0]["debiased: worst group missed by skin"] == "0.3"
    assert rows[0]["enrichment of skin=dark"] == "0.8"
    assert rows[1]["debiased: worst group missed by skin"] == ""
    assert rows[2]["error"] == "went wrong"
    assert rows[2]["debiased: missed"] == ""


def test_the_csv_runs_no_formula_and_holds_no_place():
    runs = [
        run(1, "=cmd()", 0, group="+1|x", error="Expected pictures in /srv/someone/faces; got none."),
        run(2, "-0.5", 1, group="@dark"),
    ]
    record = SweepRecord(
        *("equipoise sweep", {}, {}, {"resampling.smoothing": ["=cmd()", "-0.5"]}, [0, 1], 0.01, ["skin"]),
        rarest={"skin": "@dark"},
        runs=runs,
        points=summary(runs),
    )
    rows = list(csv.DictReader(io.StringIO(sweep_csv(record))))
    assert [row["resampling.smoothing"] for row in rows] == ["'=cmd()", "-0.5"]
    assert rows[1]["debiased: worst group by skin"] == "'@dark"
    assert rows[0]["error"] == "Expected pictures in …/faces; got none."
