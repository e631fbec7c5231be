"""A run's folder: locked, its settings kept, nothing of an earlier run lost by accident."""

import errno
import os
import tomllib

import pytest

from equipoise.errors import DataError, InputError
from equipoise.run.folder import open_folder as opened
from equipoise.run.identity import Identity, settings_text

SETTINGS = {"command": "debias", "recipe": "equipoise", "groups": ("race",), "epochs": None, "device": "cpu"}


def open_folder(path, settings, **options):
    return opened(path, Identity(settings), **options)


def finished(path, settings=SETTINGS):
    with open_folder(path, settings) as folder:
        folder.begin()
        (folder.path / "record.json").write_text("{}")
        (folder.path / "model.safetensors").write_text("old")


def test_a_new_folder(tmp_path):
    with open_folder(tmp_path / "a" / "b", SETTINGS) as folder:
        assert not folder.resumed
        assert not (folder.path / "settings.toml").exists()
        folder.begin()
        assert tomllib.loads((folder.path / "settings.toml").read_text())["groups"] == ["race"]
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["settings.toml"]


def test_settings_text_reads_back():
    text = settings_text(
        {"a": 'quote " and \\ and é\n', "b": True, "c": 1e-7, "d": ["x", "y"], "e": None, "f": 3}
    )
    assert tomllib.loads(text) == {
        "a": 'quote " and \\ and é\n',
        "b": True,
        "c": 1e-7,
        "d": ["x", "y"],
        "f": 3,
    }


def test_a_finished_run_of_the_same_settings_is_handed_back(tmp_path):
    finished(tmp_path)
    with open_folder(tmp_path, SETTINGS | {"device": "cuda"}) as folder:
        assert folder.finished
        assert folder.resumed


def test_a_finished_run_of_other_settings_is_not_overwritten(tmp_path):
    finished(tmp_path)
    other = SETTINGS | {"recipe": "mit-2021"}
    message = r"recipe: 'equipoise' there, 'mit-2021' now.*`overwrite`"
    with pytest.raises(InputError, match=message), open_folder(tmp_path, other):
        pass
    with pytest.raises(InputError, match="recipe"), open_folder(tmp_path, other, resume=True):
        pass
    assert (tmp_path / "model.safetensors").read_text() == "old"


def test_overwrite_replaces_only_what_runs_made_and_only_when_the_new_one_begins(tmp_path):
    finished(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with open_folder(tmp_path, SETTINGS | {"epochs": 2}, overwrite=True) as folder:
        assert (tmp_path / "record.json").exists()
        folder.begin()
        assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "notes.txt", "settings.toml"]


def test_an_unfinished_run_must_be_resumed_or_replaced(tmp_path):
    with open_folder(tmp_path, SETTINGS) as folder:
        folder.begin()
        (tmp_path / "checkpoints").mkdir()
    with (
        pytest.raises(InputError, match=r"unfinished run.*`resume`.*`overwrite`"),
        open_folder(tmp_path, SETTINGS),
    ):
        pass
    with open_folder(tmp_path, SETTINGS, resume=True) as folder:
        assert folder.resumed
        assert not folder.finished


def test_a_run_that_left_nothing_is_no_run(tmp_path):
    with open_folder(tmp_path, SETTINGS) as folder:
        folder.begin()
    with open_folder(tmp_path, SETTINGS | {"epochs": 5}) as folder:
        assert not folder.resumed


def test_a_folder_of_somebody_else(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with (
        pytest.raises(InputError, match=r"no settings\.toml but holds config\.json"),
        open_folder(tmp_path, {}),
    ):
        pass
    assert (tmp_path / "config.json").read_text() == "{}"


def test_resume_and_overwrite_contradict(tmp_path):
    with pytest.raises(InputError, match="got both"), open_folder(tmp_path, {}, resume=True, overwrite=True):
        pass


def test_damaged_settings(tmp_path):
    finished(tmp_path)
    (tmp_path / "settings.toml").write_text("a = = 1")
    with pytest.raises(DataError, match="damaged"), open_folder(tmp_path, SETTINGS):
        pass


def test_two_runs_cannot_share_a_folder(tmp_path):
    with open_folder(tmp_path, SETTINGS) as folder:
        folder.begin()
        message = rf"another run is working there \(process {os.getpid()}\)"
        with pytest.raises(DataError, match=message), open_folder(tmp_path, SETTINGS):
            pass
    with open_folder(tmp_path, SETTINGS):
        pass


def test_a_dead_process_leaves_no_lock(tmp_path):
    child = os.fork()
    if child == 0:
        with open_folder(tmp_path, SETTINGS):
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert (tmp_path / ".lock").exists()
    with open_folder(tmp_path, SETTINGS):
        pass
    assert not (tmp_path / ".lock").exists()


def test_a_folder_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match="folder that can be written"),
        open_folder(tmp_path / "file" / "run", {}),
    ):
        pass


def test_a_folder_that_cannot_be_made():
    with pytest.raises(DataError, match="folder that can be written"), open_folder("/proc/equipoise", {}):
        pass


def test_a_full_disk(tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_folder(tmp_path, SETTINGS) as folder:
        monkeypatch.setattr("equipoise.files.os.fsync", full)
        with pytest.raises(DataError, match="disk is full"):
            folder.begin()
    assert list(tmp_path.iterdir()) == []
