"""Where and how models run."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, replace

from equipoise.errors import InputError
from equipoise.run.identity import Setting
from equipoise.train.device import device_of
from equipoise.train.fit import precision_of
from equipoise.train.recipe import Recipe

__all__ = ["Engine"]

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "64-true")


@dataclass(frozen=True)
class Engine:
    """Device and speed; see `fit`.

    Args:
        device: "auto", "cpu", "cuda", "mps".
        precision: "auto", "32-true", "bf16-mixed", "16-mixed", "64-true".
        processes: Training processes; each takes its share of every batch.
        compile: Compile the networks, or record the steps: see `fit`.
        tensorboard: Write TensorBoard events beside the checkpoints.
        progress: Show bars when standard error is a terminal.
    """

    device: str = "auto"
    precision: str = "auto"
    processes: int = 1
    compile: bool = False
    tensorboard: bool = False
    progress: bool = True

    def resolved(self, recipe: Recipe) -> Engine:
        """The same with what "auto" means for this recipe on this machine.

        Raises:
            InputError: if this machine does not have what was asked for.
        """
        if self.precision not in PRECISIONS:
            near = difflib.get_close_matches(self.precision, PRECISIONS, n=1, cutoff=0.0)[0]
            raise InputError(
                f"--precision must be one of {', '.join(PRECISIONS)}; got {self.precision!r}. Did you mean {near!r}?"
            )
        if self.processes < 1:
            raise InputError(f"--processes must be 1 or more; got {self.processes}. 1 is no extra process.")
        precision = recipe.precision if self.precision == "auto" else self.precision
        device = device_of(self.device).type if self.device == "auto" else str(device_of(self.device))
        return replace(self, device=device, precision=precision_of(precision, device))

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        values: dict[str, Setting] = asdict(self)
        return {name: value for name, value in values.items() if name != "progress"}
