"""Where and how models run; nothing here changes what is computed, up to rounding."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from equipoise.run.folder import Setting

__all__ = ["Engine"]


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

    def settings(self) -> dict[str, Setting]:
        """What a run's settings say about it."""
        values: dict[str, Setting] = asdict(self)
        return {name: value for name, value in values.items() if name != "progress"}
