import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import fine_tuned as bench
import fix


@pytest.fixture
def tuned(monkeypatch):
    """What is measured of a network that nobody trains."""
    found = object.__new__(bench.Tuned)
    found.seed, found._runs = 0, None
    asked = []

    class Runs(fix.Runs):
        def __init__(self):
            self.seed, self.spuco = 0, None

        def refitted(self, method, setting):
            asked.append((method, setting))
            return {"worst": 50.0}

    monkeypatch.setattr(bench.Tuned, "_trained", lambda self: Runs())
    return SimpleNamespace(runs=found, asked=asked)


def test_every_fix_is_measured_at_every_setting_and_the_network_as_it_is_comes_first(tuned):
    listed = [(method, setting) for method, setting, _ in tuned.runs.listed(end_to_end=False)]
    assert listed[0] == (bench.AS_IT_IS, {})
    assert bench.END_TO_END not in dict(listed)
    for method, one in fix.FIXES.items():
        for setting in one.tried:
            assert (method, dict(setting)) in listed
    assert {method for method, _ in listed} == {bench.AS_IT_IS, *bench.KEEP}
    assert tuned.runs.listed(end_to_end=True)[-1][0] == bench.END_TO_END


def test_each_line_measures_what_it_is_called(tuned):
    for method, setting, measure in tuned.runs.listed(end_to_end=False):
        if method in fix.FIXES:
            assert measure() == {"worst": 50.0}
            assert tuned.asked[-1] == (method, setting)


def test_the_layers_that_are_held_against_are_those_of_pictures_that_were_held_out(monkeypatch):
    names = np.arange(50)
    sides = []
    monkeypatch.setattr(
        bench, "split", lambda table, **how: SimpleNamespace(train="four fifths", test="a fifth")
    )
    monkeypatch.setattr(bench, "predict", lambda model, table, device: SimpleNamespace(logits=names))
    monkeypatch.setattr(bench, "_features", lambda model, table: table)
    monkeypatch.setattr(bench, "Held", lambda table, features: table)
    monkeypatch.setattr(fix, "Runs", lambda found, seed: sides.append(found))
    trained = bench.Tuned({"train": "all", "validation": "validation", "test": "test"}, 0)
    monkeypatch.setattr(
        trained, "_fit", lambda recipe, method: SimpleNamespace(model=(recipe, method, trained.train))
    )
    trained._trained()
    assert trained.train == "four fifths"
    assert sides == [{"train": "a fifth", "validation": "validation", "test": "test"}]
