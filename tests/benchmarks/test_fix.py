import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import fix as bench
import render
from lines import Lines


def line(method, seed, worst, **setting):
    numbers = {"worst": worst, "mean": 80.0, "accuracy": 85.0, "processor_s": 1.5}
    if method == bench.CHOSEN:
        numbers["chosen"] = "mended errors"
    return {"method": method, "seed": seed, "setting": setting, "numbers": numbers}


@pytest.fixture
def lines():
    oracle = [
        line(bench.ORACLE, seed, worst, C=C) for C, worst in ((1e-4, 80.0), (1e-3, 70.0)) for seed in (0, 1)
    ]
    chosen = [line(bench.CHOSEN, 0, 72.0), line(bench.CHOSEN, 1, 76.0)]
    return [*chosen, *oracle, line("plain", 0, 40.0, C=1e-3)]


def test_the_worst_group_is_measured_and_the_mean_is_of_groups_not_of_pictures():
    side = SimpleNamespace(
        labels=np.array([0, 0, 0, 1]), groups=np.array([0, 0, 1, 2]), names=["a", "b", "c"]
    )
    found = bench.measured(np.array([-1.0, -1.0, 1.0, 1.0]), side)
    assert found["cells"] == {"a": 100.0, "b": 0.0, "c": 100.0}
    assert (found["worst"], found["accuracy"]) == (0.0, 75.0)
    assert found["mean"] == pytest.approx(200 / 3)


def test_the_share_is_of_the_oracle_at_its_best_strength_by_seed(lines):
    assert bench.oracle_by_seed(lines) == {0: 80.0, 1: 80.0}
    chosen = [one for one in lines if one["method"] == bench.CHOSEN]
    assert bench.share_of_oracle(lines, chosen)["values"] == [0.9, 0.95]
    assert bench.share_of_oracle(lines[:2], chosen) is None


def test_rows_that_were_told_groups_stand_below_those_that_were_not(lines):
    told = bench.table(lines)
    order = [
        told.index(word)
        for word in ("| plain (C 0.001) | 1 | 40.0", bench.KNOWN, "| groups equal (C 0.0001)")
    ]
    assert order == sorted(order)
    assert "74.0 [48.6, 99.4]" in told
    assert "mended errors (2 of 2 seeds)" in told


def test_every_fix_is_measured_at_every_setting_that_is_tried():
    runs = object.__new__(bench.Runs)
    runs.seed, runs.spuco = 0, None
    listed = [(method, setting) for method, setting, _ in bench.Runs.listed(runs)]
    for method, one in bench.FIXES.items():
        for setting in one.tried:
            assert (method, dict(setting)) in listed
    runs.spuco = Path("python")
    assert len(bench.Runs.listed(runs)) == len(listed) + 4


def test_the_page_has_b5_and_b6_as_their_lines_say():
    """Nobody wrote a number of these sections by hand."""
    page = (Path(render.HERE).parent / "docs" / "benchmarks.md").read_text()
    results = Path(render.HERE) / "results"
    for case in ("fix", "slices"):
        lines = Lines(results / f"{case}.jsonl", case, "").read()
        assert {one["case"] for one in lines} == {case}
        assert f"## {render.TITLES[case]}\n\n{render.case_module(case).table(lines).strip()}\n\n" in page
    found = render.goals(render.Results.of(results))
    for goal in found:
        if goal.what.startswith(("B5", "B6")):
            assert goal.row() in page
    assert sum(goal.what.startswith(("B5", "B6")) for goal in found) > 15
