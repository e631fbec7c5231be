"""Settings that errors and lines name are shown as the flags of the command that runs, in one place."""

import re
from pathlib import Path

import pytest

import equipoise
from equipoise.cli import main
from equipoise.cli.flags import with_flags
from equipoise.cli.invocation import ARGUMENTS


@pytest.fixture
def running():
    """Says which command runs."""
    tokens = []

    def begin(*arguments):
        tokens.append(ARGUMENTS.set(arguments))

    yield begin
    for token in reversed(tokens):
        ARGUMENTS.reset(token)


@pytest.mark.parametrize(
    ("command", "text", "shown"),
    [
        ("debias", "a larger `test_share`, or `out`", "a larger --test-share, or --out"),
        ("sweep", "`vary` seed=0,1 and fewer `jobs`", "--vary seed=0,1 and fewer --jobs"),
        ("debias", "fewer `jobs`", "fewer `jobs`"),  # no flag of it
        (
            "audit",
            "`epochs` of `AuditRecord`, `a b`, `layer.0`",
            "--epochs of `AuditRecord`, `a b`, `layer.0`",
        ),
        ("train-generator", "`score_with`", "--score-with"),
        ("nothing", "`out`", "`out`"),
    ],
)
def test_a_setting_in_backticks_is_its_flag(running, command, text, shown):
    running(command, "--quiet")
    assert with_flags(text) == shown


def test_without_a_command_nothing_changes():
    assert with_flags("Choose another `out`.") == "Choose another `out`."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["debias", "--resume", "--overwrite"], "Expected one of --resume and --overwrite"),
        (["debias", "--positives=a"], "Expected --negatives beside --positives"),
        (["debias", "--test-share=2"], "--test-share must be a share"),
        (["augment", "x", "--target=a", "--protected=a"], "--protected must be one column"),
        (["data", "a", "--data=b"], "another as --data"),
        (["audit", "x:y", "d", "--mean=a"], "--mean must be numbers"),
        (["score", "x:y", "d", "--on=dask"], "Expected --on as ray"),
        (["audit", "x:y", "d", "--on=ray://a"], "Expected --on as ray"),
        (["fix", "x:y", "--data=d", "--on=ray://127.0.0.1:1"], "Expected a Ray cluster at --on"),
        (["train", "--precision=8"], "--precision must be one of"),
        (
            ["debias", "--encoder=a", "--embedding=b", "--embedding-column=c"],
            "Expected --encoder package.module",
        ),
    ],
)
def test_errors_of_a_run_name_flags(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "`" not in said


@pytest.mark.parametrize("room", ["run", "train", "data", "nn", "risk", "latent", "fairness", "cluster"])
def test_no_room_but_this_one_knows_flags(room):
    """What libraries say names settings; a flag in it would mean nothing to whoever calls them from Python."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in (Path(equipoise.__file__).parent / room).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"(?<![\w-])--[a-z]", line)
        and "--config" not in line  # what settings.toml is for
        and "hf download" not in line  # the hub's own command
    ]
    assert found == []
