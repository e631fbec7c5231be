"""The cache's folder, and folders that appear whole or not at all."""

import errno
import os
import sys

import pytest

from equipoise.data import cache
from equipoise.errors import DataError, InputError


def test_the_faster_process_wins(tmp_path):
    for content in (b"1", b"2"):
        with cache.appearing(tmp_path) as building:
            (building / "x").write_bytes(content)
            cache.place(building, tmp_path / "entry")
    assert (tmp_path / "entry" / "x").read_bytes() == b"1"
    assert [left.name for left in tmp_path.iterdir()] == ["entry"]


def test_where_the_cache_is(monkeypatch, tmp_path):
    assert cache.cache_folder(tmp_path) == tmp_path
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "a"))
    assert cache.cache_folder() == tmp_path / "a"
    monkeypatch.delenv("EQUIPOISE_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache.cache_folder() == tmp_path / "b" / "equipoise"


def test_a_broken_folder_goes(tmp_path):
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "x").touch()
    cache.remove(tmp_path / "entry")
    assert list(tmp_path.iterdir()) == []
    cache.remove(tmp_path / "entry")  # another process was faster
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "Free some space"), (errno.EROFS, "Change its permissions")]
)
def test_a_build_that_fails_leaves_nothing(tmp_path, code, words):
    def build():
        with cache.appearing(tmp_path) as building:
            (building / "x").touch()
            raise OSError(code, os.strerror(code))

    with pytest.raises(DataError, match=words):
        build()
    assert list(tmp_path.iterdir()) == []


def filled(folder):
    """A cache with an entry on every floor, made by what makes them."""
    from PIL import Image

    from equipoise.data import planted, read

    pictures = folder.parent / "pictures"
    pictures.mkdir()
    Image.new("RGB", (8, 8)).save(pictures / "a.png")
    read(pictures, label=1, image_size=8, cache=folder)
    planted(20, size=16, cache=folder)
    return folder


def test_clearing_removes_all_that_is_made(tmp_path):
    folder = filled(tmp_path / "cache")
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    found = cache.clear(folder)
    assert (found.files, found.bytes, found.left) == (len(files), size, 0)
    assert len(files) >= 11
    assert list(folder.iterdir()) == []
    assert cache.clear(folder) == cache.Cleared(folder, 0, 0, 0)
    assert cache.clear(tmp_path / "none").files == 0


def test_clearing_leaves_what_is_not_the_caches(tmp_path):
    folder = filled(tmp_path / "cache")
    entry = next((folder / "pixels").iterdir())
    mine = [
        folder / "notes.txt",
        folder / "index" / "mine.json",
        entry / "mine.npy",
        folder / "pixels" / "x" / "seal.json",
    ]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    away = tmp_path / "away"
    away.mkdir()
    (away / "seal.json").write_text("mine")
    (folder / "pixels" / ("a" * 32)).symlink_to(away)
    (entry / "images.u8").unlink()
    (entry / "images.u8").symlink_to(mine[0])
    part = folder / "pixels" / f"{cache.part_name()}x"
    part.mkdir()
    (part / "images.u8").write_text("being built")
    assert cache.clear(folder).left == 4 + 1 + 1  # mine, a link to a file, a build
    assert all(path.read_text() == "mine" for path in (*mine, away / "seal.json"))
    assert (part / "images.u8").exists()
    assert not (entry / "seal.json").exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_clearing_refuses_what_is_no_cache(tmp_path, kind):
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        (place / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="Expected a cache of equipoise"):
        cache.clear(place)
    assert place.exists()


def test_clearing_on_the_command_line(tmp_path, capsys, monkeypatch):
    from equipoise.cli import main

    folder = filled(tmp_path / "cache")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(folder))
    assert main(["data", "--clear-cache"]) == 0
    assert "files of " in capsys.readouterr().out
    assert list(folder.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").touch()
    assert main(["data", "--clear-cache", f"--cache={tmp_path / 'mine'}"]) == 2
    assert "--cache" in capsys.readouterr().err
    assert (tmp_path / "mine" / "a").exists()
