"""Train, evaluate, score, report, recipes, data: through the command line."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from equipoise.cli import main
from equipoise.report.debias.record import read

SMALL = ["--image-size=32", "--batch-size=16", "--epochs=1", "--tune=width=4", "--tune=latent=6"]


@pytest.fixture(scope="module")
def models(pictures, tmp_path_factory):
    """Folders of a plain and of a debiased model."""
    root = tmp_path_factory.mktemp("models")
    sources = ["--positives", pictures["positives"], "--negatives", pictures["negatives"]]
    for method in ("plain", "debiased"):
        flags = ["--method", method, "--groups=skin", "--tune=resampling.warmup=0", "--device=cpu"]
        assert main(["train", *sources, *SMALL, *flags, f"--out={root / method}"]) == 0
    return root


@pytest.fixture
def test_flags(pictures):
    return ["--positives", pictures["test_positives"], "--negatives", pictures["test_negatives"]]


def test_train_leaves_a_model(models, capsys):
    names = {path.name for path in (models / "debiased").iterdir()}
    wanted = {
        "checkpoints",
        "config.json",
        "density.safetensors",
        "model.safetensors",
        "rejected.csv",
        "resampling.json",
        "settings.toml",
    }
    assert names == wanted
    # what its last layer sees has a density too
    assert "density.safetensors" in {path.name for path in (models / "plain").iterdir()}


def test_train_says_whom_the_weights_favour(pictures, tmp_path, capsys):
    sources = ["--positives", pictures["positives"], "--negatives", pictures["negatives"]]
    flags = ["--groups=skin", "--tune=resampling.warmup=0", f"--out={tmp_path / 'out'}"]
    assert main(["train", *sources, *SMALL, *flags]) == 0
    output = capsys.readouterr().out
    assert "12 steps" in output
    assert "effective sample size" in " ".join(output.split())
    assert "dark (12.5 % of the images)" in output


def test_a_trained_model_is_not_trained_again(models, pictures, capsys):
    sources = ["--positives", pictures["positives"], "--negatives", pictures["negatives"]]
    before = (models / "plain" / "model.safetensors").read_bytes()
    flags = ["--method=plain", "--groups=skin", "--tune=resampling.warmup=0", f"--out={models / 'plain'}"]
    assert main(["train", *sources, *SMALL, *flags, "--seed=5"]) == 2
    assert "seed: 0 there, 5 now" in capsys.readouterr().err
    assert main(["train", *sources, *SMALL, *flags]) == 0
    assert (models / "plain" / "model.safetensors").read_bytes() == before


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


def test_score_without_and_with_labels(models, pictures, tmp_path, capsys):
    out = tmp_path / "scores.parquet"
    assert main(["score", str(models / "debiased"), pictures["test_positives"], f"--out={out}"]) == 0
    assert "48 images scored" in capsys.readouterr().out
    table = pq.read_table(out)
    assert table.column_names == ["path", "label", "probability", "logit", "log_density", "skin", "hat"]
    assert table.column("label").null_count == 48
    logits, probabilities = (table.column(name).to_numpy() for name in ("logit", "probability"))
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), probabilities)
    assert (
        main(["score", str(models / "plain"), "--positives", pictures["test_positives"], f"--out={out}"]) == 0
    )
    table = pq.read_table(out)
    assert "log_density" in table.column_names
    assert set(table.column("label").to_pylist()) == {1}
    assert all(0 <= p <= 1 for p in table.column("probability").to_pylist())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["score", "MODEL"], "Expected images to score; got none"),
        (["score", "nowhere", "x"], "Expected config.json of a trained model"),
        (["evaluate", "MODEL"], "Expected images to evaluate on"),
        (["evaluate", "MODEL", "--data=nowhere"], "got nothing"),
        (["report", "nowhere"], "Expected a run record"),
        (["recipes", "mit"], "Did you mean 'mit-2021'"),
        (["data", "nowhere"], "got nothing"),
        (["data", "a", "--data", "b"], "Expected one source"),
        (["data", "--shown=0", "--images=10"], "--shown must be 1 or larger"),
    ],
)
def test_bad_input(models, tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main([str(models / "plain") if word == "MODEL" else word for word in arguments]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message


def test_report_renders_again(models, test_flags, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["evaluate", str(models / "plain"), *test_flags, "--groups=skin", f"--out={out}"]) == 0
    (out / "report.html").unlink()
    capsys.readouterr()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").exists()
    assert "dark" in capsys.readouterr().out


def test_recipes(capsys):
    assert main(["recipes"]) == 0
    assert {"equipoise", "mit-2021", "capsa-2023"} <= {
        line.split()[0] for line in capsys.readouterr().out.splitlines()
    }
    assert main(["recipes", "mit-2021"]) == 0
    assert "resampling.rule=max\n" in capsys.readouterr().out


def test_what_recipes_prints_is_what_tune_takes(capsys):
    from equipoise.run import tuned, tuning
    from equipoise.train import RECIPES

    for name, recipe in RECIPES.items():
        assert main(["recipes", name, "--quiet"]) == 0
        assert tuned(recipe, capsys.readouterr().out.splitlines()) == recipe
    changes = tuning(tuned(RECIPES["mit-2021"], ["resampling.ess=0.5", "debiased.augmentation=['flip']"]))
    assert changes == ('debiased.augmentation=["flip"]', "resampling.ess=0.5")


def test_data_counts_and_draws(pictures, tmp_path, capsys):
    sheet, rejected = tmp_path / "sheet.png", tmp_path / "rejected.csv"

    broken = tmp_path / "list.csv"
    folder = Path(pictures["positives"]).parent
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    rows = [f"{folder / f'{i}.png'},1,light" for i in range(8)]
    broken.write_text("\n".join(["path,label,skin", *rows, f"{tmp_path / 'broken.png'},0,dark"]))
    flags = ["--image-size=32", "--allow-outside", "--sheet", str(sheet), "--rejected", str(rejected)]
    assert main(["data", str(broken), *flags]) == 0
    output = capsys.readouterr().out
    assert "8 images of 32×32×3" in output
    assert "light" in output
    assert "1 pictures cannot be read" in output
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert [row[0] for row in csv.reader(rejected.read_text().splitlines())] == [
        "path",
        f"…/{tmp_path.name}/broken.png",
    ]
