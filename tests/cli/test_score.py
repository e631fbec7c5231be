"""`score`: what its flags ask of the job, and what it prints."""

from equipoise.cli import main
from equipoise.run import Network, Sources


def test_images_of_which_nothing_is_known(asked, tmp_path, capsys):
    job = asked("score", range(1234))
    out = tmp_path / "s.parquet"
    assert main(["score", "model", "pictures", f"--out={out}", "--device=cpu", "--max-rejected=0.5"]) == 0
    ((given, found),) = job
    assert (vars(given[0]), given[1]) == (vars(Network("model")), "pictures")
    assert found["sources"] == Sources()
    assert (found["out"], found["engine"].device) == (out, "cpu")
    assert found["reading"].max_rejected == 0.5
    assert capsys.readouterr().out == f"1,234 images scored: {out}\n"


def test_images_with_labels_and_an_encoder(asked):
    job = asked("score", [])
    assert main(["score", "model", "--positives=p", "--encoder=m:e"]) == 0
    ((given, found),) = job
    assert (vars(given[0]), given[1]) == (vars(Network("model", "m:e")), None)
    assert found["sources"] == Sources("p")
    assert str(found["out"]) == "scores.parquet"


def test_quiet_tells_nothing_of_the_stages(asked, capsys):
    job = asked("score", [])
    for flags, said in (([], "a stage\n"), (["--quiet"], "")):
        assert main(["score", "model", "pictures", *flags]) == 0
        job.pop()[1]["tell"]("a stage")
        assert capsys.readouterr().err == said
