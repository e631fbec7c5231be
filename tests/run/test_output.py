"""Where results go, and who is told."""

import pytest

from equipoise.errors import InputError
from equipoise.run import Output
from equipoise.run.identity import Identity


def left(folder, **asked):
    """A run that begins and leaves a file; whether it found an earlier one."""
    with Output(folder, **asked).open(Identity({"a": 1})) as run:
        found = run.resumed
        run.settled({}).begin()
        (folder / "rejected.csv").touch()
    return found


def test_an_unfinished_run_is_continued_replaced_or_refused(tmp_path):
    assert not left(tmp_path)
    with pytest.raises(InputError, match="`resume` to continue it or `overwrite`"):
        left(tmp_path)
    assert left(tmp_path, resume=True)
    assert not left(tmp_path, overwrite=True)


def test_a_job_without_a_middle_goes_on_unasked_but_not_over_overwrite(tmp_path):
    left(tmp_path)
    for overwrite in (False, True):
        with Output(tmp_path, overwrite=overwrite).open(Identity({"a": 1}), resume=True) as run:
            assert run.resumed is not overwrite
            assert run.replaces is overwrite


def test_lines_are_told_or_not():
    lines = []
    Output("x", tell=lines.append).say("one")
    Output("x").say("two")
    assert lines == ["one"]
