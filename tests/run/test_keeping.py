"""What is said to be kept when a run stops early."""

import pytest

from equipoise.run.folder import RunFolder
from equipoise.run.identity import Identity
from equipoise.run.keeping import naming_what_is_kept


def note(folder, error=KeyboardInterrupt):
    with pytest.raises(error) as caught, naming_what_is_kept(RunFolder(folder, Identity({}))):
        raise error
    (said,) = caught.value.__notes__
    return said


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_models_that_are_finished_and_checkpoints_of_others(tmp_path):
    put(tmp_path / "models" / "plain" / "config.json")
    put(tmp_path / "models" / "uniform" / "config.json")
    put(tmp_path / "models" / "half-written" / "model.safetensors")
    put(tmp_path / "checkpoints" / "debiased" / "epoch-0001.safetensors")
    (tmp_path / "checkpoints" / "empty").mkdir()
    said = note(tmp_path)
    assert "finished: plain, uniform; checkpoints of: debiased." in said
    assert "with `resume` goes on from there" in said


def test_the_main_model_lies_at_the_top(tmp_path):
    put(tmp_path / "config.json")
    assert "finished: the main model. " in note(tmp_path, OSError)


def test_nothing_yet(tmp_path):
    assert note(tmp_path).startswith("Nothing was finished yet in ")


def test_a_run_that_ends_as_it_should_says_nothing(tmp_path):
    with naming_what_is_kept(RunFolder(tmp_path, Identity({}))) as given:
        assert given is None
