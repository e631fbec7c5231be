"""A run's folder: one run at a time, its settings beside its results, and never another run's work lost."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from equipoise.errors import DataError, InputError
from equipoise.files import read_toml, write_text

__all__ = ["RunFolder", "Setting", "open_folder", "settings_text"]

Setting = str | int | float | bool | Sequence[str] | None

SETTINGS = "settings.toml"
RECORD = "record.json"
LOCK = ".lock"
OURS = (
    *(SETTINGS, RECORD, "report.html", "scores.parquet", "rejected.csv", "model.safetensors", "config.json"),
    *("density.safetensors", "models", "checkpoints", "pictures", "audit.json"),
    *("augment.json", "pairs", "generator", "hyperplanes.safetensors"),
    "resampling.json",
    *("sweep.json", "sweep.csv", "points"),
)
# Settings that may differ between a run and its continuation: they do not change what is computed.
FREE = ("device", "workers", "cache", "tensorboard")


@dataclass(frozen=True)
class RunFolder:
    """A run's folder that this process holds.

    Args:
        path: Where it is.
        settings: The settings of this run.
        resumed: Earlier work of the same settings lies there and is to be used.
        finished: That earlier work is a whole run; its record can be read.
        replaces: An earlier run lies there and goes when this one begins.
    """

    path: Path
    settings: Mapping[str, Setting]
    resumed: bool = False
    finished: bool = False
    replaces: bool = False

    def begin(self) -> None:
        """Write the settings and remove the run to be replaced; called once the data are known to be good.

        Raises:
            DataError: if the folder cannot be written.
        """
        if self.replaces:
            _remove_run(self.path)
        if not self.resumed:
            write_text(self.path / SETTINGS, settings_text(self.settings))

    def model(self, name: str, *, top: str = "debiased") -> Path:
        """The folder of one model; the one that the run is about lies at the top."""
        return self.path if name == top else self.path / "models" / name

    def checkpoints(self, name: str) -> Path:
        """The folder of one model's checkpoints and logs."""
        return self.path / "checkpoints" / name


@contextlib.contextmanager
def open_folder(
    path: str | os.PathLike[str],
    settings: Mapping[str, Setting],
    *,
    resume: bool = False,
    overwrite: bool = False,
    last: str = RECORD,
) -> Iterator[RunFolder]:
    """Make or enter a run's folder and lock it; nothing of an earlier run is touched before `begin`.

    A finished run of the same settings is handed back as it is. The lock ends with the process that holds it,
    however that ends.

    Args:
        path: The folder; made if it is not there.
        settings: What decides the run's results; None means "not given".
        resume: Continue what lies there.
        overwrite: Replace the earlier run; files that no run made stay.
        last: The file that the run writes last: where it lies, the run is finished.

    Raises:
        InputError: if the folder holds other settings or an unfinished run, and neither `resume` nor
            `overwrite` says what to do with it; or if it holds files that a run would replace.
        DataError: if the folder cannot be made or written, or another run holds it.
    """
    if resume and overwrite:
        raise InputError(
            "Expected one of --resume and --overwrite; got both. One continues, the other starts again."
        )
    if not os.fspath(path).strip():
        raise InputError('Expected a folder for the run; got an empty path. Name one; "." is this folder.')
    folder = Path(path)
    with _locked(folder):
        yield _state(folder, settings, resume=resume, overwrite=overwrite, last=last)


def settings_text(settings: Mapping[str, Setting]) -> str:
    """Settings as TOML; what is None or an empty list is left out.

    Example:
        >>> print(settings_text({"recipe": "mit-2021", "groups": ("race",), "epochs": None}), end="")
        recipe = "mit-2021"
        groups = ["race"]
    """
    lines = [
        f"{key} = {_toml_value(value)}"
        for key, value in settings.items()
        if value is not None and value != ()
    ]
    return "\n".join(lines) + "\n"


def _toml_value(value: Setting) -> str:
    if isinstance(value, str):
        value = value.encode(errors="surrogateescape").decode(
            errors="replace"
        )  # TOML is Unicode, paths need not be
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return json.dumps(value)


def _state(
    folder: Path, settings: Mapping[str, Setting], *, resume: bool, overwrite: bool, last: str
) -> RunFolder:
    there = [name for name in OURS if name != SETTINGS and (folder / name).exists()]
    if overwrite or not there:
        return RunFolder(folder, settings, replaces=overwrite)
    earlier = _earlier_settings(folder)
    if earlier is None:
        raise InputError(
            f"Expected a new folder or an earlier run's; {folder} has no {SETTINGS} but holds "
            f"{', '.join(there)}, which the run would replace. Choose another --out, or give --overwrite."
        )
    now = tomllib.loads(settings_text(settings))
    keys = [key for key in {**earlier, **now} if key not in FREE and earlier.get(key) != now.get(key)]
    finished = last in there
    if keys:
        differences = ", ".join(
            f"{key}: {_shown(earlier, key)} there, {_shown(now, key)} now" for key in keys
        )
        raise InputError(
            f"Expected the settings of the {'finished' if finished else 'unfinished'} run in {folder}; "
            f"got others ({differences}). Choose another --out, or give --overwrite to replace that run."
        )
    if not finished and not resume:
        raise InputError(
            f"Expected a new folder; {folder} holds an unfinished run of the same settings. "
            "Give --resume to continue it or --overwrite to start it again."
        )
    return RunFolder(folder, settings, resumed=True, finished=finished)


def _shown(settings: Mapping[str, object], key: str) -> str:
    return repr(settings[key]) if key in settings else "not given"


def _earlier_settings(folder: Path) -> dict[str, object] | None:
    if not os.path.lexists(folder / SETTINGS):
        return None
    advice = "It is damaged: give --overwrite to start again, or choose another --out."
    return read_toml(folder / SETTINGS, "the settings of an earlier run", advice)


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
                f"Expected to remove {target}; got: {error.strerror or error}. Choose another --out."
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
                f"{'Free some space or choose' if full else 'Choose'} another --out."
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                return handle
        except BlockingIOError:
            holder = os.read(handle, 32).decode(errors="replace") or "unknown"
            os.close(handle)
            raise DataError(
                f"Expected {folder} to be free; another run is working there (process {holder}). "
                "Wait until it ends, or choose another --out."
            ) from None
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(handle)
            raise DataError(
                f"Expected a file system with locks at {folder}; got: {error.strerror or error}. "
                "Choose another --out."
            ) from error
        os.close(handle)  # its holder removed the file between our open and our lock: take the new one
