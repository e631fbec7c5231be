"""`evaluate`: what its flags ask of the job, and what it prints."""

import equipoise.report
from equipoise.cli import main
from equipoise.run import Measuring, Network, Sources


def test_flags_reach_the_job_and_the_text_is_printed(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(equipoise.report, "text", lambda record: f"{record}!", raising=False)
    job = asked("evaluate", "numbers")
    flags = ["--positives=p", "--negatives=n", "--groups=race", "--fpr=0.1", "--seed=4", "--encoder=m:e"]
    assert main(["evaluate", "one", "two", *flags, "--device=cpu", f"--out={tmp_path}", "--overwrite"]) == 0
    (((models, sources), found),) = job
    assert [vars(one) for one in models] == [vars(Network("one")), vars(Network("two"))]
    assert sources == Sources("p", "n")
    assert found["measuring"] == Measuring(("race",), 0.1)
    assert (found["seed"], found["encoder"], found["engine"].device) == (4, "m:e", "cpu")
    output = found["output"]
    assert (output.out, output.overwrite, output.resume) == (tmp_path, True, False)
    assert capsys.readouterr().out == f"numbers!\n\nReport: {tmp_path / 'report.html'}\n"
