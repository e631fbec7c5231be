"""Where and how models run; nothing here changes what is computed, up to rounding."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass

from equipoise.errors import InputError
from equipoise.run.folder import Setting
from equipoise.train.device import device_of

__all__ = ["Engine"]

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "64-true")


@dataclass(frozen=True)
class Engine:
    """Device and speed; see `fit`.

    Args:
        device: "auto", "cpu", "cuda", "mps".
        precision: "auto", "32-true", "bf16-mixed", "16-mixed", "64-true".
        processes: Training processes; each takes its share of every batch.
        compile: Compile the training step.
        tensorboard: Write TensorBoard events beside the checkpoints.
        progress: Show bars when standard error is a terminal.
    """

    device: str = "auto"
    precision: str = "auto"
    processes: int = 1
    compile: bool = False
    tensorboard: bool = False
    progress: bool = True

    def check(self) -> None:
        """Make sure that this machine has what was asked for, before anything is trained.

        Raises:
            InputError: if it has not.
        """
        if self.precision not in PRECISIONS:
            near = difflib.get_close_matches(self.precision, PRECISIONS, n=1, cutoff=0.0)[0]
            raise InputError(
                f"--precision must be one of {', '.join(PRECISIONS)}; got {self.precision!r}. Did you mean {near!r}?"
            )
        if self.processes < 1:
            raise InputError(f"--processes must be 1 or more; got {self.processes}. 1 is no extra process.")
        device_of(self.device)

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        values: dict[str, Setting] = asdict(self)
        return {name: value for name, value in values.items() if name != "progress"}
