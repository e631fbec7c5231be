"""`evaluate` and `report` through the command line."""

import csv
from pathlib import Path

import pyarrow.parquet as pq

from equipoise.cli import main
from equipoise.report.debias.record import read


def test_evaluate_compares_saved_models(models, test_flags, tmp_path, capsys):
    out = tmp_path / "out"
    folders = [str(models / "plain"), str(models / "debiased")]
    flags = ["--groups=skin", "--replicates=200", f"--out={out}"]
    assert main(["evaluate", *folders, *test_flags, *flags]) == 0
    assert f"Report: {out / 'report.html'}" in capsys.readouterr().out
    record = read(out)
    assert list(record.models) == ["plain", "debiased", "threshold-only"]
    assert record.comparisons.baseline == "plain"
    assert record.resampling is None
    assert record.data.counts == {"test": {"positives": 48, "negatives": 48}}
    assert pq.read_table(out / "scores.parquet").num_rows == 96
    assert main(["evaluate", *folders, *test_flags, *flags]) == 0  # measured again, on what is there now
    again = ["--config", str(out / "settings.toml"), "--quiet", f"--out={tmp_path / 'again'}"]
    assert main(["evaluate", *again]) == 0
    assert list(read(tmp_path / "again").models) == list(record.models)


def test_two_models_of_one_method_have_two_names(models, test_flags, tmp_path):
    folders = [str(models / "plain"), str(models / "plain")]
    assert main(["evaluate", *folders, *test_flags, "--quiet", f"--out={tmp_path / 'out'}"]) == 0
    assert list(read(tmp_path / "out").models) == ["plain", "plain-2"]


def test_a_group_without_positives_is_undefined(models, pictures, tmp_path, capsys):

    rows = list(csv.reader(Path(pictures["test_positives"]).read_text().splitlines()))[1:]
    folders = [Path(pictures[name]).parent for name in ("test_positives", "test_negatives")]
    lines = [f"{folders[0] / path},1,{skin}" for path, skin, _ in rows]
    lines += [f"{folders[1] / path},0,{'green' if path == '0.png' else 'light'}" for path, _, _ in rows]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,skin", *lines]))
    flags = [
        "--data",
        str(tmp_path / "list.csv"),
        "--allow-outside",
        "--groups=skin",
        "--replicates=200",
        f"--out={tmp_path / 'out'}",
    ]
    assert main(["evaluate", str(models / "plain"), *flags]) == 0
    green = read(tmp_path / "out").models["plain"].numbers.groups["skin"]["green"]
    assert not green.tpr.defined
    assert green.tpr.reason == "no positives"
    assert "green" in capsys.readouterr().err


def test_report_renders_again(models, test_flags, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["evaluate", str(models / "plain"), *test_flags, "--groups=skin", f"--out={out}"]) == 0
    (out / "report.html").unlink()
    capsys.readouterr()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").exists()
    assert "dark" in capsys.readouterr().out
