"""Where and how models run: one object for `fit` and for every job."""

from __future__ import annotations

import difflib
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from equipoise.errors import InputError
from equipoise.processors import launched
from equipoise.train.device import device_of
from equipoise.train.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Engine", "precision_of"]

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "64-true")
NO_SETTING = ("progress", "on")  # numbers do not depend on them


@dataclass(frozen=True)
class Engine:
    """Device and speed.

    Args:
        device: "auto", "cpu", "cuda" or "mps".
        precision: "32-true", "bf16-mixed", "16-mixed", "64-true", or "auto": what the recipe says, and where it says
            "auto" too, bf16-mixed if the processor has it.
        processes: Training processes or devices; each takes its share of every batch, and of the pictures that a
            backbone makes features of. Under `torchrun` they are those that it started: leave 1, or say as many.
        compile: Compile the networks; pays off in long runs, needs a C++ compiler on a CPU. On a CUDA device with
            room for the pictures, a classifier by Adam in one process is recorded whole as a CUDA graph instead,
            and epochs run without the host (written without such a device at hand: tested on a CPU, where the
            recorded step, whose learning rates are single precision, gives the weights of such steps to the bit).
            In several processes batch norm is then over each one's share of a batch, else over all of it.
        tensorboard: Write TensorBoard events beside the checkpoints.
        progress: Show bars when standard error is a terminal.
        on: Where a network runs over pictures in place of this process: "ray", "ray://auto" or "ray://HOST:PORT", see
            `cluster.cluster_of`; "onnx" is by onnxruntime on this machine's CPU. Numbers are the same but for rounding,
            so it is none of a run's settings.
    """

    device: str = "auto"
    precision: str = "auto"
    processes: int = 1
    compile: bool = False
    tensorboard: bool = False
    progress: bool = True
    on: str | None = None

    def resolved(self, recipe: Recipe | None = None) -> Engine:
        """The same with what "auto" means for this recipe, if there is one, on this machine.

        Raises:
            InputError: if this machine does not have what was asked for, or models are to be trained elsewhere.
        """
        if recipe is not None and self.on is not None:
            raise InputError(
                f"Expected no `on` for what trains models, which does so on this machine; got {self.on!r}. "
                "Leave it out."
            )
        if self.precision not in PRECISIONS:
            near = difflib.get_close_matches(self.precision, PRECISIONS, n=1, cutoff=0.0)[0]
            raise InputError(
                f"`precision` must be one of {', '.join(PRECISIONS)}; got {self.precision!r}. Did you mean {near!r}?"
            )
        if self.processes < 1:
            raise InputError(f"`processes` must be 1 or more; got {self.processes}. 1 is no extra process.")
        started = launched()
        if started > 1 and self.processes not in (1, started):
            raise InputError(
                f"Expected as many processes as were started (WORLD_SIZE {started}); got `processes` "
                f"{self.processes}. Leave it out, or start that many."
            )
        precision = recipe.precision if recipe and self.precision == "auto" else self.precision
        device = device_of(self.device).type if self.device == "auto" else str(device_of(self.device))
        processes = max(self.processes, started)
        return replace(self, device=device, precision=precision_of(precision, device), processes=processes)

    def settings(self) -> dict[str, str | int | bool]:
        """What a run's settings say about it."""
        return {name: value for name, value in asdict(self).items() if name not in NO_SETTING}

    def fabric(self) -> Fabric:
        """What training runs on; where a launcher started the processes, they know one another from here on.

        Raises:
            InputError: if this machine does not have it.
        """
        if (
            self.precision == "16-mixed" and device_of(self.device).type == "cpu"
        ):  # another would be taken in its place
            raise InputError(
                "Expected a precision that a CPU has; got '16-mixed'. Try `precision` bf16-mixed or 32-true."
            )
        many: Any = {"devices": self.processes, "strategy": "auto" if self.processes == 1 else "ddp_spawn"}
        if launched() > 1:
            here = int(os.environ.get("LOCAL_WORLD_SIZE", launched()))
            many = {"devices": here, "num_nodes": launched() // here, "strategy": "ddp"}
        from lightning_fabric import Fabric  # seconds to import, and only training needs it

        try:
            fabric = Fabric(accelerator=self.device, precision=self.precision, **many)  # type: ignore[arg-type]
            if launched() > 1:
                fabric.launch()
            return fabric
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"Expected a device and a precision that this machine has; got device {self.device!r}, precision "
                f"{self.precision!r}, {self.processes} process(es): {error}. Try `device` cpu, `precision` 32-true."
            ) from error


def precision_of(name: str, device: str = "auto") -> str:
    """The precision that "auto" means: bf16-mixed where the processor multiplies it, 32-true elsewhere."""
    if name != "auto":
        return name
    if device_of(device).type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if device_of(device).type != "cpu":
        return "32-true"
    # Private, so a torch without them trains in 32 bit; the public test is also true where bf16 is emulated.
    asked = (
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return "bf16-mixed" if any(ask() for ask in asked if ask is not None) else "32-true"
