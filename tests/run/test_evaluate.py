"""`evaluate` and `report` through the command line."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise import report, run
from equipoise.cli import main
from equipoise.data import ImageTable
from equipoise.data import read as read_data
from equipoise.errors import InputError
from equipoise.fairness import true_positive_rate
from equipoise.report.debias.record import read
from equipoise.run.compared_models import titled
from equipoise.run.model_source import ModelSource
from equipoise.run.saved import load
from equipoise.train import predict


@pytest.mark.slow
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
    models_ = read(tmp_path / "out").models
    assert list(models_) == ["plain", "plain-2"]
    assert [model.title for model in models_.values()] == ["plain (plain)", "plain (plain) 2"]


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


LAB = {"DF": 5, "DM": 6, "LF": 7, "LM": 8}


def faces(folder, layout):
    """The labs' folders, or PPB's, of striped faces."""
    chance, rows = np.random.default_rng(5), []
    for group, count in LAB.items():
        for i in range(count):
            image = chance.normal(128, 30, (40, 40, 3))
            image[:, ::4] += 90 if group[0] == "L" else 35
            place = folder / (f"{group}/{i}.png" if layout == "lab" else f"imgs/{group}{i}.png")
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(place)
            skin = {"D": "Darker", "L": "Lighter"}[group[0]]
            gender = {"F": "Female", "M": "Male"}[group[1]]
            rows.append(f"{len(rows)},{group}{i}.png,{gender},1,{skin},Rwanda")
    if layout == "ppb":
        (folder / "PPB-2017-metadata.csv").write_text("\r".join(rows))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["lab", "ppb"])
@pytest.mark.parametrize("flag", ["--positives", "--data"])
def test_faces_alone_have_shares_found_and_say_once_what_is_not_known(models, tmp_path, capsys, layout, flag):
    source, out = faces(tmp_path / "faces", layout), tmp_path / "out"
    folders = [str(models / name) for name in ("plain", "debiased")]
    flags = [flag, str(source), "--groups=skin,gender", "--threshold=0.3", "--replicates=200", f"--out={out}"]
    assert main(["evaluate", *folders, *flags]) == 0
    said = capsys.readouterr().out
    assert said.count("No negatives were given") == 1
    assert "found at 0.3" in said
    assert "undefined" not in said.replace("AUROC are\n  undefined", "").replace("are undefined", "")
    record = read(out)
    assert list(record.models) == ["plain", "debiased"]
    assert record.data.counts == {"test": {"positives": 26, "negatives": 0}}
    table = read_data(source, image_size=32)
    numbers = record.models["debiased"].numbers
    scores = predict(load(models / "debiased").model, table, device="cpu")
    expected = true_positive_rate(scores, table.labels, table.groups("skin"), threshold=0.3)
    for group, rate in expected.items():
        assert numbers.groups["skin"][group].tpr == rate
        assert numbers.groups["skin"][group].accuracy == rate  # what the labs report
        mine = table.groups("skin").ids == table.groups("skin").names.index(group)
        mean = numbers.groups["skin"][group].mean_probability
        assert mean.value == pytest.approx(np.asarray(scores)[mine].mean())
        assert mean.low < mean.value < mean.high
    lowest = min(expected, key=lambda group: expected[group].value)
    assert numbers.worst_group["skin"]["at_0.5"]["group"] == lowest
    assert numbers.groups["skin × gender"].keys() == {
        f"{a} × {b}" for a in expected for b in ("female", "male")
    }
    assert numbers.tpr_at_fpr.reason == "no negatives"
    difference = record.comparisons.differences["debiased"].tpr["at_0.5"]
    assert difference.value == pytest.approx(numbers.tpr.value - record.models["plain"].numbers.tpr.value)
    page = (out / "report.html").read_text()
    assert page.count("No negatives were given") == 1
    assert "Found at 0.3" in page
    assert ">undefined<" not in page
    assert "1\u202f% FPR" not in page


def test_a_threshold_of_ones_own_beside_negatives(models, test_flags, tmp_path, capsys):
    out = tmp_path / "out"
    flags = ["--groups=skin", "--threshold=0.8", "--replicates=200", f"--out={out}"]
    assert main(["evaluate", str(models / "plain"), *test_flags, *flags]) == 0
    assert "at 0.8" in capsys.readouterr().out
    numbers, scores = read(out).models["plain"].numbers, pq.read_table(out / "scores.parquet")
    found = scores["probability_plain"].to_numpy()[scores["label"].to_numpy() == 1] >= 0.8
    assert (numbers.threshold, numbers.tpr.value) == (0.8, pytest.approx(found.mean()))
    assert main(["evaluate", str(models / "plain"), *test_flags, "--threshold=0", f"--out={out}"]) == 2
    assert "--threshold" in capsys.readouterr().err


def test_negatives_alone_are_refused(models, test_flags, tmp_path, capsys):
    assert main(["evaluate", str(models / "plain"), *test_flags[2:], f"--out={tmp_path / 'out'}"]) == 2
    assert "Expected --positives beside --negatives" in capsys.readouterr().err
    assert main(["train", *test_flags[:2], f"--out={tmp_path / 'train'}"]) == 2
    assert "Expected --negatives beside --positives" in capsys.readouterr().err


def scenes(folder, count, *, face, shape, seed):
    """Wide or tall pictures of noise; where there is a face it stands at one end, outside the middle square."""
    chance = np.random.default_rng(seed)
    folder.mkdir()
    lines = ["path,skin"]
    for i in range(count):
        image = chance.normal(128, 30, (*shape, 3))
        if face:
            image[:32, :32:4] += 90
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{'dark' if i % 3 else 'light'}")
    (folder / "list.csv").write_text("\n".join(lines))
    return str(folder / "list.csv")


def best(model, picture):
    """The protocol window by window, written from its words."""
    height, width = picture.shape[:2]
    shorter, windows = min(height, width), []
    for side in sorted({max(1, round(share * shorter)) for share in np.linspace(0.5, 1, 5)}):
        step = max(1, round(0.2 * side))
        for top in range(0, height - side + 1, step):
            for left in range(0, width - side + 1, step):
                cut = Image.fromarray(picture[top : top + side, left : left + side])
                how = Image.Resampling.BOX if side >= 32 else Image.Resampling.BILINEAR
                windows.append(np.asarray(cut.resize((32, 32), how)))
    table = ImageTable.from_arrays(np.stack(windows), np.ones(len(windows), int))
    return float(np.asarray(predict(model, table, device="cpu")).max())


@pytest.mark.slow
def test_windows_look_at_pictures_in_their_own_shape(models, tmp_path, capsys):
    sources = {
        "positives": scenes(tmp_path / "faces", 9, face=True, shape=(32, 90), seed=0),
        "negatives": scenes(tmp_path / "others", 6, face=False, shape=(50, 32), seed=1),
    }
    flags = [*(f"--{name}={path}" for name, path in sources.items()), "--groups=skin", "--replicates=200"]
    folders = [str(models / name) for name in ("plain", "debiased")]
    assert main(["evaluate", *folders, *flags, "--windows", f"--out={tmp_path / 'out'}"]) == 0
    said = capsys.readouterr().out
    record = read(tmp_path / "out")
    assert record.settings["windows"] is True
    assert "Windows protocol" in said
    for name, one in record.models.items():
        if name != "threshold-only":
            assert one.numbers.fpr.n == 6
            assert f"{one.title} {100 * one.numbers.fpr.value:.1f}" in said
            assert one.numbers.groups["skin"]["dark"].fpr.n == 4
    scores = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    model = load(models / "debiased").model
    for row in (scores[0], scores[-1]):
        folder = tmp_path / ("faces" if row["label"] else "others")
        picture = np.asarray(Image.open(folder / Path(row["path"]).name))
        assert row["probability_debiased"] == pytest.approx(best(model, picture), abs=0.02)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "False positives at 0.5" in page
    assert "Windows protocol" in page
    assert (
        main(["evaluate", *folders, flags[0], "--groups=skin", "--windows", f"--out={tmp_path / 'f'}"]) == 0
    )
    assert "not known, as no negatives were given" in " ".join(capsys.readouterr().out.split())
    alone = pq.read_table(tmp_path / "f" / "scores.parquet").to_pylist()
    assert [row["logit_plain"] for row in alone] == [row["logit_plain"] for row in scores if row["label"]]


def test_windows_of_one_side_of_a_split_are_of_its_rows(models, tmp_path):
    source = Path(scenes(tmp_path / "faces", 8, face=True, shape=(32, 60), seed=0))
    rows = source.read_text().splitlines()
    sides = ["test" if i % 2 else "train" for i in range(8)]
    source.write_text(
        "\n".join([f"{rows[0]},side", *(f"{a},{b}" for a, b in zip(rows[1:], sides, strict=True))])
    )
    (tmp_path / "faces" / "3.png").write_bytes(b"broken")
    found = {}
    for name, flags in (("all", []), ("test", ["--split-column=side"])):
        out = tmp_path / name
        more = [
            f"--positives={source}",
            "--windows",
            "--max-rejected=0.5",
            "--replicates=200",
            f"--out={out}",
        ]
        assert main(["evaluate", str(models / "plain"), *more, *flags]) == 0
        found[name] = {r["path"]: r["logit_plain"] for r in pq.read_table(out / "scores.parquet").to_pylist()}
    assert len(found["all"]) == 7
    assert len(found["test"]) == 3
    assert all(found["all"][path] == logit for path, logit in found["test"].items())


def test_windows_where_there_can_be_none_are_refused(models, tmp_path, flags, capsys):
    table = read_data(faces(tmp_path / "faces", "lab"), image_size=32)
    windows = run.Measuring(windows=True)
    with pytest.raises(InputError, match="Expected paths for `windows`"):
        run.evaluate(
            models / "plain", run.Sources(table), measuring=windows, output=run.Output(tmp_path / "o")
        )
    with pytest.raises(InputError, match="which scores whole pictures"):
        run.debias(run.Sources(table), measuring=windows, output=run.Output(tmp_path / "o"))
    assert main(["debias", *flags, "--windows"]) == 2


def test_runs_are_told_apart_by_folder(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = load(models / "plain")
    other = load(models / "debiased")

    def titles(*folders, saved=(one, one)):
        named = zip(saved, folders, strict=True)
        found = {str(i): ModelSource(e.model, "", at, saved=e) for i, (e, at) in enumerate(named)}
        return list(titled(found).values())

    assert titles("runs/a", "runs/b") == ["plain (a)", "plain (b)"]
    assert titles("runs/a/models/plain", "runs/b/models/plain/") == ["plain (a)", "plain (b)"]
    assert titles("x/run", "y/run") == ["plain (x/run)", "plain (y/run)"]
    assert titles("run", "./run") == ["plain (run)", "plain (run) 2"]
    assert titles("/home/her/run", "/home/him/run") == ["plain (run)", "plain (run) 2"]  # places tell nothing
    assert titles("a", "b", saved=(one, other)) == []


def test_older_records_keep_their_titles(models, test_flags, tmp_path):
    out = tmp_path / "out"
    folders = [str(models / "plain"), str(models / "plain")]
    assert main(["evaluate", *folders, *test_flags, "--quiet", "--replicates=200", f"--out={out}"]) == 0
    content = json.loads((out / "record.json").read_text())
    assert {"windows", "threshold"}.isdisjoint(content["settings"])
    content["models"]["plain-2"]["title"] = "plain 2"
    shutil.copytree(out, tmp_path / "old")
    (tmp_path / "old" / "record.json").write_text(json.dumps(content))
    assert "plain 2" in report.text(report.read(tmp_path / "old"))
