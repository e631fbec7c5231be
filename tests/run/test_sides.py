"""An official split and subjects that stay together, through the jobs that train and measure."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from equipoise.cli import main
from equipoise.report.debias.record import read


@pytest.fixture
def official(pictures, tmp_path):
    """One manifest of faces and others with an official split, below the folder that holds all pictures."""
    root = Path(pictures["positives"]).parents[1]
    lines = ["path,label,skin,part,person"]
    for label, name in ((1, "faces"), (0, "others")):
        rows = list(csv.reader((root / name / "list.csv").read_text().splitlines()))[1:]
        for number, (path, skin, _) in enumerate(rows):
            part = "test" if number % 3 == 0 else "train"
            lines.append(f"{name}/{path},{label},{skin},{part},{name}{number // 4}")
    listing = root / "official.csv"
    listing.write_text("\n".join(lines))
    return str(listing)


QUICK = [
    "--image-size=32",
    "--batch-size=16",
    "--epochs=1",
    "--tune=width=4",
    "--tune=latent=6",
    "--device=cpu",
]
QUICK += ["--tune=resampling.warmup=0", "--replicates=200"]


@pytest.mark.slow
def test_an_official_split_on_the_command_line(official, tmp_path, capsys):
    out = tmp_path / "out"
    flags = [f"--data={official}", "--split-column=part", "--groups=skin", *QUICK]
    assert main(["debias", *flags, "--no-controls", f"--out={out}"]) == 0
    record = read(out)
    assert record.data.counts == {
        "train": {"positives": 64, "negatives": 64},
        "test": {"positives": 32, "negatives": 32},
    }
    assert 'split_column = "part"' in (out / "settings.toml").read_text()
    assert main(["debias", "--config", str(out / "settings.toml"), "--out", str(out)]) == 0  # the same run
    both = ["evaluate", str(out), f"--data={official}", "--replicates=200", f"--out={tmp_path / 'evaluated'}"]
    assert main([*both, "--split-column=part"]) == 0
    measured = read(tmp_path / "evaluated")
    assert measured.data.fingerprint["test"] == record.data.fingerprint["test"]
    capsys.readouterr()
    assert main([*both, "--split-column=skin", "--overwrite"]) == 2
    assert "Expected a side of the split in every row of 'skin'" in capsys.readouterr().err


def test_train_takes_the_training_side(official, tmp_path, capsys):
    flags = [f"--data={official}", *QUICK[:-1], "--method=plain"]
    assert main(["train", *flags, "--split-column=part", f"--out={tmp_path / 'out'}"]) == 0
    assert "train: 64 positives, 64 negatives" in capsys.readouterr().err
    assert main(["train", *flags, "--together=person", f"--out={tmp_path / 'other'}"]) == 2
    assert "Add --split-column" in capsys.readouterr().err


def test_subjects_stay_together_on_the_command_line(official, tmp_path, capsys):
    flags = [f"--data={official}", "--together=person", "--no-controls", *QUICK]
    assert main(["debias", *flags, f"--out={tmp_path / 'out'}"]) == 0
    scores = pq.read_table(tmp_path / "out" / "scores.parquet")
    tested = set(scores["person"].to_pylist())
    whole = [line.split(",")[4] for line in Path(official).read_text().splitlines()[1:]]
    assert sum(person in tested for person in whole) == len(scores)
    assert main(["debias", *flags, "--split-column=part", f"--out={tmp_path / 'two'}"]) == 2
    assert "on one side of the split" in capsys.readouterr().err
