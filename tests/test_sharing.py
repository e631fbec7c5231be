import os
from dataclasses import dataclass, field

import pytest

from equipoise.sharing import shareable, shared_path


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("path", "below", "shown"),
    [
        ("relative/a.png", None, "relative/a.png"),
        ("../up/a.png", None, "../up/a.png"),
        ("/data/secret/faces/a/1.png", "/data/secret/faces", "…/faces/a/1.png"),
        ("/data/secret/faces/a/1.png", "/data/secret/faces/", "…/faces/a/1.png"),
        ("/elsewhere/a/1.png", "/data/secret/faces", "…/1.png"),
        ("/data", None, "…/data"),
        ("/data/a b/c d", None, "…/c d"),
        ("member 3 of x.parquet", "/x", "member 3 of x.parquet"),
    ],
)
def test_paths_keep_what_is_below_what_was_given(path, below, shown, here):
    assert shared_path(path, below) == shown
    assert shared_path(shown, below) == shown


def test_below_the_current_folder_paths_are_relative(here):
    assert shared_path(str(here / "faces" / "1.png")) == "faces/1.png"
    assert shared_path(str(here)) == "."
    (here.parent / "faces").mkdir()
    (here.parent / "faces" / "list.csv").touch()
    listed = str(here.parent / "faces" / "a" / "1.png")
    assert shared_path(listed, str(here.parent / "faces" / "list.csv")) == "…/faces/a/1.png"
    assert shared_path(str(here) + "-other/1.png") == "…/1.png"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "equipoise debias --out=/srv/runs/x --data /srv/d.csv -q",
            "equipoise debias --out=…/x --data …/d.csv -q",
        ),
        ("equipoise score '/srv/a b/c'", "equipoise score '…/a b/c'"),
        ("Expected pictures in /srv/x/faces; got none.", "Expected pictures in …/faces; got none."),
        ("see file:///srv/x/y.csv", "see …/y.csv"),
        ("either/or, 1/2, https://example.org/a/b", "either/or, 1/2, https://example.org/a/b"),
        ("{here}/faces and {home}/faces", "faces and …/faces"),
        ("planted", "planted"),
    ],
)
def test_sentences_and_commands(text, shown, here):
    text = text.replace("{here}", str(here)).replace("{home}", str(here.parent / "home"))
    assert shareable(text) == shown
    assert shareable(shown) == shown


@dataclass(frozen=True)
class Inner:
    source: str
    groups: dict[str, str]


@dataclass(frozen=True)
class Record:
    command: str
    settings: dict[str, object]
    inner: list[Inner]
    models: dict[str, Inner] = field(default_factory=dict)


def test_records_lose_places_and_no_names(here):
    inner = Inner("/srv/secret/faces", {"/m/0abc": "/m/0xyz"})
    record = Record(
        "x /srv/secret/y", {"data": "/srv/secret/z", "many": ("/a/b", 3)}, [inner], {"/m/1": inner}
    )
    found = shareable(record)
    assert found.command == "x …/y"
    assert found.settings == {"data": "…/z", "many": ("…/b", 3)}
    assert found.inner == [Inner("…/faces", {"/m/0abc": "/m/0xyz"})]  # names of groups are data
    assert list(found.models) == ["/m/1"]
    assert shareable(found) == found
    assert os.getcwd() == str(here)
