"""`data`: what its flags ask of the job, and what it prints."""

import equipoise.run
from equipoise.cli import main
from equipoise.run import Sources


def test_flags_reach_the_job_and_what_was_written_is_said(asked, tmp_path, monkeypatch, capsys):
    job = asked("look", "the table")
    monkeypatch.setattr(
        equipoise.run, "described", lambda *given: [f"{given[0]} by {given[1]}; `shown` is 9", "second"]
    )
    sheet, rejected = tmp_path / "s.png", tmp_path / "r.csv"
    flags = [
        "--groups=race",
        "--seed=2",
        "--shown=9",
        f"--sheet={sheet}",
        f"--rejected={rejected}",
        "--quiet",
    ]
    assert main(["data", "faces.csv", *flags]) == 0
    (((sources,), found),) = job
    assert sources == Sources(data="faces.csv")
    assert (found["groups"], found["seed"], found["shown"]) == (("race",), 2, 9)
    assert (found["sheet"], found["rejected"], found["progress"]) == (sheet, rejected, False)
    assert capsys.readouterr().out.splitlines() == [
        "the table by ('race',); --shown is 9",
        "second",
        f"Contact sheet: {sheet}",
        f"Rejected pictures: {rejected}",
    ]


def test_without_a_source_the_embedded_set_is_looked_at(asked, monkeypatch):
    job = asked("look", "the table")
    monkeypatch.setattr(equipoise.run, "described", lambda *given: [])
    assert main(["data", "--images=100"]) == 0
    assert job[0][0] == (Sources(images=100),)
    assert job[0][1]["reading"].max_rejected == 1  # what cannot be read is what one wants to see
