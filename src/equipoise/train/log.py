"""What a run shows and keeps while it trains: a progress bar, a CSV file, TensorBoard events."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from equipoise.errors import MissingExtraError
from equipoise.files import write_text
from equipoise.shown import csv_text, harmless

__all__ = ["History", "Progress", "append", "tensorboard_writer", "write_history"]

History = dict[str, list[float]]


def append(history: History, numbers: Mapping[str, float]) -> None:
    """A row more."""
    for name, value in numbers.items():
        history.setdefault(name, []).append(float(value))


def write_history(path: Path, history: History) -> None:
    """The history as CSV, a row an entry, written atomically."""
    write_text(path, csv_text(list(history), zip(*history.values(), strict=True)))


def tensorboard_writer(folder: Path) -> Any:
    """A TensorBoard writer.

    Raises:
        MissingExtraError: if tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError(
            "TensorBoard logs need the package tensorboard, which is not installed. "
            "Run: pip install 'equipoise[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder))


class Progress:
    """A progress bar with speed and time left; silent when standard error is not a terminal.

    Args:
        title: What is being trained.
        steps: Steps in all.
        done: Steps done before this start.
        shown: False keeps it silent on a terminal too.
    """

    def __init__(self, title: str, steps: int, *, done: int = 0, shown: bool = True) -> None:
        self._bar: Any = None
        if shown and sys.stderr is not None and sys.stderr.isatty():
            from rich import progress
            from rich.console import Console
            from rich.markup import escape

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[speed]}"),
                progress.TimeRemainingColumn(),
                progress.TextColumn("{task.fields[loss]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(
                escape(harmless(title)), total=steps, completed=done, speed="", loss=""
            )

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, done: int, loss: float, steps_per_s: float) -> None:
        """Say where the run stands."""
        if self._bar is not None:
            self._bar.update(
                self._task, completed=done, speed=f"{steps_per_s:.0f} steps/s", loss=f"loss {loss:.3f}"
            )
