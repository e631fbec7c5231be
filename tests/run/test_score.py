"""`score`, and what jobs on saved models cannot read."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from equipoise.cli import main


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
        (["score", "nowhere", "x"], "Expected the folder of a run, or timm:NAME"),
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
