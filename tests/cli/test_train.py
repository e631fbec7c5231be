"""`train`: what its flags ask of the job, and what it prints."""

from types import SimpleNamespace

import equipoise.report
from equipoise.cli import main
from equipoise.run import Sources


def trained(*, steps=1200, seconds=4.0, resampling=None):
    fitted = SimpleNamespace(steps=steps, seconds=seconds)
    return SimpleNamespace(fit=fitted, resampling=resampling, resampling_by_class={})


def test_flags_reach_the_job(asked, tmp_path):
    job = asked("train", trained())
    flags = ["--data=a", "--method=uniform", "--groups=race,age", "--batch-size=64", f"--out={tmp_path}"]
    assert main(["train", *flags, "--overwrite"]) == 0
    (((sources,), found),) = job
    assert sources == Sources(data="a")
    assert (found["method"], tuple(found["groups"])) == ("uniform", ("race", "age"))
    assert found["training"].recipe.debiased.batch_size == 64
    assert found["output"].out == tmp_path
    assert found["output"].overwrite


def test_debiased_is_what_is_trained_by_itself(asked):
    job = asked("train", trained())
    assert main(["train"]) == 0
    assert job[0][1]["method"] == "debiased"


def test_it_prints_speed_and_place_and_who_was_drawn_if_anything_was(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(equipoise.report, "resampling_text", lambda found: f"drawn:\n{found}", raising=False)
    asked("train", trained())
    assert main(["train", f"--out={tmp_path}"]) == 0
    place = f"Model: {tmp_path / 'model.safetensors'}\n"
    assert capsys.readouterr().out == f"1,200 steps in 4 s (300 steps/s)\n{place}"
    asked("train", trained(seconds=0.0, steps=0, resampling="dark 2 times"))
    assert main(["train", f"--out={tmp_path}"]) == 0
    assert capsys.readouterr().out == f"0 steps in 0 s (0 steps/s)\n\ndrawn:\ndark 2 times\n\n{place}"
