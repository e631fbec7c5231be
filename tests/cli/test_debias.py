"""`debias`: what its flags ask of the job, and what it prints."""

from pathlib import Path

import pytest

import equipoise.report
from equipoise.cli import main
from equipoise.run import Engine, Measuring, Reading, Sources


@pytest.fixture
def job(asked, monkeypatch):
    monkeypatch.setattr(equipoise.report, "text", lambda record: f"first line\nof {record}", raising=False)
    return asked("debias", "the record")


def test_without_flags_it_is_asked_for_what_the_function_does_by_itself(job):
    assert main(["debias"]) == 0
    (((sources,), found),) = job
    assert sources == Sources()
    assert found["reading"] == Reading()
    assert found["measuring"] == Measuring()
    assert found["engine"] == Engine()
    training = found["training"]
    assert (training.recipe.name, training.seed, training.encoder) == ("equipoise", 0, None)
    assert found["output"].out == Path("runs/debias")


def test_each_group_of_flags_reaches_its_object(job, tmp_path):
    flags = [
        *("--positives=a", "--negatives=b", "--test-positives=c", "--test-negatives=d", "--images=50"),
        *("--groups=race", "--fpr=0.2", "--replicates=7", "--no-controls", "--seed=3", "--epochs=9"),
        *(
            "--encoder=m:e",
            "--embedding=m:f",
            "--image-size=48",
            "--test-share=0.3",
            "--device=cpu",
            "--quiet",
        ),
        *(f"--out={tmp_path}", "--resume"),
    ]
    assert main(["debias", *flags]) == 0
    (((sources,), found),) = job
    assert sources == Sources("a", "b", test_positives="c", test_negatives="d", images=50, test_share=0.3)
    assert found["measuring"] == Measuring(("race",), 0.2, 7, controls=False)
    assert found["reading"].image_size == 48
    training = found["training"]
    assert (training.encoder, training.embedding, training.seed) == ("m:e", "m:f", 3)
    assert training.recipe.plain.epochs == training.recipe.debiased.epochs == 9
    assert (found["engine"].device, found["engine"].progress) == ("cpu", False)
    assert (found["output"].resume, found["output"].overwrite) == (True, False)
    assert found["output"].command.startswith("equipoise debias --positives=a --negatives=b")


def test_it_prints_the_text_of_the_record_and_where_the_report_is(job, tmp_path, capsys):
    assert main(["debias", f"--out={tmp_path}"]) == 0
    said = capsys.readouterr()
    assert said.out == f"first line\nof the record\n\nReport: {tmp_path / 'report.html'}\n"
    assert said.err == ""
