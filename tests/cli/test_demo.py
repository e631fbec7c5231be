"""`demo`: what its flags ask of the job, and what it prints."""

import inspect
from pathlib import Path

import pytest

import equipoise.report
from equipoise import run
from equipoise.cli import main

ENGINE = inspect.signature(run.demo).parameters["engine"].default


@pytest.fixture
def job(asked, monkeypatch):
    monkeypatch.setattr(equipoise.report, "demo_text", lambda record: f"first line\nof {record}")
    return asked("demo", "the record")


def test_without_flags_it_is_asked_for_what_the_function_does_by_itself(job):
    assert main(["demo"]) == 0
    (((images,), found),) = job
    assert images == 15000
    assert (found["training"].recipe, found["training"].seed) == (None, 0)
    assert found["engine"] == ENGINE
    assert found["output"].out == Path("runs/demo")


def test_its_flags_reach_the_job(job, tmp_path):
    flags = ["--images=500", "--seed=3", "--device=cpu", f"--out={tmp_path}", "--overwrite", "--quiet"]
    assert main(["demo", *flags]) == 0
    (((images,), found),) = job
    assert images == 500
    assert found["training"].seed == 3
    assert (found["engine"].device, found["engine"].progress) == ("cpu", False)
    assert (found["output"].out, found["output"].overwrite) == (tmp_path, True)
    assert found["output"].command.startswith("equipoise demo --images=500")


def test_it_prints_what_was_shown_and_where_the_page_is(job, tmp_path, capsys):
    assert main(["demo", f"--out={tmp_path}"]) == 0
    said = capsys.readouterr()
    assert said.out == f"first line\nof the record\n\nReport: {tmp_path / 'fix' / 'report.html'}\n"
    assert said.err == ""


def test_too_few_images_are_told_with_the_flag(tmp_path, capsys):
    assert main(["demo", "--images=10", f"--out={tmp_path}"]) == 2
    assert "--images must be at least 400" in capsys.readouterr().err
