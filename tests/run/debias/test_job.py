"""The main job through the command line, on pictures that take seconds."""

import json
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pyarrow.parquet as pq
import pytest

from equipoise.cli import main
from equipoise.report.debias.record import read

FILES = (
    "config.json",
    "density.safetensors",
    "model.safetensors",
    "record.json",
    "rejected.csv",
    "report.html",
)


@pytest.fixture(scope="module")
def run(flags, tmp_path_factory):
    """A finished run: its folder."""
    folder = tmp_path_factory.mktemp("run") / "out"
    assert main(["debias", *flags, "--groups=skin,hat", "--quiet", f"--out={folder}"]) == 0
    return folder


def numbers(folder):
    """What must not depend on interruptions: everything but time."""
    record = json.loads((folder / "record.json").read_text())
    for model in record["models"].values():
        del model["seconds"]
    return {key: record[key] for key in ("models", "comparisons", "resampling", "data")}


def test_everything_lies_in_the_folder(run):
    names = {path.name for path in run.iterdir()}
    assert {*FILES, "scores.parquet", "settings.toml", "checkpoints", "models", "pictures"} == names
    assert {p.name for p in (run / "models").iterdir()} == {"plain"}
    assert {p.name for p in (run / "models" / "plain").iterdir()} == {"config.json", "model.safetensors"}
    assert "<html" in (run / "report.html").read_text()[:500]


def test_the_record_has_the_keys_of_the_schema(run):
    record = json.loads((run / "record.json").read_text())
    assert {
        "schema_version",
        "recipe",
        "seed",
        "versions",
        "data",
        "models",
        "resampling",
        "timing",
    } <= record.keys()
    assert set(record["models"]) == {"plain", "debiased", "threshold-only"}
    for model in record["models"].values():
        numbers = model["numbers"]
        assert {"fpr", "accuracy", "variance", "worst_group", "gap"} <= numbers.keys()
        for attribute, groups in {"skin": {"dark", "light"}, "hat": {"yes", "no"}}.items():
            assert set(numbers["groups"][attribute]) == groups
            for entry in numbers["groups"][attribute].values():
                for number in ("tpr", "tpr_at_fpr", "auroc", "mean_probability"):
                    assert {"value", "low", "high", "n"} <= entry[number].keys()
        assert set(numbers["groups"]["skin × hat"]) == {"dark × no", "light × no", "light × yes"}
    assert record["models"]["plain"]["numbers"]["groups"]["skin"]["dark"]["positives"] == 6
    assert record["data"]["counts"]["test"] == {"positives": 48, "negatives": 48}
    assert record["data"]["group_counts"]["train"]["skin"] == {"dark": 12, "light": 84}
    assert set(record["comparisons"]["differences"]) == {"debiased"}
    assert 0 < record["resampling"]["ess"] <= 1
    assert set(record["resampling"]["enrichment"]["skin"]) == {"dark", "light"}
    assert "skin" in record["resampling"]["verdict"]
    assert record["timing"]["steps_per_s"] > 0
    assert record["timing"]["wall_s"] > 0
    assert record["timing"]["peak_rss_bytes"] > 10_000_000


def test_the_threshold_only_control_is_plain_at_the_false_positive_rate_of_debiased(run):
    models = read(run).models
    assert models["threshold-only"].numbers.auroc == models["plain"].numbers.auroc
    assert models["threshold-only"].numbers.fpr.value <= models["debiased"].numbers.fpr.value
    assert models["threshold-only"].steps is None


def test_a_row_an_image(run):
    table = pq.read_table(run / "scores.parquet")
    assert table.num_rows == 96
    assert table.column("split").unique().to_pylist() == ["test"]
    probabilities = [name for name in table.column_names if name.startswith("probability_")]
    assert sorted(probabilities) == ["probability_debiased", "probability_plain"]
    assert {"path", "label", "log_density", "skin", "hat"} <= set(table.column_names)
    record = read(run)
    labels = table.column("label").to_numpy()
    for name in ("plain", "debiased"):
        logits, chances = (table.column(f"{what}_{name}").to_numpy() for what in ("logit", "probability"))
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), chances)
        model = record.models[name].numbers
        assert np.mean(logits[labels == 1] >= model.logit_at_fpr) == model.tpr_at_fpr.value
        assert np.mean(chances[labels == 1] >= model.threshold_at_fpr) == model.tpr_at_fpr.value
        assert model.saturated == 0
    assert table.column("log_density").null_count == 0
    assert sum(table.column("label").to_pylist()) == 48


