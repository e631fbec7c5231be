"""`equipoise sweep` end to end, on a few drawn faces."""

import csv
import io

import pytest

from equipoise.cli import main
from equipoise.report import read, read_sweep

FLAGS = [
    "--images=160", "--image-size=32", "--epochs=1", "--batch-size=16", "--replicates=100", "--device=cpu",
    "--recipe=assignment-7", "--tune=width=4", "--tune=latent=4", "--test-share=0.3",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.slow
def test_a_sweep_of_two_points_one_of_which_fails(tmp_path, capsys):
    out = tmp_path / "out"
    flags = [*FLAGS, "--vary=debiased.learning_rate=1e-3,1e38", "--jobs=2", f"--out={out}"]
    assert main(["sweep", *flags]) == 1
    said = capsys.readouterr()
    assert "What changes with debiased.learning_rate." in said.out
    assert "Failed; the same command tries again:\ndebiased.learning_rate=1e38, seed=0:" in said.out
    assert "annotations" in said.out
    assert "test images" in said.out
    assert "2 of 2:" in said.err
    assert {path.name for path in out.iterdir()} == {
        "points", "report.html", "settings.toml", "sweep.csv", "sweep.json"
    }  # fmt: skip
    record = read_sweep(out)
    assert [run.error is None for run in record.runs] == [True, False]
    whole = read(out / record.runs[0].folder)
    assert (
        record.runs[0].models["debiased"].miss.value
        == whole.models["debiased"].numbers.tpr_at_fpr.complement.value
    )
    assert record.runs[0].sampling.ess.value == whole.resampling.ess
    assert whole.command.startswith("equipoise debias --config=")
    assert "finite" in (out / record.runs[1].folder / "log.txt").read_text()
    rows = list(csv.DictReader(io.StringIO((out / "sweep.csv").read_text())))
    assert [row["debiased.learning_rate"] for row in rows] == ["1e-3", "1e38"]

    page = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_text() == page


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "Expected something to vary"),
        (["--vary=latent"], "Expected --vary KEY=VALUE"),
        (["--vary=latnt=1,2"], "Did you mean 'latent'"),
        (["--vary=latent=1,2", "--jobs=0"], "--jobs must be 1 or more"),
        (["--vary=latent=4,5", "--groups=race"], "race"),
        (["--vary=batch-size=16,15"], "cannot be shared"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(tmp_path, capsys, flags, words):
    assert main(["sweep", *FLAGS, "--quiet", *flags, f"--out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "settings.toml").exists()
    assert not (tmp_path / "out" / "points").exists()
