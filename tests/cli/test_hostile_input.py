"""What others named, in messages, tables and files that a command leaves."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from equipoise.cli import main
from equipoise.shown import cell_value

EVIL = {
    "escape": "\x1b[31mred\x07",
    "override": "\u202efdp",
    "bytes": b"b\xff".decode(errors="surrogateescape"),
    "formula": "=cmd|'x'",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))


def pictures(folder, count=6):
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.mark.parametrize("kind", EVIL)
def test_classes_and_files(kind, tmp_path, told):
    root = tmp_path / "data"
    pictures(root / EVIL[kind])
    pictures(root / "other")
    (root / EVIL[kind] / f"{EVIL[kind].replace('/', '')}.png").write_bytes(b"no picture")
    (root / "other" / "=1+1.png").write_bytes(b"no picture")
    listed = tmp_path / "rejected.csv"
    code, _ = told("data", "--data", root, "--image-size", 32, "--rejected", listed)
    assert code == 0
    rows = list(csv.reader(io.StringIO(listed.read_bytes().decode(), newline="")))[1:]
    assert len(rows) == 2
    assert all(not row[0].startswith(("=", "+", "-", "@")) for row in rows)
    assert any(cell_value(row[0]).endswith("other/=1+1.png") for row in rows)


@pytest.mark.parametrize("kind", EVIL)
def test_errors(kind, tmp_path, told):
    name = EVIL[kind] + "\nSomething fine\r"
    for arguments in (
        ("report", tmp_path / name),
        ("score", tmp_path / name, "x"),
        ("data", "--data", tmp_path / name),
        ("debias", "--recipe", name, "--out", tmp_path / "out"),
        ("data", f"--{name}"),
        (name,),
        ("data", "--config", tmp_path / name),
    ):
        code, said = told(*arguments)
        assert code == 2
        assert "\nSomething fine" not in said


def test_notes_warnings_and_tracebacks(tmp_path, capsys, monkeypatch):
    from equipoise.cli import entry

    error = OSError("cause\x1b[1m\nforged")
    error.add_note("note\u202e\nforged")
    assert entry._explain(error, []) == 1
    assert main(["report", str(tmp_path / "no\x1b[31m"), "--debug"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert not set(said) & set("\x1b\u202e")
    assert "\nforged" not in said
    assert entry._warning(UserWarning("a\x1b\nb"), UserWarning) == "UserWarning: a� b\n"
