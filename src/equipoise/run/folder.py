"""A run's folder: one run at a time, its settings beside its results, and never another run's work lost."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from equipoise.errors import DataError, InputError
from equipoise.files import remove_abandoned, write_text
from equipoise.interruption import stopped_by_signals
from equipoise.run.identity import SETTINGS, Identity, check_data, earlier_identity

__all__ = ["RunFolder", "holder", "open_folder"]

RECORD = "record.json"
LOCK = ".lock"
OURS = (
    *(SETTINGS, RECORD, "report.html", "scores.parquet", "rejected.csv", "model.safetensors", "config.json"),
    *("density.safetensors", "models", "checkpoints", "pictures", "audit.json", "fix.json", "find.json"),
    *("augment.json", "pairs", "generator", "hyperplanes.safetensors"),
    "resampling.json",
    *("sweep.json", "sweep.csv", "points"),
    "slices.parquet",
)


@dataclass(frozen=True)
class RunFolder:
    """A run's folder that this process holds.

    Args:
        path: Where it is.
        identity: What this run is.
        resumed: Earlier work of the same settings lies there and is to be used.
        finished: That earlier work is a whole run; its record can be read.
        replaces: An earlier run lies there and goes when this one begins.
        earlier: What the run is that is continued.
    """

    path: Path
    identity: Identity
    resumed: bool = False
    finished: bool = False
    replaces: bool = False
    earlier: Identity | None = None

    def settled(self, data: Mapping[str, str], brought: Mapping[str, str] | None = None) -> RunFolder:
        """The same once its data are read: part → fingerprint, and what could not be loaded before.

        Raises:
            InputError: if the run that lies there is of other data, or something else was brought to it.
        """
        identity = self.identity.of(data, brought)
        if self.earlier is not None:
            check_data(self.earlier.data, data, self.path, finished=self.finished)
            _check_same(self.path, identity, self.earlier, finished=self.finished)
        return replace(self, identity=identity)

    def begin(self) -> None:
        """Write what the run is and remove the one to be replaced; called once the data are known to be good.

        Raises:
            DataError: if the folder cannot be written.
        """
        if self.replaces:
            _remove_run(self.path)
        if not self.resumed or self.finished:  # what was finished and begins again is this run from now on
            write_text(self.path / SETTINGS, self.identity.text())

    def model(self, name: str, *, top: str = "debiased") -> Path:
        """The folder of one model; the one that the run is about lies at the top."""
        return self.path if name == top else self.path / "models" / name

    def checkpoints(self, name: str) -> Path:
        """The folder of one model's checkpoints and logs."""
        return self.path / "checkpoints" / name


@contextlib.contextmanager
def open_folder(
    path: str | os.PathLike[str],
    identity: Identity,
    *,
    resume: bool = False,
    overwrite: bool = False,
    last: str = RECORD,
) -> Iterator[RunFolder]:
    """Make or enter a run's folder and lock it; nothing of an earlier run is touched before `begin`.

    A finished run of the same identity is handed back as it is. The lock ends with the process that holds it,
    however that ends; what a killed run left half-written goes. In the block SIGTERM stops the run as Ctrl-C does.

    Args:
        path: The folder; made if it is not there.
        identity: What decides the run's results; data are looked at in `RunFolder.settled`.
        resume: Continue what lies there.
        overwrite: Replace the earlier run; files that no run made stay.
        last: The file that the run writes last: where it lies, the run is finished.

    Raises:
        InputError: if the folder holds another run or an unfinished one, and neither `resume` nor
            `overwrite` says what to do with it; or if it holds files that a run would replace.
        DataError: if the folder cannot be made or written, or another run holds it.
    """
    if resume and overwrite:
        raise InputError(
            "Expected one of `resume` and `overwrite`; got both. One continues, the other starts again."
        )
    if not os.fspath(path).strip():
        raise InputError('Expected a folder for the run; got an empty path. Name one; "." is this folder.')
    folder = Path(path)
    with _locked(folder), stopped_by_signals():
        _remove_parts(folder)
        yield _state(folder, identity, resume=resume, overwrite=overwrite, last=last)


def _state(folder: Path, identity: Identity, *, resume: bool, overwrite: bool, last: str) -> RunFolder:
    there = [name for name in OURS if name != SETTINGS and (folder / name).exists()]
    if overwrite or not there:
        return RunFolder(folder, identity, replaces=overwrite)
    earlier = earlier_identity(folder)
    if earlier is None:
        raise InputError(
            f"Expected a new folder or an earlier run's; {folder} has no {SETTINGS} but holds "
            f"{', '.join(there)}, which the run would replace. Choose another `out`, or give `overwrite`."
        )
    finished = last in there
    _check_same(folder, identity, earlier, finished=finished)
    if not finished and not resume:
        raise InputError(
            f"Expected a new folder; {folder} holds an unfinished run of the same settings. "
            "Give `resume` to continue it or `overwrite` to start it again."
        )
    return RunFolder(folder, identity, resumed=True, finished=finished, earlier=earlier)


def _check_same(folder: Path, identity: Identity, earlier: Identity, *, finished: bool) -> None:
    if found := identity.differences(earlier, finished=finished):
        raise InputError(
            f"Expected the settings of the {'finished' if finished else 'unfinished'} run in {folder}; "
            f"got others ({', '.join(found)}). Choose another `out`, or give `overwrite` to replace that run."
        )


def _remove_parts(folder: Path) -> None:
    remove_abandoned(folder)
    for name in OURS:
        if (folder / name).is_dir() and name != "points":  # a point is a run of its own
            for below in [folder / name, *(folder / name).glob("**/")]:
                remove_abandoned(below)


def holder(folder: Path) -> str | None:
    """The process that works in a folder; None if there is none, and then the lock of a dead one goes."""
    lock = folder / LOCK
    if not lock.exists():
        return None
    try:
        with _locked(folder):
            return None
    except _BusyError as busy:
        return busy.process


class _BusyError(DataError):
    """Another run works in the folder."""

    def __init__(self, message: str, process: str) -> None:
        super().__init__(message)
        self.process = process


def _remove_run(folder: Path) -> None:
    # The settings go last: whatever interrupts this, the folder is still known as a run's.
    for name in sorted(OURS, key=lambda name: name == SETTINGS):
        target = folder / name
        try:
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"Expected to remove {target}; got: {error.strerror or error}. Choose another `out`."
            ) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold `folder`/.lock; the file goes when the block ends, the lock in any case with the process."""
    lock = folder / LOCK
    handle = _lock_handle(folder, lock)
    try:
        os.ftruncate(handle, 0)
        with contextlib.suppress(OSError):  # a full disk: the message to others is poorer, the lock holds
            os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
        os.close(handle)


def _lock_handle(folder: Path, lock: Path) -> int:
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise DataError(
                f"Expected a folder that can be written at {folder}; got: {error.strerror or error}. "
                f"{'Free some space or choose' if full else 'Choose'} another `out`."
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                return handle
        except BlockingIOError:
            process = os.read(handle, 32).decode(errors="replace") or "unknown"
            os.close(handle)
            raise _BusyError(
                f"Expected {folder} to be free; another run is working there (process {process}). "
                "Wait until it ends, or choose another `out`.",
                process,
            ) from None
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(handle)
            raise DataError(
                f"Expected a file system with locks at {folder}; got: {error.strerror or error}. "
                "Choose another `out`."
            ) from error
        os.close(handle)  # its holder removed the file between our open and our lock: take the new one
