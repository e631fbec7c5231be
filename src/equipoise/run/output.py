"""Where a job's results go, and who is told of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

from equipoise.errors import InputError
from equipoise.processors import launched
from equipoise.run.folder import RECORD, RunFolder, open_folder
from equipoise.run.identity import Identity

__all__ = ["Output"]


@dataclass(frozen=True)
class Output:
    """A job's folder, what to do with what lies there, and who is told.

    Args:
        out: The folder.
        resume: Continue what was interrupted there; ends with the numbers of a run that was not.
        overwrite: Replace the run that lies there.
        tell: Takes a line on every stage; None is silent.
        command: What the record says made it; None names the job's function.
    """

    out: str | os.PathLike[str]
    resume: bool = False
    overwrite: bool = False
    tell: Callable[[str], None] | None = None
    command: str | None = None

    def __post_init__(self) -> None:
        if launched() > 1:
            raise InputError(
                f"Expected one process for a job that writes a folder; got {launched()} that were started together "
                "(WORLD_SIZE). Start it by itself, with `processes`, or call `equipoise.fit` in a script of yours."
            )

    def say(self, line: str) -> None:
        """Tell a line."""
        if self.tell is not None:
            self.tell(line)

    def open(
        self, identity: Identity, *, last: str = RECORD, resume: bool = False
    ) -> contextlib.AbstractContextManager[RunFolder]:
        """The folder, as `open_folder` gives it; `resume` also without being asked, for what has no middle."""
        resume = self.resume or (resume and not self.overwrite)
        return open_folder(self.out, identity, resume=resume, overwrite=self.overwrite, last=last)
