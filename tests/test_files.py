import json
import os
import stat
from pathlib import Path

import pytest

from equipoise import files
from equipoise.errors import DataError


def test_text_bytes_and_json_are_written_whole(tmp_path: Path):
    files.write_text(tmp_path / "new" / "a.txt", "é")
    files.write_bytes(tmp_path / "b", b"\0")
    files.write_json(tmp_path / "c.json", {"x": [1, None]})
    assert (tmp_path / "new" / "a.txt").read_bytes() == "é".encode()
    assert (tmp_path / "b").read_bytes() == b"\0"
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8")) == {"x": [1, None]}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interruption_leaves_the_earlier_file_and_no_rest(tmp_path: Path, error):
    target = tmp_path / "a.txt"
    target.write_text("before")

    def interrupted():
        with files.replacing(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert target.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_mode_follows_the_umask(tmp_path: Path):
    files.write_text(tmp_path / "a", "x")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


def test_a_nan_is_not_json(tmp_path: Path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", float("nan"))
    assert not (tmp_path / "a.json").exists()


def test_a_full_disk_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"The disk is full"), files.replacing(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path):
    (tmp_path / "a").write_text("")
    with pytest.raises(DataError, match="Expected to write"):
        files.write_text(tmp_path / "a" / "b", "x")
