"""Flags, the settings file, and which of them wins."""

import tomllib

import pytest

from equipoise.cli import main
from equipoise.pictures.framing import Framing


@pytest.fixture
def asked(monkeypatch):
    """What the main job was asked to do, in place of doing it."""
    import equipoise.report
    import equipoise.run

    calls = []

    def job(sources, **asked):
        calls.append({"sources": sources, **asked})

    monkeypatch.setattr(equipoise.run, "debias", job)
    monkeypatch.setattr(equipoise.report, "text", lambda record: "", raising=False)
    return calls


def settings_file(tmp_path, text):
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return str(path)


def test_flags_reach_the_job(asked):
    assert (
        main(["debias", "--positives", "a", "--negatives", "b", "--groups", "race,gender", "--fpr", "0.05"])
        == 0
    )
    assert asked[0]["sources"].positives == "a"
    assert asked[0]["sources"].negatives == "b"
    assert asked[0]["measuring"].groups == ("race", "gender")
    assert asked[0]["measuring"].fpr == 0.05


@pytest.mark.parametrize(
    "given", [["race,gender"], ["race", "gender"], ["race", "--groups", "gender"], ["race, gender,race"]]
)
def test_groups_in_every_spelling(asked, given):
    assert main(["debias", "--groups", *given]) == 0
    assert asked[0]["measuring"].groups == ("race", "gender")


def test_how_data_are_read_and_split_reaches_the_job(asked, tmp_path):
    flags = ["--split-column", "partition", "--together", "subject", "--allow-outside"]
    file = 'split-column = "partition"\ntogether = "subject"\nallow_outside = true\n'
    for given in (flags, ["--config", settings_file(tmp_path, file)]):
        assert main(["debias", *given]) == 0
        reading = asked.pop()["reading"]
        assert (reading.split_column, reading.together, reading.allow_outside) == (
            "partition",
            "subject",
            True,
        )
    assert main(["debias"]) == 0
    assert asked.pop()["reading"].settings()["split_column"] is None


def test_how_pictures_are_framed_reaches_the_job(asked, tmp_path):
    flags = ["--image-size=224", "--resize=bilinear", "--crop=0.875", "--cache-limit=2GB"]
    file = 'image-size = 224\nresize = "bilinear"\ncrop = 256\ncache-limit = "2GB"\n'
    for given in (flags, ["--config", settings_file(tmp_path, file)]):
        assert main(["debias", *given]) == 0
        reading = asked.pop()["reading"]
        assert reading.framing == Framing(224, resize=256, interpolation="bilinear")
        assert reading.cache_limit == "2GB"
    assert main(["debias", "--squash"]) == 0
    assert asked.pop()["reading"].framing == Framing(64, "squash")
    assert main(["debias"]) == 0
    assert asked.pop()["reading"].framing == Framing(64)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--resize=area"], "nearest, bilinear, bicubic, lanczos"),
        (["--crop=9"], "--crop must be a share"),
        (["--crop=0.9", "--squash"], "Nothing is cropped with --squash"),
        (["--cache-limit=10"], "bytes with a unit"),
        (["--image-size=0"], "size of 1 or more"),
    ],
)
def test_a_framing_that_cannot_be_is_refused_before_anything_is_read(asked, capsys, flags, words):
    assert main(["debias", *flags]) == 2
    assert words in capsys.readouterr().err
    assert not asked


