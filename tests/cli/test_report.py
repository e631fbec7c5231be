"""`report`: the page of a folder again, whichever job's it is."""

import pytest

import equipoise.report
from equipoise.cli import main

KINDS = {"record.json": "", "audit.json": "_audit", "augment.json": "_augment", "sweep.json": "_sweep"}


@pytest.fixture
def rendering(monkeypatch):
    """What was read and written, in order, in place of doing it."""
    done = []

    def put(name, does):
        monkeypatch.setattr(equipoise.report, name, does, raising=False)

    for end in KINDS.values():
        kind = end.removeprefix("_") or "run"
        put(f"read{end}", lambda folder, kind=kind: done.append(f"read {kind}") or kind)
        put(f"{end.removeprefix('_')}_text".removeprefix("_"), lambda record: f"what {record}\nfound")
        put(f"write{end}_report", lambda folder, kind=kind: done.append(f"write {kind}") or folder / "page")
    return done


@pytest.mark.parametrize("file", KINDS)
def test_the_file_that_lies_there_says_whose_report_it_is(rendering, tmp_path, capsys, file):
    (tmp_path / file).touch()
    assert main(["report", str(tmp_path)]) == 0
    kind = KINDS[file].removeprefix("_") or "run"
    assert rendering == [f"read {kind}", f"write {kind}"]
    assert capsys.readouterr().out == f"what {kind}\nfound\n\nReport: {tmp_path / 'page'}\n"


def test_quiet_says_the_place_alone(rendering, tmp_path, capsys):
    assert main(["report", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().out == f"Report: {tmp_path / 'page'}\n"


def test_a_folder_of_nothing_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "Expected a run record" in capsys.readouterr().err


def test_parts_that_contradict_one_another_are_a_damaged_file(rendering, tmp_path, monkeypatch, capsys):
    def broken(record):
        raise KeyError("debiased")

    monkeypatch.setattr(equipoise.report, "text", broken, raising=False)
    assert main(["report", str(tmp_path)]) == 2
    assert "whose parts fit one another; got KeyError: 'debiased'" in capsys.readouterr().err
