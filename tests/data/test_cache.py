"""The cache's folder, and folders that appear whole or not at all."""

import errno
import os
import sys

import pytest

from equipoise.data import cache
from equipoise.errors import DataError


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