def test_the_pictures_are_pictures(run):
    record = read(run)
    assert set(record.pictures) == {"least_represented", "most_represented"}
    for file in record.pictures.values():
        assert (run / file).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_saved_settings_make_the_same_run(run, flags, tmp_path, capsys):
    assert tomllib.loads((run / "settings.toml").read_text())["groups"] == ["skin", "hat"]
    again = tmp_path / "again"
    assert main(["debias", f"--config={run / 'settings.toml'}", "--quiet", f"--out={again}"]) == 0
    assert numbers(again) == numbers(run)
    assert (again / "settings.toml").read_text() == (run / "settings.toml").read_text()


@pytest.mark.slow
def test_a_finished_run_is_shown_not_repeated(run, flags, capsys):
    before = (run / "model.safetensors").stat().st_mtime_ns
    assert main(["debias", *flags, "--groups=skin,hat", f"--out={run}"]) == 0
    output = capsys.readouterr()
    assert "holds this run already" in output.err
    assert "dark" in output.out
    assert str(run / "report.html") in output.out
    assert (run / "model.safetensors").stat().st_mtime_ns == before


def test_other_settings_do_not_touch_a_finished_run(run, flags, capsys):
    before = (run / "record.json").read_bytes()
    assert main(["debias", *flags, "--groups=skin", f"--out={run}"]) == 2
    assert "groups: ['skin', 'hat'] there, ['skin'] now" in capsys.readouterr().err
    assert (run / "record.json").read_bytes() == before


@pytest.mark.slow
def test_an_interrupted_run_continues_to_the_same_numbers(run, flags, tmp_path, monkeypatch, capsys):
    from equipoise.train import loop

    saves = []

    def save_then_stop(*arguments):
        path = write(*arguments)
        saves.append(path)
        if len(saves) == 3:  # plain is finished, debiased has one of its two epochs
            raise KeyboardInterrupt
        return path

    write = loop._save
    out = tmp_path / "out"
    command = ["debias", *flags, "--groups=skin,hat", f"--out={out}"]
    monkeypatch.setattr(loop, "_save", save_then_stop)
    assert main(command) == 130
    message = capsys.readouterr().err
    assert "Stopped." in message
    assert "finished: plain" in message
    assert "checkpoints of: debiased, plain" in message
    assert "--resume" in message
    assert not (out / "record.json").exists()
    monkeypatch.setattr(loop, "_save", write)
    assert main(command) == 2  # what to do with it must be said
    assert "--resume to continue" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    assert numbers(out) == numbers(run)


@pytest.mark.slow
def test_without_controls(flags, tmp_path):
    assert main(["debias", *flags, "--no-controls", "--quiet", f"--out={tmp_path / 'out'}"]) == 0
    record = read(tmp_path / "out")
    assert set(record.models) == {"plain", "debiased", "threshold-only"}
    assert record.models["plain"].numbers.groups == {}


@pytest.mark.slow
def test_plain_trained_as_long_is_a_control_where_the_recipe_trains_plain_differently(flags, tmp_path):
    out = tmp_path / "out"
    assert (
        main(
            [
                "debias",
                *flags,
                "--recipe=mit-2021",
                "--tune=plain.learning_rate=1e-3",
                "--quiet",
                f"--out={out}",
            ]
        )
        == 0
    )
    record = read(out)
    assert "plain-same-steps" in record.models
    assert record.models["plain-same-steps"].steps == record.models["debiased"].steps
    assert "uniform" in record.models  # a DB-VAE has losses of its own to tell from resampling
    assert set(record.pictures) == {"least_represented", "most_represented", "reconstructions"}


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("command", ["debias", "train"])
def test_a_signal_to_a_running_process(flags, tmp_path, command, number):
    out, code = tmp_path / "out", "import sys; from equipoise.cli import main; sys.exit(main())"
    mine = [flag for flag in flags if command == "debias" or not flag.startswith(("--test", "--repl"))]
    mine = [*mine, "--epochs=30", f"--out={out}"]
    arguments = [sys.executable, "-c", code, command, *[flag for flag in mine if flag != "--epochs=2"]]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoints/*/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert "Traceback" not in message
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert "checkpoints of: " in message
        assert not (out / ".lock").exists()
    assert main([*arguments[3:], "--resume", "--quiet"]) == 0
    assert not [path for path in out.rglob(".*") if path.name == ".lock" or ".part" in path.name]
    whole = tmp_path / "whole"
    assert (
        main([*[flag for flag in arguments[3:] if not flag.startswith("--out")], "--quiet", f"--out={whole}"])
        == 0
    )
    assert (whole / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()
