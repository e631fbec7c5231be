"""The demo, small: a plain network learns the light, and what is told of it are the numbers of that run."""

import dataclasses
import sys
import tomllib

import pytest

from equipoise import report, run
from equipoise.errors import InputError
from equipoise.report import demo_text, read_fix
from equipoise.train import recipe


def short(epochs=6):
    chosen = recipe("equipoise")
    plain = dataclasses.replace(chosen.plain, epochs=epochs)
    return run.Training(dataclasses.replace(chosen, plain=plain, width=4), seed=0)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    said = []
    record = run.demo(600, training=short(), output=run.Output(out, tell=said.append))
    return out, record, said


def test_a_plain_network_fails_those_whose_light_is_against_their_class(shown):
    _, record, _ = shown
    groups = record.models["before"].numbers.groups["light"]
    assert groups["even"].cells["no glasses"].value > 0.9
    assert groups["backlit"].cells["glasses"].value > 0.9
    assert groups["backlit"].cells["no glasses"].value < 0.6
    assert record.choice.groups == []  # nothing was told the light
    assert all(not one.may_win for one in record.choice.tried if one.method in ("groups equal", "DFR"))


@pytest.mark.slow
def test_sides_share_no_picture_and_the_folder_holds_both_runs(shown):
    out, record, said = shown
    assert (out / "network" / "model.safetensors").exists()
    with (out / "network" / "settings.toml").open("rb") as file:
        assert tomllib.load(file)["precision"] == "32-true"
    assert (out / "fix" / "report.html").exists()
    assert read_fix(out / "fix").models["before"].numbers.n == 180
    assert sum(record.data.counts["train"].values()) == 180
    assert said[0] == "Drawing 600 faces with and without glasses."
    again = run.demo(600, training=short(), output=run.Output(out, tell=said.append))
    assert again.choice == record.choice  # what lies there is shown


def test_what_is_said_is_under_25_lines_and_of_this_run(shown):
    _, record, _ = shown
    lines = demo_text(record).split("\n")
    assert len(lines) < 23  # the command adds two
    before = record.models["before"].numbers
    said = " ".join(" ".join(lines).split())
    assert f"right on {100 * before.accuracy.value:.1f} % of 180 test pictures" in said
    assert lines[0] == report.fix_text(record).split("\n")[0]


def test_an_interval_that_covers_0_is_no_improvement(shown):
    _, record, _ = shown
    changed = dataclasses.replace(
        record, choice=dataclasses.replace(record.choice, method="plain", chosen="plain")
    )
    gain = changed.comparisons.differences["after"].worst_cell["light"]
    worse = dataclasses.replace(gain, value=0.1, low=-0.1, high=0.3)
    differences = dict(changed.comparisons.differences)
    one = differences["after"]
    differences["after"] = dataclasses.replace(one, worst_cell={**one.worst_cell, "light": worse})
    comparisons = dataclasses.replace(changed.comparisons, differences=differences)
    assert demo_text(dataclasses.replace(changed, comparisons=comparisons)).startswith(
        "No measurable difference"
    )


def test_each_job_is_asked_for_what_it_does(monkeypatch, tmp_path):
    asked = {}
    for name in ("train", "fix"):
        monkeypatch.setattr(
            sys.modules["equipoise.run.demo"],
            name,
            lambda *_, name=name, **named: asked.update({name: named}),
        )
    engine = run.Engine(device="cpu", precision="64-true", compile=True, progress=False)
    run.demo(400, training=short(), engine=engine, output=run.Output(tmp_path))
    assert asked["train"]["engine"] == engine
    assert asked["fix"]["engine"] == run.Engine(device="cpu", progress=False)


def test_what_cannot_be_is_told_before_anything_is_drawn(tmp_path):
    said = []
    output = run.Output(tmp_path / "out", tell=said.append)
    with pytest.raises(InputError, match="`images` must be at least 400"):
        run.demo(399, output=output)
    with pytest.raises(InputError, match="device"):
        run.demo(400, engine=run.Engine(device="abacus"), output=output)
    assert said == []
    assert not (tmp_path / "out").exists()
