"""Processes that do what they are told, in place of runs."""

import os
import signal
import threading
import time

import pytest

from equipoise.run.sweep.children import run_all

CHILD = """
import json, os, pathlib, signal, sys, time
told = json.load(sys.stdin)
out = pathlib.Path(told["out"])
(out / "threads").write_text(os.environ["OMP_NUM_THREADS"])
match told["do"]:
    case "fail":
        print("Expected this; got that. Do so.")
        sys.exit(1)
    case "crash":
        raise OSError("broken")
    case "die":
        os.kill(os.getpid(), signal.SIGKILL)
    case "wait":
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            (out / "stopped").write_text("")
            sys.exit(130)
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Runs children that do these things; names in the order in which they ended, and failures."""
    (tmp_path / "a_child_of_a_test.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(*things, at_once=2):
        ended = []
        work = {f"{i}-{do}": {"do": do, "out": str(tmp_path / f"{i}-{do}")} for i, do in enumerate(things)}
        failed = run_all(
            work, at_once=at_once, ended=lambda name, error: ended.append(name), module="a_child_of_a_test"
        )
        return ended, failed

    return run


def test_one_that_fails_does_not_lose_the_others(start):
    ended, failed = start("fail", "finish", "crash", "die", "finish")
    assert sorted(ended) == ["0-fail", "1-finish", "2-crash", "3-die", "4-finish"]
    assert failed["0-fail"] == "Expected this; got that. Do so."
    assert failed["2-crash"] == "OSError: broken"
    assert "fewer `jobs`" in failed["3-die"]
    assert len(failed) == 3


def test_processors_are_shared_and_no_more_are_taken_than_allowed(start, tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda of: range(8), raising=False)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    start("finish", at_once=2)
    assert (tmp_path / "0-finish" / "threads").read_text() == "4"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    start("finish", at_once=2)
    assert (tmp_path / "0-finish" / "threads").read_text() == "3"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_stops_every_child_and_starts_no_other(start, tmp_path, number):
    def when_both_wait():
        while not all((tmp_path / f"{i}-wait" / "threads").exists() for i in (0, 1)):
            time.sleep(0.02)
        time.sleep(0.1)
        os.kill(os.getpid(), number)

    threading.Thread(target=when_both_wait, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        start("wait", "wait", "finish")
    assert (tmp_path / "0-wait" / "stopped").exists()
    assert (tmp_path / "1-wait" / "stopped").exists()
    assert not (tmp_path / "2-finish" / "threads").exists()
