"""Which device a name means."""

from __future__ import annotations

import torch

from equipoise.errors import InputError

__all__ = ["device_of"]


def device_of(name: str) -> torch.device:
    """The torch device of a name; "auto" takes an accelerator where there is one.

    Raises:
        InputError: if this machine has no such device.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"Expected a device that this machine has; got {name!r}. Try cpu.") from error
    return device