@pytest.mark.slow
@pytest.mark.parametrize("command", ["debias", "sweep", "augment", "train", "train-generator", "evaluate"])
def test_every_command_with_sides_takes_the_split_column(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--split-column" in shown
    assert "--together" in shown


@pytest.mark.parametrize("command", ["score", "data", "audit"])
def test_commands_without_sides_do_not(command, capsys):
    assert main([command, "--help"]) == 0
    assert "--split-column" not in capsys.readouterr().out
    assert main([command, "x", "--together=x"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", ""],
        ["debias", "--positives", ""],
        ["debias", "--out="],
        ["train", "--cache", " "],
        ["score", "", "images"],
        ["evaluate", ""],
        ["report", ""],
    ],
)
def test_an_empty_path_is_not_this_folder(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "got an empty one" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_empty_path_in_the_settings_file_neither(tmp_path, capsys):
    assert main(["debias", "--config", settings_file(tmp_path, 'data = ""\n')]) == 2
    assert "Expected a value for --data" in capsys.readouterr().err


def test_flags_change_the_recipe(asked):
    flags = ["--recipe", "mit-2021", "--epochs", "3", "--ess", "0.5", "--tune", "resampling.bins=20"]
    assert main(["debias", *flags, "--tune", "debiased.learning_rate=1e-3"]) == 0
    recipe = asked[0]["training"].recipe
    assert (recipe.plain.epochs, recipe.debiased.epochs) == (3, 3)
    assert (recipe.resampling.ess, recipe.resampling.bins) == (0.5, 20)
    assert recipe.debiased.learning_rate == 1e-3
    assert recipe.plain.learning_rate == 5e-4


def test_flags_win_over_the_file_and_the_file_over_defaults(asked, tmp_path):
    path = settings_file(
        tmp_path, 'seed = 3\nfpr = 0.02\ngroups = ["race"]\ncontrols = false\nbatch-size = 16\n'
    )
    assert main(["debias", "--config", path, "--fpr", "0.1"]) == 0
    assert asked[0]["training"].seed == 3
    assert asked[0]["measuring"].fpr == 0.1
    assert asked[0]["measuring"].groups == ("race",)
    assert asked[0]["measuring"].controls is False
    assert asked[0]["training"].recipe.debiased.batch_size == 16
    assert asked[0]["measuring"].replicates == 2000


def test_the_command_is_recorded(asked):
    assert main(["debias", "--positives", "my faces", "--negatives", "b"]) == 0
    assert asked[0]["output"].command == "equipoise debias --positives 'my faces' --negatives b"


@pytest.mark.parametrize("key", ["epoch", "batchsize", "positive"])
def test_an_unknown_key_names_the_nearest(tmp_path, capsys, key):
    assert main(["debias", "--config", settings_file(tmp_path, f"{key} = 1\n")]) == 2
    message = capsys.readouterr().err
    assert f"unknown key {key!r}" in message
    nearest = {"epoch": "epochs", "batchsize": "batch-size", "positive": "positives"}[key]
    assert f"Did you mean {nearest!r}?" in message


def test_a_file_of_another_command_is_refused(tmp_path, capsys):
    assert main(["debias", "--config", settings_file(tmp_path, 'command = "train"\n')]) == 2
    assert "settings of `equipoise debias`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = \n", "Expected TOML"),
        ('seed = "many"\n', "unable to convert"),
        ("[seed]\nx = 1\n", "seed"),
    ],
)
def test_a_bad_file_is_one_message(tmp_path, capsys, text, words):
    assert main(["debias", "--config", settings_file(tmp_path, text)]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message


def test_a_missing_file(tmp_path, capsys):
    assert main(["debias", "--config", str(tmp_path / "none.toml")]) == 2
    assert "Expected a settings file" in capsys.readouterr().err


def test_every_setting_of_a_file_is_a_flag(asked, tmp_path):
    from equipoise.run.identity import settings_text
    from equipoise.run.sources import Reading
    from equipoise.train import Engine

    written = settings_text(
        {
            "command": "debias",
            "positives": "a",
            "negatives": "b",
            **Reading(cache="c").settings(),
            **Engine().settings(),
            "groups": ("race",),
            "tune": ("resampling.bins=20",),
            "controls": True,
            "test_share": 0.3,
            "images": 100,
        }
    )
    assert main(["debias", "--config", settings_file(tmp_path, written)]) == 0
    assert asked[0]["reading"] == Reading(cache="c")
    assert asked[0]["training"].recipe.resampling.bins == 20
    assert tomllib.loads(written)["test_share"] == asked[0]["sources"].test_share
