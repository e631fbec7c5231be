"""Records that are damaged, or that somebody gave us as ours: each says what is wrong, and none does harm."""

import dataclasses
import os
import resource
import time

import pytest

from equipoise.rate import Rate
from equipoise.report import write, write_audit, write_augment, write_sweep
from equipoise.report.sweep.record import SweepRecord, SweptModel, SweptPoint, SweptRun, SweptSampling

KINDS = ("record.json", "audit.json", "augment.json", "sweep.json")


def sweep():
    rate = Rate(0.2, 0.1, 0.3, 3)
    of_groups = {"skin": {"dark": rate, "light": rate}}
    model = SweptModel("debiased", rate, rate, {"skin": "dark"}, {"skin": rate}, {"skin": rate})
    sampling = SweptSampling(rate, rate, {"skin": {"dark": 0.1, "light": 0.9}}, of_groups)
    models, values = {"plain": model, "debiased": model}, ({"ess": "0.5"}, {"ess": "0.9"})
    return SweepRecord(
        command="equipoise sweep",
        settings={"recipe": "mit-2021"},
        versions={"equipoise": "0.1.0"},
        vary={"ess": ["0.5", "0.9"]},
        seeds=[0],
        fpr=0.01,
        attributes=["skin"],
        rarest={"skin": "dark"},
        runs=[SweptRun(i, at, 0, f"points/{i}", None, 1.0, models, sampling) for i, at in enumerate(values)],
        points=[SweptPoint(at, [0], 0, models, sampling) for at in values],
    )


@pytest.fixture
def folders(tmp_path, make_record, make_audit, make_augment):
    """File → a folder that holds it, whole."""
    made = {}
    for name, writer, record in (
        ("record.json", write, make_record(models=2)),
        ("audit.json", write_audit, make_audit(risks=2)),
        ("augment.json", write_augment, make_augment()),
        ("sweep.json", write_sweep, sweep()),
    ):
        made[name] = tmp_path / name.partition(".")[0]
        made[name].mkdir()
        writer(record, made[name])
    return made


def tried(folder, name, content, told):
    (folder / name).write_bytes(content)
    began = time.perf_counter()
    code, said = told("report", folder)
    assert time.perf_counter() - began < 30
    assert code == 0 or name in said, said
    return code


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_damaged_records_are_said(folders, name, damaged, told):
    whole = (folders[name] / name).read_bytes()
    assert tried(folders[name], name, whole, told) == 0
    codes = [tried(folders[name], name, damaged(whole, seed), told) for seed in range(4)]
    assert 2 in codes


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", KINDS)
def test_many_damaged_records_are_said(folders, name, damaged, told):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    whole = (folders[name] / name).read_bytes()
    codes = [tried(folders[name], name, damaged(whole, seed), told) for seed in range(1000, 1250)]
    assert codes.count(2) > 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KB


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "text", "outside"])
def test_pictures_that_are_no_pictures_are_left_out(kind, folders, make_record, tmp_path, told):
    folder = folders["record.json"]
    file = "pictures/a.png" if kind != "outside" else "../b.png"
    (folder / "pictures").mkdir()
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    place = folder / "pictures" / "a.png"
    match kind:
        case "pipe":
            os.mkfifo(place)  # opening it would wait for ever
        case "link":
            place.symlink_to(tmp_path / "b.png")
        case "folder":
            place.mkdir()
        case "text":
            place.write_text("secret")
    write(dataclasses.replace(make_record(models=2), pictures={"reconstructions": file}), folder)
    assert told("report", folder)[0] == 0
    page = (folder / "report.html").read_text()
    assert "data:image/png" not in page
    assert "left out" in page or "is missing" in page


def test_files_that_no_reader_takes(tmp_path, told, monkeypatch):
    monkeypatch.setattr("equipoise.files.MOST_BYTES", 100)
    place = tmp_path / "record.json"
    place.write_text("[" + "1," * 200 + "1]")
    assert "more than 100" in told("report", tmp_path)[1]
    place.unlink()
    os.mkfifo(place)
    assert "not a file" in told("report", tmp_path)[1]
    place.unlink()
    place.mkdir()
    assert told("report", tmp_path)[0] == 2
    place.rmdir()
    place.symlink_to("/dev/zero")
    assert "not a file" in told("report", tmp_path)[1]
