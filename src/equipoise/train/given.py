"""A model of the user's own in place of a recipe's network: copied, looked at once, then trained like any other."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.errors import EquipoiseError, InputError
from equipoise.nn import pixels
from equipoise.seeds import child_seed

__all__ = ["prepared"]


def prepared(model: Any, images: Tensor, *, seed: int, classes: int = 2) -> nn.Module:
    """A copy of the model that has seen a batch, so that layers whose size follows from the data are there.

    Args:
        model: An `Objective`: a module with `losses`, one logit an image, or one a class of more than two.
        images: Two pictures, uint8 (2, height, width, channels), of classes 0 and 1.
        seed: New layers draw their weights from it.
        classes: Of the table.

    Raises:
        InputError: if it is not such a model, or cannot take such pictures.
    """
    if not isinstance(model, nn.Module) or not callable(getattr(model, "losses", None)):
        raise InputError(
            f"Expected a module with `losses`; got {type(model).__name__}. Put a network into "
            "equipoise.nn.Classifier, or wrap it: equipoise.risk.Histogram()(network, task='binary')."
        )
    ours: Any = copy.deepcopy(model)
    modes = {module: module.training for module in ours.modules()}
    batch, labels = pixels(images), torch.tensor([0, 1])
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(child_seed(seed, "weights"))
            ours.to("cpu").eval()
            ours.losses(batch, labels, generator=torch.Generator().manual_seed(0))
            logits = ours(batch)
    except EquipoiseError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"The model must take images of shape (batch, {', '.join(map(str, batch.shape[1:]))}) in [0, 1]; got this "
            f"error from it: {error}. Adapt it, or give the images that it takes."
        ) from error
    for module in ours.modules():
        module.training = modes.get(module, True)
    _check_logits(logits, classes)
    return ours  # type: ignore[no-any-return]


def _check_logits(logits: Any, classes: int) -> None:
    """Whether two images got what a table of so many classes needs."""
    outputs = 1 if classes == 2 else classes
    if isinstance(logits, Tensor) and logits.is_floating_point():
        if logits.numel() == 2 * outputs and (outputs == 1 or tuple(logits.shape) == (2, outputs)):
            return
        got = f"shape {tuple(logits.shape)}"
    else:
        got = f"a {type(logits).__name__}"
    wanted = (
        "one logit an image, shape (batch,) or (batch, 1)"
        if outputs == 1
        else f"one logit a class, shape (batch, {outputs})"
    )
    raise InputError(
        f"The model must give {wanted}, as the data have {classes} classes; got {got} for 2 images. "
        f"Give the network {'one output' if outputs == 1 else f'{outputs} outputs'}, or data of its classes."
    )
