import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise import files
from equipoise.data.cache import appearing
from equipoise.errors import DataError
from equipoise.files import remove_abandoned, reserve, write_text


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


@pytest.fixture
def odd_files(tmp_path: Path):
    """What lies in folders and is no file, and links to it."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))
    odd = {"pipe": "pipe", "folder": "folder", "socket": "socket"}
    for name, target in (("zeros", "/dev/zero"), ("nothing", "/dev/null"), ("terminal", "/dev/tty")):
        (tmp_path / name).symlink_to(target)
        odd[name] = "device"
    for name in list(odd)[:3]:
        (tmp_path / f"link to {name}").symlink_to(tmp_path / name)
        odd[f"link to {name}"] = odd[name]
    return {tmp_path / name: kind for name, kind in odd.items()}


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes and devices")
@pytest.mark.parametrize("door", [files.regular, files.open_regular, files.read_bytes, files.read_text])
def test_only_ordinary_files_are_opened(odd_files, door):
    for path, kind in odd_files.items():
        with pytest.raises(OSError, match=rf"a {kind}, not a file") as caught:
            door(path)
        assert caught.value.strerror == f"a {kind}, not a file"


def test_a_link_to_a_file_is_a_file(tmp_path: Path):
    (tmp_path / "a").write_bytes("é".encode())
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert files.regular(tmp_path / "b") == tmp_path / "b"
    assert files.read_text(tmp_path / "b") == "é"
    with files.open_regular(tmp_path / "b") as file:
        assert file.read() == "é".encode()


def test_no_more_is_read_than_was_asked_for(tmp_path: Path, monkeypatch):
    (tmp_path / "a").write_bytes(b"12345")
    assert files.read_bytes(tmp_path / "a", most=5) == b"12345"
    with pytest.raises(OSError, match="5 bytes, more than 4"):
        files.read_bytes(tmp_path / "a", most=4)
    if Path("/proc/self/maps").exists():  # says that it is empty, and is not
        with pytest.raises(OSError, match="11 bytes, more than 10"):
            files.read_bytes("/proc/self/maps", most=10)


def test_missing_files_and_impossible_names(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        files.read_bytes(tmp_path / "a")
    with pytest.raises(ValueError, match="null"):
        files.read_bytes(f"{tmp_path}/a\0b")
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        files.read_text(tmp_path / "a")


DIES = """
import os, signal, sys, time
from equipoise.files import replacing
from equipoise.data.cache import appearing
from pathlib import Path
with replacing(Path(sys.argv[1]) / "scores.parquet") as part, appearing(Path(sys.argv[1])) as folder:
    part.write_text("half")
    (folder / "images.u8").write_text("half")
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def half_way(tmp_path):
    """A process that is in the middle of writing a file and of building a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", DIES, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def parts(folder):
    return [path.name for path in folder.iterdir() if ".part" in path.name]


def test_what_a_killed_process_left_goes_with_the_next_one(half_way, tmp_path):
    assert len(parts(tmp_path)) == 2
    half_way.kill()
    half_way.wait()
    write_text(tmp_path / "scores.parquet", "whole")
    assert len(parts(tmp_path)) == 1  # the folder is not this file's
    with appearing(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]


def test_what_a_living_process_writes_stays(half_way, tmp_path):
    before = parts(tmp_path)
    write_text(tmp_path / "scores.parquet", "whole")
    with appearing(tmp_path):
        remove_abandoned(tmp_path)
    assert parts(tmp_path) == before
    assert (tmp_path / "scores.parquet").read_text() == "whole"
    half_way.communicate("")  # it ends in peace, and its file takes the place
    assert (tmp_path / "scores.parquet").read_text() == "half"
    assert parts(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["notes.part", ".mine.part", "part123", ".partition", ".a.12x.b.part", ".part", ".lecture.part2"]
)
def test_files_of_others_stay(tmp_path, name):
    (tmp_path / name).write_text("mine")
    remove_abandoned(tmp_path)
    write_text(tmp_path / "mine", "x")
    assert (tmp_path / name).read_text() == "mine"


def test_room_is_taken_before_it_is_mapped(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 20)
    reserve(tmp_path / "sparse")
    assert (tmp_path / "sparse").stat().st_blocks * 512 >= 1 << 20
