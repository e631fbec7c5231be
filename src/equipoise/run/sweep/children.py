"""Runs in processes of their own, a few at a time; one that fails does not stop the others, Ctrl-C stops all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from equipoise.interruption import stopped_by_signals
from equipoise.processors import available

__all__ = ["run_all"]

MODULE = "equipoise.run.sweep.point"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LOG = "log.txt"
STOPPED = {128 + number: number.name for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
PATIENCE_S = 60.0  # for a run to stop after Ctrl-C; a second Ctrl-C does not wait


def run_all(
    work: Mapping[str, Mapping[str, Any]],
    *,
    at_once: int,
    ended: Callable[[str, str | None], None],
    module: str = MODULE,
) -> dict[str, str]:
    """Run every piece of work in a process; the processors are shared out between those that run together.

    Args:
        work: Name → JSON-able settings, given to the process on its standard input; "out" is the run's folder,
            where log.txt holds what the process says.
        at_once: Processes at a time.
        ended: Called with the name, and with why it failed or None, whenever one ends.
        module: What a process runs.

    Returns:
        name → why it failed.
    """
    children = _Children(module, _threads(at_once))
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(at_once) as pool, stopped_by_signals():
        futures = {pool.submit(children.run, settings): name for name, settings in work.items()}
        try:
            for future in as_completed(futures):
                error = future.result()
                if error is not None:
                    failed[futures[future]] = error
                ended(futures[future], error)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop()
            raise
    return failed


def _threads(at_once: int) -> int:
    """Threads of each process: its share of the processors, and no more than the user allows."""
    allowed = [int(os.environ[name]) for name in THREADS if os.environ.get(name, "").isdecimal()]
    return max(1, min([available() // at_once, *allowed]))


class _Children:
    """The processes that are running."""

    def __init__(self, module: str, threads: int) -> None:
        self.command = [sys.executable, "-P", "-m", module]
        self.environment = {**os.environ, **{name: str(threads) for name in THREADS}}
        self.running: set[subprocess.Popen[str]] = set()
        self.lock, self.stopped = threading.Lock(), False

    def run(self, settings: Mapping[str, Any]) -> str | None:
        """Run one to its end; why it failed, or None."""
        log = Path(settings["out"]) / LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as stderr:
            with self.lock:
                if self.stopped:
                    return "stopped before it began"
                # A session of its own: Ctrl-C in the terminal comes to us alone, and we pass it on once.
                process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=self.environment,
                    text=True,
                    start_new_session=True,
                )
                self.running.add(process)
            try:
                said, _ = process.communicate(json.dumps(settings))
            finally:
                self.running.discard(process)
        return _why(process.returncode, said, log)

    def stop(self) -> None:
        """End all: politely first, so that checkpoints are whole."""
        with self.lock:
            self.stopped = True
            left = list(self.running)
        _send(left, signal.SIGINT)
        try:
            for process in left:
                process.wait(PATIENCE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            _send(left, signal.SIGKILL)


def _send(processes: list[subprocess.Popen[str]], number: signal.Signals) -> None:
    for process in processes:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)


def _why(code: int, said: str, log: Path) -> str | None:
    if code == 0:
        return None
    if code == -signal.SIGKILL:
        return "The process was killed, perhaps because the memory was used up. Try fewer `jobs`."
    if code in STOPPED:
        return (
            f"The process was stopped by {STOPPED[code]}. The same command goes on from its last checkpoint."
        )
    lines = (
        said.strip().splitlines() or log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    )
    return lines[-1] if lines else f"The process ended with code {code} and said nothing."
