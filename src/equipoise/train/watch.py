"""What a run logs of its steps, and the guard against values that are not finite."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from equipoise.errors import TrainingError
from equipoise.train.checkpoint import latest_checkpoint

__all__ = ["Watch"]


class Watch:
    """Values of the steps since the last row of the history.

    Args:
        title: What is trained, for messages.
        folder: Where its checkpoints are, if any are kept.
        at_once: Check each step when it is seen; on an accelerator, asking every step would make it wait.
        advice: What to do when training breaks.
        decisive: The value that must be finite; None takes all.
    """

    def __init__(
        self, title: str, folder: Path | None, *, at_once: bool, advice: str, decisive: str | None = None
    ) -> None:
        self.title, self.folder, self.at_once = title, folder, at_once
        self.advice, self.decisive = advice, decisive
        self.steps = 0
        self._seen: list[tuple[int, dict[str, Tensor], str]] = []

    def see(self, step: int, values: dict[str, Tensor], *, where: str = "") -> None:
        """The values of a step; `where` it is beside its number."""
        self.steps += 1
        self._seen.append((step, values, where))
        if self.at_once:
            self._check(*self._seen[-1])

    def flush(self) -> dict[str, float]:
        """Mean of each value over the steps that had it."""
        entries = [values for _, values in self.entries()]
        self._seen = []
        names = dict.fromkeys(name for values in entries for name in values)
        found = {name: [values[name] for values in entries if name in values] for name in names}
        return {name: sum(values) / len(values) for name, values in found.items()}

    def entries(self) -> list[tuple[int, dict[str, float]]]:
        """What was seen since the last row, as numbers."""
        for entry in self._seen:
            self._check(*entry)
        return [(step, {n: float(value) for n, value in values.items()}) for step, values, _ in self._seen]

    def restore(self, entries: list[tuple[int, dict[str, float]]]) -> None:
        """Bring back what `entries` gave."""
        self._seen = [
            (step, {n: torch.tensor(value, dtype=torch.float64) for n, value in values.items()}, "")
            for step, values in entries
        ]

    def finite(self, step: int, *networks: nn.Module, where: str = "") -> None:
        """Stop if a weight is not finite.

        Raises:
            TrainingError: says which.
        """
        for network in networks:
            for name, values in network.state_dict().items():
                if values.is_floating_point() and not bool(torch.isfinite(values).all()):
                    raise self._stopped(step, f"a weight that is not finite in {name}", where)

    def _check(self, step: int, values: dict[str, Tensor], where: str) -> None:
        judged = values.values() if self.decisive is None else [values[self.decisive]]
        if not all(math.isfinite(float(value)) for value in judged):
            told = ", ".join(f"{name} {float(value):g}" for name, value in values.items())
            raise self._stopped(step, told if self.decisive is None else f"loss {told}", where)

    def _stopped(self, step: int, what: str, where: str) -> TrainingError:
        checkpoint = latest_checkpoint(self.folder) if self.folder else None
        kept = (
            f"The last good checkpoint is {checkpoint}." if checkpoint else "No checkpoint was written yet."
        )
        return TrainingError(
            f"Expected finite losses while training {self.title}; got {what} at step {step}{where}. {kept} "
            f"{self.advice}"
        )
