"""Ordinary files only."""

import os
import socket

import pytest

from equipoise.data import read
from equipoise.data.text_file import decoded_text, regular
from equipoise.errors import DataError


def test_what_never_ends_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.parquet")
    for name in ("pipe.csv", "zero.csv", "pipe.parquet"):
        for format in (None, "manifest"):
            with pytest.raises(DataError, match="ordinary file"):
                read(tmp_path / name, format=format)
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(
            str(tmp_path / "s.jsonl")[-100:] if len(str(tmp_path)) < 90 else str(tmp_path / "s.jsonl")
        )
        with pytest.raises(DataError, match="ordinary file"):
            regular(tmp_path / "s.jsonl")


def test_a_folder_and_nothing(tmp_path):
    with pytest.raises(DataError, match="got a folder"):
        decoded_text(tmp_path)
    with pytest.raises(DataError, match="No such file"):
        decoded_text(tmp_path / "nowhere")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("a\n")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(DataError, match=r"Permission denied\. Check its permissions"):
        decoded_text(tmp_path / "a.csv")
